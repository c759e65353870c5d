"""What became of a switch, or would become of one: what `switchdb --json` prints, and what people are shown of it."""

from typing import Literal

import msgspec

MOST_FINDINGS = 1000
"""That are named one by one, or a few more: those of one row come together."""

State = Literal["planned", "copying", "done", "aborted"]


class End(msgspec.Struct, frozen=True):
    """A database that is switched from or to."""

    alias: str
    engine: str


class TableSum(msgspec.Struct, frozen=True):
    name: str
    rows: int
    checksum: str | None
    """Equal for the same rows on every engine; None where only the rows were counted."""


class Finding(msgspec.Struct, frozen=True):
    """Something about one row: why it would not arrive as it is, or how it differs between two databases."""

    table: str
    key: str
    """The values of its primary key, with a slash between them."""
    column: str | None
    """None where it is about the row as a whole."""
    reason: str


class Findings(msgspec.Struct):
    """Those of the first rows: of a million they would not fit in memory."""

    kept: list[Finding] = []
    rows: int = 0
    """How many rows there are findings about, kept or not."""

    def add(self, *about_a_row: Finding) -> None:
        self.rows += 1
        if len(self.kept) < MOST_FINDINGS:
            self.kept.extend(about_a_row)


class Report(msgspec.Struct, kw_only=True):
    switch_id: str | None
    state: State
    source: End = msgspec.field(name="from")
    target: End = msgspec.field(name="to")
    tables: list[TableSum]
    rows: int
    seconds: float
    """That it took, or for a plan that it may take."""
    pause_ms: float | None
    """How long writes were held; None where it did not come to that."""
    findings: list[Finding]
    found: int
    """How many rows there are findings about: of more than some, `findings` are those of the first."""
    sentence: str | None = None
    """What people are told, where it was not about rows that moved."""

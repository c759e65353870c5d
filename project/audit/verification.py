"""Whether the audit trail is what was written: each entry, its place, and the end of the chain.

Who can write to the database but does not know SECRET_KEY cannot change an entry, forge one, or take one out of the
middle without being found out here. What is cut off the end is missed by the row that says where the chain ends; who
sets that back too is found out by an end that was noted down elsewhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from project.audit.models import PENDING, AuditEntry
from project.audit.sealing import START, Chain, Seal
from project.database import Database
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.database.trails import SIGNED, content
from project.keys import NAME_LENGTH, SIGNATURE_LENGTH, Signer

MOST_FINDINGS = 100

MISSING = "missing"
CHANGED = "changed, or written by somebody else"
MISPLACED = "sealed in another place, or by somebody else"
FOREIGN = "signed with another SECRET_KEY, which SECRET_KEY_FALLBACKS does not have"

_HEAD = re.compile(rf"(\d{{1,18}})-((?:[0-9a-f]{{{SIGNATURE_LENGTH}}})?)")


def head_text(head: Seal) -> str:
    """An end of the chain, to be noted down."""
    return f"{head.place}-{head.text}"


def parse_head(text: str) -> Seal | None:
    """None for a text that `head_text` did not make."""
    matched = _HEAD.fullmatch(text.strip())
    return Seal(int(matched[1]), matched[2]) if matched else None


class Report:
    """What a verification found: sentences, of which MOST_FINDINGS are kept."""

    def __init__(self) -> None:
        self.head = START
        self.entries = 0
        self.pending = 0
        self.findings: list[str] = []
        self.others = 0
        self._run: tuple[int, int, str] | None = None

    def find(self, sentence: str) -> None:
        self.close_run()
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(sentence)
        else:
            self.others += 1

    def find_entries(self, first: int, last: int, what: str) -> None:
        """Those that follow one another come into one sentence."""
        if self._run is not None and self._run[1:] == (first - 1, what):
            self._run = (self._run[0], last, what)
        else:
            self.close_run()
            self._run = (first, last, what)

    def close_run(self) -> None:
        if self._run is not None:
            (first, last, what), self._run = self._run, None
            self.find(f"Entry {first} is {what}." if first == last else f"Entries {first} to {last} are {what}.")


async def verify(
    database: Database, signers: Sequence[Signer], since: Seal | None, progress: Callable[[int, int], None]
) -> Report:
    """Read the whole trail as it is at one moment, at constant memory.

    `signers` are all whose word is taken. `since` is an end that the chain once had. `progress` is told how many
    entries of how many were read.
    """
    keys = {signer.name: signer for signer in signers}
    return await database.snapshot(Verification, lambda trail: trail.run(keys, since, progress))


class Verification:
    """Of the trail that a snapshot has."""

    def __init__(self, *, session: Session) -> None:
        self._session = session
        self._chain = session.service(Chain)

    async def run(self, keys: Mapping[str, Signer], since: Seal | None, progress: Callable[[int, int], None]) -> Report:
        report = Report()
        end = await self._chain.end()
        walk = _Walk(keys, since, report)
        async for rows in self._session.chunks(_ENTRIES):
            for row in rows:
                place, sealed_at, seal, signature, *signed = row
                walk.step(_Entry(place, sealed_at, seal, signature, signed))
            progress(walk.last.place, end.place if end else walk.last.place)
        walk.finish(end)
        await self._find_copies(report)
        async for rows in self._session.chunks(_PENDING):
            report.pending += len(rows)
            for row in rows:
                if what := _wrong(keys, row[1], row[2:]):
                    report.find(f"Of the entries that wait to be sealed, {row[0]} is {what}.")
        report.close_run()
        return report

    async def _find_copies(self, report: Report) -> None:
        """Their signatures hold, but a service signs nothing twice."""
        moment, seen = "", dict[str, int]()
        async for rows in self._session.chunks(_BY_TIME):
            for created_at, place, signature in rows:
                if created_at != moment:
                    moment, seen = created_at, {}
                if (first := seen.setdefault(signature, place)) != place:
                    report.find(f"Entry {place} is a copy of entry {first}.")


class _Entry(NamedTuple):
    place: int
    sealed_at: str
    seal: str
    signature: str
    signed: Row


class _Walk:
    """From entry to entry, from the first one on."""

    def __init__(self, keys: Mapping[str, Signer], since: Seal | None, report: Report) -> None:
        self.last = START
        self._keys = keys
        self._since = since
        self._report = report
        self._befores: set[str] | None = {START.text}
        """What the seal may be that the next one is over: the one that stands there, and the one that should.

        So a seal that was changed does not speak against the entry after it. None after a gap, where nobody knows.
        """

    def step(self, entry: _Entry) -> None:
        if entry.place > self.last.place + 1:
            self._report.find_entries(self.last.place + 1, entry.place - 1, MISSING)
            self._befores = None
        what = _wrong(self._keys, entry.signature, entry.signed)
        befores = {entry.seal}
        sealer = self._keys.get(entry.seal[:NAME_LENGTH])
        if sealer is None:
            what = what or FOREIGN
        elif self._befores is not None:
            expected = {
                sealer.sign(Seal(entry.place - 1, before).content(entry.signature, entry.sealed_at))
                for before in self._befores
            }
            if entry.seal not in expected:
                what = what or MISPLACED
            befores |= expected
        if what:
            self._report.find_entries(entry.place, entry.place, what)
        if self._since is not None and self._since.place == entry.place and self._since.text != entry.seal:
            self._report.find(f"Entry {entry.place} is not the one that was the last when HEAD was noted down.")
        self._befores = befores
        self._report.entries += 1
        self.last = Seal(entry.place, entry.seal)

    def finish(self, end: Seal | None) -> None:
        """`end` is where the chain says that it ends."""
        report, place = self._report, self.last.place
        report.head = self.last
        if end is None and place:
            report.find("The row that says where the chain ends is missing.")
        elif end is not None and end.place > place:
            report.find_entries(place + 1, end.place, MISSING)
        elif end is not None and (end.place < place or end.text not in (self._befores or ())):
            report.find(f"The row that says where the chain ends was changed: it names entry {end.place}.")
        if self._since is not None and self._since.place > place:
            report.find(f"The chain ends with entry {place}, and had {self._since.place} when HEAD was noted down.")


def _wrong(keys: Mapping[str, Signer], signature: str, signed: Row) -> str:
    """What is, with an entry's signature; empty if nothing."""
    signer = keys.get(signature[:NAME_LENGTH])
    if signer is None:
        return FOREIGN
    return "" if signer.has_signed(signature, content(signed)) else CHANGED


_entries: Any = AuditEntry.__table__

_ENTRIES = Statement(
    sa.select(
        _entries.c.id,
        _entries.c.updated_at,
        _entries.c.seal,
        _entries.c.signature,
        *(_entries.c[name] for name in SIGNED),
    ).order_by(_entries.c.id),
    times_as_text=True,
)
_BY_TIME = Statement(
    sa.select(_entries.c.created_at, _entries.c.id, _entries.c.signature).order_by(
        _entries.c.created_at, _entries.c.id
    ),
    times_as_text=True,
)
_PENDING = Statement(
    sa.select(PENDING.c.id, PENDING.c.signature, *(PENDING.c[name] for name in SIGNED)).order_by(PENDING.c.id),
    times_as_text=True,
)

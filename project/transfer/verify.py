"""Whether two databases hold the same rows, and which rows differ."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from project.database.sessions import Session
from project.database.statements import Row
from project.transfer.canonical import Canonical, Key, key_of, key_text
from project.transfer.report import Finding, Findings, TableSum

T = TypeVar("T")

DIGEST_BYTES = 16
LONGEST_VALUE = 60
"""Characters of it that a difference shows."""

_encode = msgspec.msgpack.Encoder(enc_hook=str, order="deterministic").encode
_digest = partial(blake2b, digest_size=DIGEST_BYTES)


class Unordered(Exception):
    """The rows of a table come in no order that both sides share; the message names the table."""


async def sums(
    session: Session, tables: Sequence[sa.Table], tell: Callable[[int], Any] = lambda done: None
) -> list[TableSum]:
    """The count of each table's rows and the sum of their digests, which no order of theirs changes.

    The session is in a snapshot. `tell` is told how many rows were read so far.
    """
    found = []
    before = 0
    for table in tables:
        rows = total = 0
        async for piece in Canonical(session, table).pieces():
            total += sum([int.from_bytes(_digest(packed).digest()) for packed in map(_encode, piece)])
            rows += len(piece)
            tell(before + rows)
        checksum = total % 256**DIGEST_BYTES
        found.append(TableSum(str(table.name), rows, checksum.to_bytes(DIGEST_BYTES).hex()))
        before += rows
    return found


async def compare(
    source: Session,
    target: Session,
    tables: Sequence[sa.Table],
    tell: Callable[[int], Any] = lambda done: None,
) -> Findings:
    """Each row that is missing in the target, is there only, or is another; both sessions are in a snapshot.

    `tell` is told how many rows of the source were read so far. Raises Unordered.
    """
    findings = Findings()
    before = 0
    for table in tables:
        left, right = _Side(source, table), _Side(target, table)
        while await _filled(left, right):
            if left.rows == right.rows:
                left.rows, right.rows = [], []
            else:
                _merge(table, left, right, findings)
            tell(before + left.read)
        before += left.read
    return findings


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, T]) -> tuple[T, T]:
    """What both come to, at the same time. Neither goes on when the other has failed."""
    tasks = asyncio.create_task(one), asyncio.create_task(other)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class _Side:
    """A table's rows that were read but not compared yet, in order of their keys."""

    def __init__(self, session: Session, table: sa.Table) -> None:
        self.rows: list[Row] = []
        self.read = 0
        self.key = key_of(table)
        self.is_over = False
        self._pieces: AsyncIterator[list[Row]] = Canonical(session, table).pieces()

    async def fill(self) -> None:
        if not self.rows and not self.is_over:
            self.rows = await anext(self._pieces, [])
            self.read += len(self.rows)
            self.is_over = not self.rows

    def take(self, until: Key | None) -> dict[Key, Row]:
        """The rows with keys up to that one, or all, which are taken out."""
        end = len(self.rows) if until is None else bisect_right(self.rows, until, key=self.key)
        taken = {self.key(row): row for row in self.rows[:end]}
        self.rows = self.rows[end:]
        return taken


async def _filled(left: _Side, right: _Side) -> bool:
    await both(left.fill(), right.fill())
    return bool(left.rows or right.rows)


def _merge(table: sa.Table, left: _Side, right: _Side, findings: Findings) -> None:
    """Compare what both sides have so far, and leave the rows past the end of the shorter one."""
    try:
        for side in (left, right):
            keys = [side.key(row) for row in side.rows]
            if keys != sorted(keys):
                raise TypeError
        ends = [side.key(side.rows[-1]) for side in (left, right) if not side.is_over]
        until = min(ends) if len(ends) == 2 else None
    except TypeError:
        raise Unordered(
            f"The rows of table {table.name} cannot be compared: a key of theirs is not of its column's type, or is "
            "not ordered by code point."
        ) from None
    here, there = left.take(until), right.take(until)
    if here == there:
        return
    for key in sorted({**here, **there}):
        if key not in there:
            findings.add(Finding(str(table.name), key_text(key), None, "is missing in the target"))
        elif key not in here:
            findings.add(Finding(str(table.name), key_text(key), None, "is in the target only"))
        elif here[key] != there[key]:
            pairs = zip(table.columns, here[key], there[key], strict=True)
            differences = [
                Finding(
                    str(table.name),
                    key_text(key),
                    str(column.name),
                    f"is {_shown(one)}, but {_shown(other)} in the target",
                )
                for column, one, other in pairs
                if one != other
            ]
            findings.add(*differences)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."

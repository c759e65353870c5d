"""What has changed since: the log of the source and the rows that it names, at one moment, put into the target."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa

from project.database.links import Link
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.transfer import capture, gates
from project.transfer.capture import GATE_SECONDS
from project.transfer.charge import Charge, Failed
from project.transfer.pages import Key, delete_rows, key_of, rows_of
from project.transfer.protocol import Step

ENTRIES = 2000
"""How many entries of the log are in memory at once."""


class Backlog:
    """The log as the session sees it, which is in a transaction that sees one moment."""

    def __init__(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """`tables` with parents before those that refer to them."""
        self.session = session
        self._tables = {table.name: table for table in tables}
        dialect = session.held.alchemy.dialect
        self._keys = {table.name: capture.key_of(table, dialect) for table in tables}

    async def count(self) -> int:
        return int((await self.session.rows(_COUNT))[0][0])

    async def numbers(self) -> AsyncIterator[list[int]]:
        """Those of its entries."""
        async for entries in self._entries():
            yield [number for number, _, _ in entries]

    async def keys(self) -> AsyncIterator[dict[sa.Table, list[Key]]]:
        """Those of the rows that were written. One may come again in a later piece, but not twice in the same."""
        async for entries in self._entries():
            found: dict[str, dict[str, None]] = {name: {} for name in self._tables}
            for _, name, key in entries:
                found[name][key] = None
            yield {self._tables[name]: [self._keys[name](key) for key in keys] for name, keys in found.items() if keys}

    async def _entries(self) -> AsyncIterator[Sequence[Row]]:
        last = -1
        while entries := await self.session.rows(_ENTRIES, after=last, most=ENTRIES):
            yield entries
            if len(entries) < ENTRIES:
                return
            last = entries[-1][0]


async def drain(charge: Charge, source: Session, count: int) -> None:
    """APPLY and CONSUME what the session's snapshot has of the log, `count` entries."""
    charge.begin(Step.APPLY)
    link = charge.links.target
    backlog = Backlog(source, charge.tables)
    async with gates.locked(link, GATE_SECONDS, turn=charge.turn) as locked:
        await apply(charge, backlog, count, link, locked.session)
    charge.begin(Step.CONSUME)
    await _consume(charge, backlog)


async def apply(charge: Charge, backlog: Backlog, count: int, link: Link, target: Session) -> None:
    """Make the rows that the log names what they are at the source, in a transaction that holds the target's gate.

    All of them go before the first one comes: a value that has to be unique may have wandered from one to another.
    Raises Failed if they do not read back as they were.
    """
    await link.switching.begin_fill(target)
    is_long = count > ENTRIES
    if is_long:
        async for keys in backlog.keys():
            await _delete(keys, charge.tables, target)
    done = 0
    async for keys in backlog.keys():
        await _delete(keys, charge.tables, target)
        for table in charge.tables:
            async for rows in rows_of(backlog.session, table, keys.get(table, ())):
                await link.switching.bulk_insert(target, table, list(table.columns), rows)
                await _read_back(target, table, rows)
        done += sum(map(len, keys.values()))
        if is_long:
            charge.watcher.tell("Catching up", done, count)
    charge.drained += done
    await link.switching.end_fill(target)


async def _delete(keys: dict[sa.Table, list[Key]], tables: Sequence[sa.Table], target: Session) -> None:
    for table in reversed(tables):
        await delete_rows(target, table, keys.get(table, ()))


async def _read_back(target: Session, table: sa.Table, rows: Sequence[Row]) -> None:
    key = key_of(table)
    there: dict[Key, tuple[Any, ...]] = {}
    async for found in rows_of(target, table, [key(row) for row in rows]):
        there.update((key(row), tuple(row)) for row in found)
    for row in rows:
        if there.get(key(row)) != tuple(row):
            raise Failed(f"The row {list(key(row))} of table {table.name} does not read back as it was written.")


async def _consume(charge: Charge, backlog: Backlog) -> None:
    """Exactly what was read: an entry may be committed after another of a higher number."""
    async for numbers in backlog.numbers():
        async with charge.locked_source(shared=True) as locked:
            for start in range(0, len(numbers), len(_NUMBERS)):
                some = numbers[start : start + len(_NUMBERS)]
                some += [some[-1]] * (len(_NUMBERS) - len(some))
                await locked.session.run(_CONSUME, **dict(zip(_NUMBERS, some, strict=True)))


_log: Any = gates.Change.__table__
_NUMBERS = tuple(f"number_{place}" for place in range(500))
_COUNT = Statement(sa.select(sa.func.count()).select_from(_log))
_ENTRIES = Statement(
    sa.select(_log.c.seq, _log.c.tbl, _log.c.pk)
    .where(_log.c.seq > sa.bindparam("after", type_=sa.BigInteger))
    .order_by(_log.c.seq)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_CONSUME = Statement(
    sa.delete(_log).where(_log.c.seq.in_([sa.bindparam(name, type_=sa.BigInteger) for name in _NUMBERS]))
)

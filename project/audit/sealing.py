"""The chain: each entry, once it is committed, gets its place, and a seal over itself and the seal before it.

An entry's place is not the id that it waited under, since ids are not committed in their order: whatever has been
committed and waits is taken, in one transaction with the new end of the chain. That is one row, which is locked first:
whoever seals is alone, on whichever machine, and whoever dies doing it has sealed nothing. Writers never touch it.
"""

import asyncio
import contextlib
import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
import structlog

from project.audit.models import PENDING, AuditChain, AuditEntry
from project.database import Database, dialects
from project.database.errors import Conflict, DatabaseError, Transient
from project.database.sessions import Session
from project.database.statements import Statement
from project.keys import Signer
from project.times import timestamp_text

BATCH = 100
"""Entries that are sealed at once: whoever else is served waits for the millisecond or two that signing them takes."""
EMBEDDED_BATCH = 50
"""The same where there is no server: all of the process waits for them, but for no round trips."""
MOST_CAUGHT_UP = 1000
"""Entries that are sealed for who is about to read the chain, or to leave."""
SECONDS = 0.4
"""Between two looks for what waits, on average."""
LAST_SECONDS = 2.0
"""For what is left when the service ends."""

MOVED = tuple(column.key for column in PENDING.columns if column.key != "id")


class Seal(NamedTuple):
    """The end of a chain, or of a part of one. The chain of nothing ends in place 0, with an empty seal."""

    place: int
    text: str

    def next(self, signer: Signer, signature: str, sealed_at: str) -> "Seal":
        place = self.place + 1
        return Seal(place, signer.sign(self.content(signature, sealed_at)))

    def content(self, signature: str, sealed_at: str) -> bytes:
        """What the seal of the entry after this one is of."""
        return f"{self.place + 1} {sealed_at} {signature} {self.text}".encode()


START = Seal(0, "")


async def seal(database: Database) -> int:
    """Seal what was committed before this was called, at most one batch. How many entries there were."""
    if not await database.read(Chain, Chain.has_pending):
        return 0
    return await database.write(Chain, lambda chain: chain.extend(database.signer, _batch(database)))


async def catch_up(database: Database) -> None:
    """Seal what is left, MOST_CAUGHT_UP at the most. Who cannot does without."""
    with contextlib.suppress(DatabaseError):
        for _ in range(0, MOST_CAUGHT_UP, _batch(database)):
            if await seal(database) < _batch(database):
                return


def _batch(database: Database) -> int:
    return EMBEDDED_BATCH if database.dialect.embedded else BATCH


@asynccontextmanager
async def sealing(database: Database) -> AsyncIterator[None]:
    """Seal what is committed meanwhile within a second, and in the end what is left.

    While the database is away nothing is sealed, and nothing lost: entries wait in it.
    """
    ended = asyncio.Event()
    running = asyncio.create_task(_run(database, ended), name="sealing")
    try:
        yield
    finally:
        ended.set()
        await asyncio.wait({running}, timeout=LAST_SECONDS)
        running.cancel()
        await asyncio.wait({running})


async def _run(database: Database, ended: asyncio.Event) -> None:
    is_failing = False
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(random.uniform(0.5, 1.5) * SECONDS):
                await ended.wait()
        try:
            while await seal(database) == _batch(database):
                pass
            is_failing = False
        except Exception as error:  # whatever it is, entries wait, and the next look is another try
            if not is_failing:
                structlog.get_logger("audit").warning("not sealed", reason=str(error))
            is_failing = True


class Chain:
    """The chain, in a unit of work."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    async def has_pending(self) -> bool:
        return bool(await self._session.rows(_ANY_PENDING))

    async def end(self) -> Seal | None:
        """What the chain says of its end; None where it was never begun."""
        rows = await self._session.rows(_END)
        return Seal(*rows[0]) if rows else None

    async def extend(self, signer: Signer, most: int = BATCH) -> int:
        """Move entries from where they wait into the chain. How many there were."""
        end = max(await self._locked_end(), await self._last())
        waiting = await self._session.rows(_WAITING, most=most)
        if not waiting:
            return 0
        now = dt.datetime.now(dt.UTC)
        sealed_at = timestamp_text(now)
        signature = 1 + MOVED.index("signature")
        rows: list[dict[str, Any]] = []
        for row in waiting:
            end = end.next(signer, row[signature], sealed_at)
            rows.append({"id": end.place, "seal": end.text, **dict(zip(MOVED, row[1:], strict=True))})
        await self._session.run_many(_MOVE, rows, updated_at=now)
        moved = [row[0] for row in waiting]
        moved += moved[-1:] * (most - len(moved))
        await self._session.run(_forget(most), **{f"id_{place}": moved_id for place, moved_id in enumerate(moved)})
        await self._session.run(_MOVE_END, last_id=end.place, seal=end.text)
        return len(waiting)

    async def _locked_end(self) -> Seal:
        found = await self._session.rows(_LOCKED_END)
        if found:
            return Seal(*found[0])
        try:
            await self._session.run(_BEGIN, last_id=START.place, seal=START.text)
        except Exception as error:
            if isinstance(dialects.named(self._session.dialect_name).classify(error), Conflict):
                raise Transient("somebody else was first") from error
            raise
        return START

    async def _last(self) -> Seal:
        """The last entry that is there: one that does not belong there is left to be found, and stops nobody."""
        rows = await self._session.rows(_LAST)
        return Seal(*rows[0]) if rows else START


def raw(name: str, *columns: str) -> Any:
    """A table whose values pass through as the driver has them: what is moved stays the same to the last bit."""
    return sa.table(name, *map(sa.column, columns))


_entries: Any = AuditEntry.__table__
_chain: Any = AuditChain.__table__
_pending = raw(PENDING.name, "id", *MOVED)
_moved = raw(_entries.name, "id", *MOVED, "updated_at", "seal")

_ANY_PENDING = Statement(sa.select(sa.literal_column("1")).select_from(PENDING).limit(1))
_WAITING = Statement(
    sa.select(*_pending.columns).order_by(_pending.c.id).limit(sa.bindparam("most", type_=sa.Integer()))
)
_select_end = sa.select(_chain.c.last_id, _chain.c.seal)
_END = Statement(_select_end)
_LOCKED_END = Statement(_select_end.with_for_update())
_LAST = Statement(sa.select(_entries.c.id, _entries.c.seal).order_by(_entries.c.id.desc()).limit(1))
_MOVE = Statement(
    sa.insert(_moved)
    .values(
        {column.key: sa.bindparam(column.key) for column in _moved.columns}
        | {"updated_at": sa.bindparam("updated_at", type_=_entries.c.updated_at.type)}
    )
    .inline()
)
_BEGIN = Statement(sa.insert(_chain).values(id=1, last_id=sa.bindparam("last_id"), seal=sa.bindparam("seal")))
_MOVE_END = Statement(sa.update(_chain).values(last_id=sa.bindparam("last_id"), seal=sa.bindparam("seal")))


@cache
def _forget(count: int) -> Statement:
    ids = [sa.bindparam(f"id_{place}", type_=PENDING.c.id.type) for place in range(count)]
    return Statement(sa.delete(_pending).where(_pending.c.id.in_(ids)))

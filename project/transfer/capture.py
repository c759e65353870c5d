"""The log of changes: putting it up and taking it down while the service goes on, and reading what it says."""

import asyncio
import datetime as dt
import decimal
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from project.database.errors import Busy, Denied, Transient
from project.database.links import Link
from project.database.statements import Statement
from project.database.switching import LOG, holds_bytes
from project.transfer import gates
from project.transfer.stages import python_type

QUEUE_SECONDS = 0.2
"""How long a change of a table waits for those who use it: whoever comes after it waits too."""
GATE_SECONDS = 10.0
"""How long it waits for the gate, where it holds nobody up."""
PATIENCE = 60.0
"""How long it is tried again while the table is in use."""

Pause = Callable[[float], Awaitable[None]]
Change = Callable[[Any, sa.Table, float], Awaitable[None]]


async def install(link: Link, tables: Sequence[sa.Table], turn: int, pause: Pause = asyncio.sleep) -> None:
    """Let the tables log their changes, and refuse them while the database is fenced.

    Whoever writes to one of them after this is in its log, or was committed before. Raises Replaced where the turn is
    another's, Denied, and Busy, each with a sentence.
    """
    for table in tables:
        await _persist(partial(_change, link, table, turn, link.switching.guard), table.name, pause)


async def remove(link: Link, tables: Sequence[sa.Table], turn: int, pause: Pause = asyncio.sleep) -> None:
    """Leave no trace of it, and nothing in the log. Raises like `install`."""
    for table in tables:
        await _persist(partial(_change, link, table, turn, link.switching.unguard), table.name, pause)
    await _persist(partial(_empty, link, turn), LOG, pause)


async def _change(link: Link, table: sa.Table, turn: int, change: Change) -> None:
    try:
        await settle(link, [table])
        async with gates.locked(link, GATE_SECONDS, turn=turn, shared=True) as locked:
            await change(locked.session, table, QUEUE_SECONDS)
    except Denied as error:
        raise Denied(
            f"The database user may not put triggers on the table {table.name}. {link.switching.rights}"
        ) from error


async def settle(link: Link, tables: Sequence[sa.Table]) -> None:
    """To be called before the tables are locked. Raises Busy."""
    async with link.alone() as session:
        await link.switching.settle(session, tables)


async def _empty(link: Link, turn: int) -> None:
    async with gates.locked(link, GATE_SECONDS, turn=turn) as locked:
        await locked.session.run(EMPTY)


async def _persist(attempt: Callable[[], Awaitable[None]], name: str, pause: Pause) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await attempt()
        except (Busy, Transient) as error:
            if time.monotonic() > deadline:
                raise Busy(
                    f"The table {name} has been in use for {PATIENCE:.0f} seconds on end: end what reads or writes it "
                    "for that long, then try again."
                ) from error
        await pause(random.uniform(0.05, 0.2))


def key_of(table: sa.Table, dialect: Dialect) -> Callable[[str], tuple[Any, ...]]:
    """What makes of the log's `pk` the values of the table's key; `dialect` is SQLAlchemy's, of the database that
    wrote it.
    """
    parsers = [_parser(column, dialect) for column in table.primary_key]
    decode = msgspec.json.Decoder(list[Any]).decode

    def key(text: str) -> tuple[Any, ...]:
        return tuple(parse(value) for parse, value in zip(parsers, decode(text), strict=True))

    return key


def _parser(column: sa.Column[Any], dialect: Dialect) -> Callable[[Any], Any]:
    if holds_bytes(column, dialect):
        process = column.type.dialect_impl(dialect).result_processor(dialect, None)
        return bytes.fromhex if process is None else lambda text: process(bytes.fromhex(text))
    kind = python_type(column)
    parser: Callable[[Any], Any] = _PARSERS.get(kind, kind)
    return parser


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


_PARSERS: dict[Any, Callable[[Any], Any]] = {
    dt.datetime: _moment,
    dt.date: dt.date.fromisoformat,
    uuid.UUID: uuid.UUID,
    decimal.Decimal: lambda value: decimal.Decimal(str(value)),
}

EMPTY = Statement(sa.delete(sa.table(LOG)))

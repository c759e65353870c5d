"""What a database does for a switch: it logs its changes, takes rows in bulk, and no writes once it has been left.

Two tables carry it. `_gate` has one row: `fenced` says that the database takes no writes, `filling` that the
transaction which set it is exempt; that is taken back before it is committed, so nobody else ever sees it. `_changes`
is the log: of each row that was written while the tables were guarded it has the table and the key.

Every function is given a session on a link, a connection of its own outside all pools, and raises the driver's errors
and DatabaseErrors.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.database.types import Timestamp

GATE = "_gate"
LOG = "_changes"
"""Its columns: `seq`, whose order says nothing, `tbl`, and `pk`, a JSON list. Bytes are in it as hexadecimal digits."""

LONGEST_NAME = 63

REFUSAL = "This database takes no writes now: its table _gate says which one does."
"""What whoever writes to a database that is fenced is told."""

COORDINATOR_SILENCE = 3
"""Seconds that a coordinator may hold a gate without a word before the server ends its transaction, if it can. Writers
who wait for one that hangs have waited for up to a second by then, and are refused after pools.PATIENCE.
"""
WRITER_SILENCE = 10
"""The same for a unit of work of the service, which waits for nothing but the database."""


class Switching(Protocol):
    """One object of each dialect."""

    rights: str
    """What to grant, for who lacks the right to guard tables."""

    async def lock_gate(self, session: Session, wait: float, *, shared: bool = False) -> None:
        """Begin a transaction that holds the gate's row, shared with others or alone; on a database with one writer at
        a time it is that one. Raises Busy after `wait` seconds: nothing is begun then.

        A server ends the transaction by itself after COORDINATOR_SILENCE seconds without a word, or PostgreSQL when
        the next one asks for the gate; MySQL 8 and SQLite wait for who has stopped without ending.
        """
        ...

    async def guard(self, session: Session, table: sa.Table, wait: float) -> None:
        """Let the table log its changes, and refuse them while the database is fenced.

        In a transaction that holds the gate, though a database whose changes of tables end transactions ends it. Once
        that is committed, nobody writes any more who had begun before. Does no harm a second time. Raises Busy where
        the table was in use for `wait` seconds, for which others queued up.
        """
        ...

    async def unguard(self, session: Session, table: sa.Table, wait: float) -> None:
        """Remove what `guard` and `fence` made, in such a transaction. Does nothing where there is nothing."""
        ...

    async def settle(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """End what the database does with the tables by itself and would stand in the way of the others here, before
        anybody has to wait for them; outside of transactions. Raises Busy where it goes on.
        """
        ...

    async def hold_writes(self, session: Session, tables: Sequence[sa.Table], wait: float) -> None:
        """In the transaction that has locked the gate alone: wait for the writers in flight and keep out new ones,
        until it ends. Raises Busy after `wait` seconds.
        """
        ...

    async def fence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """What `fenced` needs beside it, in the transaction that sets it."""
        ...

    async def unfence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """What taking `fenced` back needs beside it, in the transaction that does."""
        ...

    async def ignore_foreign_keys(self, session: Session) -> None:
        """From now on, in this session alone, as far as that can be had; outside of transactions."""
        ...

    async def loosen(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """Drop the foreign keys of the tables where the session cannot ignore them, in a transaction that holds the
        gate.
        """
        ...

    async def tighten(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """Put back the foreign keys that are missing, unchecked for the rows that are there, in such a transaction;
        takes milliseconds.
        """
        ...

    async def validate(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """Check the rows for the foreign keys that `tighten` put back, while the service goes on; outside of
        transactions.
        """
        ...

    async def begin_fill(self, session: Session) -> None:
        """Exempt this transaction, which holds the gate's lock, from the fence and the log."""
        ...

    async def end_fill(self, session: Session) -> None: ...

    async def bulk_insert(
        self, session: Session, table: sa.Table, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
    ) -> None:
        """Insert rows of those columns' Python values; inside of a transaction."""
        ...

    async def read_sequences(self, session: Session, tables: Sequence[sa.Table]) -> dict[str, int]:
        """By table, the highest id that was given out, whether or not its row is still there; 0 for none."""
        ...

    async def raise_sequences(self, session: Session, tables: Sequence[sa.Table], highest: Mapping[str, int]) -> None:
        """Give out higher ids than those from now on. Never lowers any; outside of transactions."""
        ...


class GatedByTriggers:
    """The half of `Switching` that is the same for every database whose triggers look at the gate for each row, and
    whose sessions can ignore foreign keys: there is nothing to be switched on or off, or to be dropped and put back.
    """

    async def settle(self, session: Session, tables: Sequence[sa.Table]) -> None: ...

    async def hold_writes(self, session: Session, tables: Sequence[sa.Table], wait: float) -> None:
        """Whoever holds the gate alone has done so."""

    async def fence(self, session: Session, tables: Sequence[sa.Table]) -> None: ...

    async def unfence(self, session: Session, tables: Sequence[sa.Table]) -> None: ...

    async def loosen(self, session: Session, tables: Sequence[sa.Table]) -> None: ...

    async def tighten(self, session: Session, tables: Sequence[sa.Table]) -> None: ...

    async def validate(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """The rows are those of a database that has the same foreign keys."""

    async def begin_fill(self, session: Session) -> None:
        await session.run(_FILL, filling=True)

    async def end_fill(self, session: Session) -> None:
        await session.run(_FILL, filling=False)

    async def bulk_insert(
        self, session: Session, table: sa.Table, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
    ) -> None:
        """They have nothing faster than INSERT."""
        names = tuple(column.key for column in columns)
        await session.run_many(_insert(table, names), (dict(zip(names, row, strict=True)) for row in rows))


def introduce(connection: sa.Connection) -> None:
    """Give a database its identity, once it has the table for that, where no migration has: those that
    `makemigrations` writes for a service of one's own make tables, and no rows. 0004_switching inserts the row itself,
    so that the SQL which `sqlmigrate` prints makes a whole database; it keeps its own words for it, as every migration
    does, whatever becomes of the table later.
    """
    if not sa.inspect(connection).has_table(GATE) or connection.scalar(sa.select(_gate.c.id)) is not None:
        return
    row = {
        "id": 1,
        "identity": str(uuid.uuid4()),
        "phase": "idle",
        "fenced": False,
        "filling": False,
        "turn": 0,
        "back": False,
        "changed_at": dt.datetime.now(dt.UTC),
    }
    connection.execute(sa.insert(_gate).values(row))


_gate = sa.table(
    GATE,
    *map(sa.column, ("id", "identity", "phase", "turn")),
    *(sa.column(name, sa.Boolean()) for name in ("fenced", "filling", "back")),
    sa.column("changed_at", Timestamp()),
)
_FILL = Statement(sa.update(_gate).values(filling=sa.bindparam("filling", type_=sa.Boolean())))


def name_of(kind: str, table: sa.Table) -> str:
    """Of a trigger or function for the table, within what every database has room for."""
    name = f"_{kind}_{table.name}"
    if len(name.encode()) <= LONGEST_NAME:
        return name
    return f"{name[:40]}_{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


def holds_bytes(column: sa.Column[Any], dialect: Dialect) -> bool:
    """Whether that is what the database has in the column, whatever Python sees."""
    kind = column.type.dialect_impl(dialect)
    return isinstance(kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind, sa.LargeBinary | sa.BINARY)


@lru_cache
def _insert(table: sa.Table, names: tuple[str, ...]) -> Statement:
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
    return Statement(sa.insert(table).values(values).inline())

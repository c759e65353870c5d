"""What MariaDB and MySQL do for a switch.

The triggers of a table read the gate under a share lock that lasts until their transaction ends: who locks the gate
alone has waited out the writers in flight, and keeps out new ones. No change of a table is needed for the fence, which
would end the transaction.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncmy
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from project.database.errors import Busy
from project.database.sessions import Session
from project.database.switching import GATE, LOG, REFUSAL, GatedByTriggers, holds_bytes, name_of

MOVED = 31000
"""The error number with which the fence refuses: from the range that SIGNAL leaves to others."""
DEADLOCK = 1213
DEEPEST_CASCADE = 15
"""InnoDB goes no further: https://dev.mysql.com/doc/refman/8.4/en/create-table-foreign-keys.html."""
_TOO_LATE = frozenset({1969, 1205, 3024})

_EVENTS = ("insert", "update", "delete")


class MySQLSwitching(GatedByTriggers):
    rights = (
        "GRANT CREATE, DROP, ALTER, TRIGGER on the database to it; where the server keeps a binary log, set "
        "log_bin_trust_function_creators too."
    )

    async def lock_gate(self, session: Session, wait: float, *, shared: bool = False) -> None:
        """MySQL 8 counts the wait in whole seconds.

        Writers that wait for each other's rows may come to wait for the gate too, behind this: somebody then has to
        give way, and may come back.
        """
        select = f"SELECT 1 FROM {GATE} WHERE id = 1 {'LOCK IN SHARE MODE' if shared else 'FOR UPDATE'}"
        deadline = time.monotonic() + wait
        while True:
            await session.held.begin()
            try:
                async with _busy(session, wait) as limited:
                    await session.held.fetch(limited(select), ())
                return
            except BaseException as error:
                if isinstance(error, Exception) and not session.held.is_lost:
                    await session.held.rollback()
                is_deadlock = isinstance(error, asyncmy.errors.Error) and error.args[:1] == (DEADLOCK,)
                if not is_deadlock or time.monotonic() > deadline:
                    raise

    async def guard(self, session: Session, table: sa.Table, wait: float) -> None:
        """Even an open reader is in the way."""
        for event in _EVENTS:
            async with _busy(session, wait) as limited:
                for statement in _creation(session, table, event):
                    await session.held.execute(limited(statement))

    async def unguard(self, session: Session, table: sa.Table, wait: float) -> None:
        for event in _EVENTS:
            async with _busy(session, wait) as limited:
                await session.held.execute(limited(f"DROP TRIGGER IF EXISTS {_quoted(name_of(event, table))}"))

    async def ignore_foreign_keys(self, session: Session) -> None:
        await session.held.execute("SET SESSION foreign_key_checks = 0")

    async def read_sequences(self, session: Session, tables: Sequence[sa.Table]) -> dict[str, int]:
        if not _is_mariadb(session):
            await session.held.execute("SET SESSION information_schema_stats_expiry = 0")
        rows = await session.held.fetch(
            "SELECT table_name, auto_increment FROM information_schema.tables WHERE table_schema = DATABASE()", ()
        )
        found = {str(name): int(following) - 1 for name, following in rows if following is not None}
        return {table.name: found.get(table.name, 0) for table in tables if table.autoincrement_column is not None}

    async def raise_sequences(self, session: Session, tables: Sequence[sa.Table], highest: Mapping[str, int]) -> None:
        for name, there in (await self.read_sequences(session, tables)).items():
            if highest.get(name, 0) > there:
                await session.held.execute(f"ALTER TABLE {_quoted(name)} AUTO_INCREMENT = {highest[name] + 1}")


def _creation(session: Session, table: sa.Table, event: str) -> list[str]:
    """An id is known after its row was inserted; the rows that a foreign key changes too, only before.

    A trigger ends the transaction that makes it, so it may be made by who has been replaced meanwhile: where there is
    no switch it does nothing.
    """
    name = _quoted(name_of(event, table))
    when = "AFTER" if event == "insert" else "BEFORE"
    body = f"""TRIGGER {name} {when} {event.upper()} ON {_quoted(table.name)} FOR EACH ROW BEGIN
  DECLARE is_fenced, is_filling, is_logging BOOL;
  SELECT fenced, filling, switch IS NOT NULL INTO is_fenced, is_filling, is_logging
    FROM {GATE} WHERE id = 1 LOCK IN SHARE MODE;
  IF is_logging AND NOT is_filling THEN
    IF is_fenced THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {MOVED}, MESSAGE_TEXT = {_literal(REFUSAL)}; END IF;
    {" ".join(_entries(table, event, session.held.alchemy.dialect))}
  END IF;
END"""
    if _is_mariadb(session):
        return [f"CREATE OR REPLACE {body}"]
    return [f"DROP TRIGGER IF EXISTS {name}", f"CREATE {body}"]


def _entries(table: sa.Table, event: str, dialect: Dialect) -> Iterator[str]:
    columns = {column: _quoted(column.name) for column in table.columns}
    old = {column: f"OLD.{name}" for column, name in columns.items()}
    new = {column: f"NEW.{name}" for column, name in columns.items()}
    if event == "insert":
        yield _entry(table, new, dialect)
        return
    if event == "delete":
        yield _entry(table, old, dialect)
        yield from _cascades(table, "ondelete", old, None, dialect)
        return
    differs = " OR ".join(f"NOT OLD.{columns[key]} <=> NEW.{columns[key]}" for key in table.primary_key)
    yield f"IF {differs} THEN {_entry(table, old, dialect)} END IF;"
    yield _entry(table, new, dialect)
    yield from _cascades(table, "onupdate", old, new, dialect)


def _entry(table: sa.Table, values: Mapping[Any, str], dialect: Dialect) -> str:
    return f"INSERT INTO {LOG} (tbl, pk) VALUES ({_literal(table.name)}, {_key(table, values, dialect)});"


def _cascades(
    table: sa.Table,
    action: str,
    old: Mapping[Any, str],
    new: Mapping[Any, str] | None,
    dialect: Dialect,
    path: tuple[tuple[str, str], ...] = (),
) -> Iterator[str]:
    """Entries for the rows that foreign keys change along with one of `table`, for which no trigger fires.

    `old` and `new` say how the columns of that row are written, before the change and after it; `path` names the tables
    by which it was come to, each with what ties it to the one before.
    """
    if len(path) == DEEPEST_CASCADE:
        return
    for child in table.metadata.sorted_tables:
        for key in child.foreign_key_constraints:
            does = (getattr(key, action) or "").upper()
            if key.referred_table is not table or does not in ("CASCADE", "SET NULL", "SET DEFAULT"):
                continue
            alias = f"t{len(path)}"
            pairs = [(element.parent, element.column) for element in key.elements]
            before = {column: f"{alias}.{_quoted(column.name)}" for column in child.columns}
            after = None if new is None else {**before, **{mine: new[theirs] for mine, theirs in pairs}}
            tie = " AND ".join(f"{before[mine]} = {old[theirs]}" for mine, theirs in pairs)
            further = (*path, (f"{_quoted(child.name)} AS {alias}", tie))
            found = f"FROM {', '.join(name for name, _ in further)} WHERE {' AND '.join(ties for _, ties in further)}"
            for key_of_row in dict.fromkeys(
                _key(child, values, dialect) for values in (before, after) if values is not None
            ):
                yield (
                    f"INSERT INTO {LOG} (tbl, pk) SELECT {_literal(child.name)}, {key_of_row} {found} "
                    "LOCK IN SHARE MODE;"
                )
            if does == "CASCADE":
                yield from _cascades(child, action, before, after, dialect, further)


def _key(table: sa.Table, values: Mapping[Any, str], dialect: Dialect) -> str:
    parts = [
        f"HEX({values[column]})" if holds_bytes(column, dialect) else values[column] for column in table.primary_key
    ]
    return f"JSON_ARRAY({', '.join(parts)})"


@asynccontextmanager
async def _busy(session: Session, wait: float) -> AsyncIterator[Callable[[str], str]]:
    """What gives a statement so many seconds; raises Busy for one that waited them in vain."""
    limit: Callable[[str], str]
    if _is_mariadb(session):
        limit = f"SET STATEMENT max_statement_time = {wait} FOR {{}}".format
    else:
        seconds = max(1, math.ceil(wait))
        await session.held.execute(f"SET SESSION lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}")
        limit = str
    try:
        yield limit
    except asyncmy.errors.Error as error:
        if error.args and error.args[0] in _TOO_LATE:
            raise Busy from error
        raise


def _is_mariadb(session: Session) -> bool:
    return bool(getattr(session.held.alchemy.dialect, "is_mariadb", False))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

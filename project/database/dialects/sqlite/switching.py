"""What SQLite does for a switch: one writer at a time, and triggers that look at the gate."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from project.database.errors import Busy
from project.database.sessions import Session
from project.database.switching import GATE, LOG, REFUSAL, GatedByTriggers, holds_bytes, name_of

POLL = 0.001
"""Seconds between two tries to become the writer: SQLite has no queue for it."""


class SQLiteSwitching(GatedByTriggers):
    rights = "Let the user that runs the command write to the file."

    async def lock_gate(self, session: Session, wait: float, *, shared: bool = False) -> None:
        deadline = time.monotonic() + wait
        while True:
            try:
                await session.held.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    raise
                if time.monotonic() > deadline:
                    raise Busy from error
            await asyncio.sleep(POLL)

    async def guard(self, session: Session, table: sa.Table, wait: float) -> None:
        for statement in (*_removal(table), *_triggers(table, session.held.alchemy.dialect)):
            await session.held.execute(statement)

    async def unguard(self, session: Session, table: sa.Table, wait: float) -> None:
        for statement in _removal(table):
            await session.held.execute(statement)

    async def ignore_foreign_keys(self, session: Session) -> None:
        await session.held.execute("PRAGMA foreign_keys = OFF")

    async def read_sequences(self, session: Session, tables: Sequence[sa.Table]) -> dict[str, int]:
        found = {
            str(name): int(seq) for name, seq in await session.held.fetch("SELECT name, seq FROM sqlite_sequence", ())
        }
        return {table.name: found.get(table.name, 0) for table in tables if table.autoincrement_column is not None}

    async def raise_sequences(self, session: Session, tables: Sequence[sa.Table], highest: Mapping[str, int]) -> None:
        there = await self.read_sequences(session, tables)
        for name, seq in there.items():
            if highest.get(name, 0) > seq:
                await session.held.execute(_SEQUENCE, (name, highest[name]))


_SEQUENCE = """
REPLACE INTO sqlite_sequence (rowid, name, seq)
SELECT s.rowid, t.name, max(coalesce(s.seq, 0), ?2)
FROM sqlite_master AS t LEFT JOIN sqlite_sequence AS s ON s.name = t.name WHERE t.type = 'table' AND t.name = ?1
"""

_EVENTS = {"insert": ("NEW",), "update": ("OLD", "NEW"), "delete": ("OLD",)}
"""What happens to a row, and the versions of it that there are then."""


def _triggers(table: sa.Table, dialect: Dialect) -> Iterator[str]:
    """What REPLACE removes to make room fires no trigger but on connections that ask for it: it is logged before."""

    def entry(version: str, rest: str = "") -> str:
        return f"INSERT INTO {LOG} (tbl, pk) SELECT {_literal(table.name)}, {_key(table, version, dialect)}{rest}; "

    def trigger(kind: str, when: str, event: str, condition: str, body: str) -> str:
        return (
            f"CREATE TRIGGER {_quoted(name_of(f'{kind}_{event}', table))} {when} {event.upper()} "
            f"ON {_quoted(table.name)} WHEN (SELECT {condition} FROM {GATE}) BEGIN {body}END"
        )

    refusal = f"SELECT RAISE(ABORT, {_literal(REFUSAL)}); "
    replaced = "".join(
        entry("there", f" FROM {_quoted(table.name)} AS there WHERE {_matches(columns)}") for columns in _unique(table)
    )
    for event, versions in _EVENTS.items():
        yield trigger("fence", "BEFORE", event, "fenced AND NOT filling", refusal)
        is_moved = f" WHERE {_differs(table)}" if event == "update" else ""
        entries = [entry(version, is_moved if version == "OLD" else "") for version in versions]
        yield trigger("log", "AFTER", event, "NOT filling", "".join(entries))
        if event != "delete" and replaced:
            yield trigger("replaced", "BEFORE", event, "NOT filling", replaced)


def _removal(table: sa.Table) -> list[str]:
    return [
        f"DROP TRIGGER IF EXISTS {_quoted(name_of(f'{kind}_{event}', table))}"
        for kind in ("fence", "log", "replaced")
        for event in _EVENTS
    ]


def _unique(table: sa.Table) -> Iterator[Sequence[sa.Column[Any]]]:
    """What no two rows may share, beside the key."""
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            yield list(constraint.columns)
    for index in table.indexes:
        if index.unique:
            yield list(index.columns)


def _matches(columns: Sequence[sa.Column[Any]]) -> str:
    names = [_quoted(column.name) for column in columns]
    return " AND ".join(f"there.{name} = NEW.{name}" for name in names)


def _key(table: sa.Table, version: str, dialect: Dialect) -> str:
    parts = []
    for column in table.primary_key:
        value = f"{version}.{_quoted(column.name)}"
        parts.append(f"hex({value})" if holds_bytes(column, dialect) else value)
    return f"json_array({', '.join(parts)})"


def _differs(table: sa.Table) -> str:
    names = [_quoted(column.name) for column in table.primary_key]
    return " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""What SQLite does for a switch: one writer at a time, and triggers that look at the gate."""

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from project.database.errors import Busy
from project.database.sessions import Session
from project.database.statements import Row
from project.database.switching import GATE, LOG, REFUSAL, holds_bytes, insert_rows, name_of

POLL = 0.001
"""Seconds between two tries to become the writer: SQLite has no queue for it."""


class SQLiteSwitching:
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
        for statement in (*_removal(table), *_triggers(table)):
            await session.held.execute(statement)

    async def unguard(self, session: Session, table: sa.Table, wait: float) -> None:
        for statement in _removal(table):
            await session.held.execute(statement)

    async def hold_writes(self, session: Session, tables: Sequence[sa.Table], wait: float) -> None:
        """Who holds the gate is the only writer."""

    async def fence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """The triggers look at the gate."""

    async def unfence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """The triggers look at the gate."""

    async def ignore_foreign_keys(self, session: Session) -> None:
        await session.held.execute("PRAGMA foreign_keys = OFF")

    async def loosen(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """The session ignores them."""

    async def tighten(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """They were never dropped."""

    async def validate(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """The rows are those of a database that has them too."""

    async def begin_fill(self, session: Session) -> None:
        await session.held.execute(f"UPDATE {GATE} SET filling = 1")

    async def end_fill(self, session: Session) -> None:
        await session.held.execute(f"UPDATE {GATE} SET filling = 0")

    async def bulk_insert(
        self, session: Session, table: sa.Table, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
    ) -> None:
        await insert_rows(session, table, columns, rows)

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


def _triggers(table: sa.Table) -> list[str]:
    """The log's do what they do within the statement that fires them, cascades and REPLACE included."""
    name = _quoted(table.name)
    statements = []
    for event, versions in _EVENTS.items():
        statements.append(
            f"CREATE TRIGGER {_quoted(name_of(f'fence_{event}', table))} BEFORE {event.upper()} ON {name} "
            f"WHEN (SELECT fenced AND NOT filling FROM {GATE}) BEGIN SELECT RAISE(ABORT, {_literal(REFUSAL)}); END"
        )
        entries = "".join(
            f"INSERT INTO {LOG} (tbl, pk) SELECT {_literal(table.name)}, {_key(table, version)}"
            # An update that leaves the key as it is needs one entry.
            f"{f' WHERE {_differs(table)}' if version == 'OLD' and event == 'update' else ''}; "
            for version in versions
        )
        statements.append(
            f"CREATE TRIGGER {_quoted(name_of(f'log_{event}', table))} AFTER {event.upper()} ON {name} "
            f"WHEN (SELECT NOT filling FROM {GATE}) BEGIN {entries}END"
        )
    return statements


def _removal(table: sa.Table) -> list[str]:
    return [
        f"DROP TRIGGER IF EXISTS {_quoted(name_of(f'{kind}_{event}', table))}"
        for kind in ("fence", "log")
        for event in _EVENTS
    ]


def _key(table: sa.Table, version: str) -> str:
    parts = []
    for column in table.primary_key:
        value = f"{version}.{_quoted(column.name)}"
        parts.append(f"hex({value})" if holds_bytes(column) else value)
    return f"json_array({', '.join(parts)})"


def _differs(table: sa.Table) -> str:
    names = [_quoted(column.name) for column in table.primary_key]
    return " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""Everything that a database is made of beside its rows, as its own catalogue lists it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from tests.servers import in_a_loop
from tests.units import Desk, opened

_CATALOGUES = {
    "sqlite": ["SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"],
    "postgresql": [
        "SELECT relkind::text, relname::text, '' FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        "SELECT 'function', proname::text, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        "SELECT tgrelid::regclass::text, tgname::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT 'constraint', conname::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0",
    ],
    "mysql": [
        "SELECT table_type, table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()",
        "SELECT event_object_table, trigger_name, action_statement FROM information_schema.triggers "  # noqa: ISC004
        "WHERE trigger_schema = DATABASE()",
        "SELECT routine_type, routine_name, '' FROM information_schema.routines WHERE routine_schema = DATABASE()",
        "SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints "  # noqa: ISC004
        "WHERE table_schema = DATABASE()",
    ],
}


def schema(url: str) -> set[tuple[str, ...]]:
    """Tables, indexes where they are listed apart, triggers, functions and constraints."""

    async def scenario() -> set[tuple[str, ...]]:
        async with opened(url) as database:
            found: set[tuple[str, ...]] = set()
            for query in _CATALOGUES[database.dialect.name]:
                clause = sa.text(query.replace(":", "\\:"))
                rows = await database.read(Desk, lambda desk, clause=clause: desk.look(clause))  # type: ignore[misc]
                found.update(tuple(map(str, row)) for row in rows)
            return found

    return in_a_loop(scenario)


def in_file(url: str, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a statement on an SQLite database, as its own shell would run it."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()

"""Databases with very many students, always the same ones."""

import asyncio
import datetime as dt
from typing import Any

import sqlalchemy as sa

from project import registry
from project.database import Database, migrations
from project.database.statements import Statement
from project.database.trails import PENDING
from tests import rosters, units

NOW = dt.datetime(2026, 1, 31, 9, 30, 0, 123456, dt.UTC)
TOGETHER = 10_000

students = registry.metadata(("students",)).tables["students"]


def filled(url: str, count: int) -> str:
    """The URL, of a database that is migrated and has so many of them: the same rows on every engine."""

    async def fill() -> None:
        async with units.opened(url) as database:
            await migrations.migrate(database)
            for start in range(0, count, TOGETHER):
                rows = _rows(start + 1, min(start + TOGETHER, count))
                await database.write(units.Desk, lambda desk, rows=rows: desk.session.run_many(_INSERT, rows))  # type: ignore[misc]
            settle = database.dialect.after_given_ids(students.c.id)
            if settle is not None:
                await database.write(units.Desk, lambda desk: desk.session.execute(settle))
            await unsaid(database)

    asyncio.run(fill())
    return url


async def unsaid(database: Database) -> None:
    """What units of work did leaves no trace: it happened at another moment in each database."""
    await database.write(units.Desk, lambda desk: desk.change(sa.delete(PENDING)))


def _rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            **student,
            "id": number,
            "name_folded": student["name"].casefold(),
            "created_at": NOW + dt.timedelta(microseconds=number),
            "updated_at": NOW + dt.timedelta(days=number % 1000),
        }
        for number, student in enumerate(rosters.students(last - first + 1, seed=first), first)
    ]


_INSERT = Statement(
    sa.insert(students).values({column.key: sa.bindparam(column.key, type_=column.type) for column in students.columns})
)

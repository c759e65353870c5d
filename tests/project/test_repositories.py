from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apps.students.schemas import StudentCreate
from apps.students.services import StudentService
from project.database import migrations
from project.database.sessions import Session
from project.pagination import Cursors
from tests.servers import in_a_loop
from tests.units import opened

ROWS = 3000
PAGE = 50

Meter = Callable[[Session], Awaitable[Callable[[], Awaitable[int]]]]


async def _steps(session: Session) -> Callable[[], Awaitable[int]]:
    """Of SQLite's virtual machine."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    driver: Any = (await session.held.alchemy.get_raw_connection()).driver_connection
    driver.raw.set_progress_handler(step, 1)

    async def read() -> int:
        return steps

    return read


def _sum_of(sql: str) -> Meter:
    async def start(session: Session) -> Callable[[], Awaitable[int]]:
        async def read() -> int:
            return sum(int(row[-1]) for row in await session.held.fetch(sql, ()))

        return read

    return start


METERS: dict[str, Meter] = {
    "sqlite": _steps,
    "postgresql": _sum_of(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
    ),
    "mariadb": _sum_of("SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%'"),
    "mysql": _sum_of("SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%'"),
}
"""What an engine has done so far, counted by itself."""


class TestPage:
    @pytest.mark.parametrize("filters", [{}, {"department": ("CSE",)}], ids=["all", "one department"])
    def test_costs_the_same_at_any_depth_however_many_rows_are_equal(
        self, engine: str, new_database: Callable[[str], str], filters: dict[str, Any]
    ) -> None:
        cursors = Cursors("secret")
        sort = "id"
        columns = ("id", "name", "department", "cgpa", "created_at", "updated_at")

        async def costs(students: StudentService) -> list[int]:
            """Of every page of a walk from one end to the other."""
            read = await METERS[engine](students.repository.session)
            found: list[int] = []
            cursor, seen = None, 0
            while True:
                before = await read()
                nothing_else = await read() - before
                page = await students.page(cursors, filters=filters, sort=sort, limit=PAGE, cursor=cursor)
                found.append(await read() - before - 2 * nothing_else)
                seen += len(page.items)
                if not isinstance(page.next_cursor, str):
                    assert seen == ROWS
                    return found
                cursor = page.next_cursor

        async def scenario() -> None:
            nonlocal sort
            async with opened(new_database(engine)) as database:
                await migrations.migrate(database)
                equal = [StudentCreate("Ananya", "CSE", 8.9)] * ROWS
                await database.write(StudentService, lambda students: students.create_many(equal))
                for sort in (f"{turn}{column}" for column in columns for turn in ("", "-")):
                    first, second, *others = await database.snapshot(StudentService, costs)
                    assert max(others) <= 2 * max(first, second), f"{sort}: {first}, {second}, then {others}"

        in_a_loop(scenario)

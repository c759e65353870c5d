import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from project.database import parse_url
from project.database.dialects import sqlite as dialect
from project.settings import BASE_DIR
from tests.servers import in_a_loop
from tests.units import Desk, book, furnished, opened, titles

pytestmark = pytest.mark.engines("sqlite")


def counting_to(number: int) -> sa.Select[Any]:
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    return sa.select(sa.func.count()).select_from(
        numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < number))
    )


class TestUrl:
    def test_relative_path_counts_from_the_project(self) -> None:
        assert parse_url("sqlite:///data/registrar.sqlite3").database == str(BASE_DIR / "data" / "registrar.sqlite3")

    def test_absolute_path_stays(self, tmp_path: Path) -> None:
        assert parse_url(f"sqlite:///{tmp_path}/registrar.sqlite3").database == f"{tmp_path}/registrar.sqlite3"

    def test_home_is_known(self) -> None:
        assert parse_url("sqlite:///~/registrar.sqlite3").database == str(Path.home() / "registrar.sqlite3")


class TestReads:
    def test_long_one_does_not_stall_short_ones(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_STATEMENT_TIMEOUT="60") as database:
                await database.write(Desk, lambda desk: desk.add(book, title="one", price=1.0))
                endless = asyncio.create_task(database.read(Desk, lambda desk: desk.look(counting_to(10**12))))
                for _ in range(200):
                    assert await titles(database) == ["one"]
                    await database.write(Desk, lambda desk: desk.change(sa.update(book).values(price=2.0)))
                assert not endless.done()
                endless.cancel()
                await asyncio.wait({endless})
                assert endless.cancelled()

        in_a_loop(scenario)

    def test_many_long_ones_do_not_stall_writes(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_STATEMENT_TIMEOUT="60", DATABASE_POOL_SIZE="4") as database:
                async with asyncio.TaskGroup() as group:
                    endless = [
                        group.create_task(database.read(Desk, lambda desk: desk.look(counting_to(10**12))))
                        for _ in range(4)
                    ]
                    for _ in range(20):
                        await database.write(Desk, lambda desk: desk.add(book, title="one", price=1.0))
                    for task in endless:
                        task.cancel()
                assert len(await titles(database)) == 20

        in_a_loop(scenario)

    def test_snapshot_takes_its_time(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_STATEMENT_TIMEOUT="0.001") as database:
                rows = await database.snapshot(Desk, lambda desk: desk.look(counting_to(300_000)))
                assert rows[0][0] == 300_000

        in_a_loop(scenario)


class TestWrites:
    def test_are_on_disk_when_they_are_answered(self, database_url: str) -> None:
        async def settings(desk: Desk) -> dict[str, Any]:
            names = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
            return {name: (await desk.session.held.fetch(f"PRAGMA {name}", ()))[0][0] for name in names}

        async def scenario() -> None:
            async with opened(database_url) as database:
                found = await database.write(Desk, settings)
                assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "recursive_triggers": 1}
                async with database.connect() as connection:
                    assert await dialect.hazards(connection) == []

        in_a_loop(scenario)


class TestTables:
    def test_give_no_id_out_again(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                first = await database.write(Desk, lambda desk: desk.add(book, price=1.0))
                await database.write(Desk, lambda desk: desk.change(sa.delete(book)))
                assert await database.write(Desk, lambda desk: desk.add(book, price=1.0)) > first

        in_a_loop(scenario)

"""Migrations called as a library, on every engine."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TypeVar

import pytest

from project import registry
from project.database import Database, migrations
from project.settings import Settings

T = TypeVar("T")
Run = Callable[[Callable[[Database], Awaitable[T]]], T]


@pytest.fixture
def run(settings: Settings) -> Iterator[Run[object]]:
    """Runs a function of the database, where nothing is migrated at first."""
    with asyncio.Runner() as runner:
        database = runner.run(_open(settings))
        runner.run(migrations.migrate(database, migrations.NOTHING))
        yield lambda work: runner.run(_awaited(work, database))
        runner.run(database.close())


async def _open(settings: Settings) -> Database:
    return Database(settings)


async def _awaited(work: Callable[[Database], Awaitable[T]], database: Database) -> T:
    return await work(database)


class TestMigrate:
    def test_every_migration_goes_there_and_back(self, run: Run[object]) -> None:
        before = None
        for name in migrations.history():
            for revision in (name, before or migrations.NOTHING, name):
                run(partial(migrations.migrate, revision=revision))
                assert run(migrations.current) == (None if revision == migrations.NOTHING else revision)
            before = name
        assert run(migrations.pending) == []

    def test_reports_each_step(self, run: Run[object]) -> None:
        steps: list[migrations.Step] = []
        run(lambda database: migrations.migrate(database, report=steps.append))
        assert [step.name for step in steps] == list(migrations.history())
        assert all(step.forward for step in steps)
        steps.clear()
        run(lambda database: migrations.migrate(database, migrations.NOTHING, steps.append))
        assert [step.name for step in steps] == list(reversed(migrations.history()))
        assert not any(step.forward for step in steps)


class TestDrift:
    def test_is_none_on_a_migrated_database(self, run: Run[object], settings: Settings) -> None:
        run(migrations.migrate)
        metadata = registry.metadata(settings.installed_apps)
        assert run(lambda database: migrations.drift(database, metadata)) == []


class TestRequire:
    def test_refuses_a_database_that_lacks_migrations(self, run: Run[object]) -> None:
        with pytest.raises(migrations.MigrationError, match="migrate"):
            run(migrations.require)
        run(migrations.migrate)
        assert run(migrations.require) is None

"""`manage.py databases`: what the aliases lead to."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import click
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import URL

from project import registry
from project.commands._tables import show
from project.database import Database, migrations
from project.database.errors import DatabaseError
from project.settings import Settings, SettingsError, load
from project.transfer import way_back
from project.transfer.visiting import Visitor

GROUP = "Database"

HEADINGS = ("alias", "engine", "version", "reachable", "migrated", "rows", "active")
PATIENCE = 10
"""Seconds that a database has for its answers."""


@click.command()
def databases() -> None:
    """List the databases that the settings name."""
    settings = load()
    tables = [model.__table__ for model in registry.models(settings.installed_apps).values()]

    async def look() -> list[_Found]:
        active = await _active(settings)
        return await asyncio.gather(*(_look(settings, alias, active, tables) for alias in settings.databases))

    found = asyncio.run(look())
    show(HEADINGS, [row for row, _ in found])
    for (alias, *_), warning in found:
        if warning is not None:
            click.echo(f"{alias}: {warning}", err=True)


_Found = tuple[Sequence[str], str | None]
"""A row of the table, and what its reader should know besides."""


async def _active(settings: Settings) -> URL:
    """Of the database that the service uses, as far as can be found out: the default, or where its record leads to."""
    visitor = Visitor(settings)
    with contextlib.suppress(DatabaseError, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await visitor.find(writes=False)
    await visitor.close()
    return visitor.place.url


async def _look(settings: Settings, alias: str, active_url: URL, tables: Sequence[sa.Table]) -> _Found:
    try:
        database = Database(msgspec.structs.replace(settings, databases={"default": settings.databases[alias]}))
    except SettingsError as error:
        return (alias, "", "", f"no: {error}", "", "", ""), None
    active = "yes" if database.url == active_url else ""
    warning = None
    try:
        async with asyncio.timeout(PATIENCE):
            answers = await _answers(database, tables)
            if answers.rows:
                warning = await way_back.warning(database)
    except TimeoutError:
        answers = _Answers("", f"no: it did not answer within {PATIENCE} seconds", "", "")
    except DatabaseError as error:
        answers = _Answers("", f"no: {error}", "", "")
    finally:
        await database.close()
    return (alias, database.dialect.title, *answers, active), warning


class _Answers(NamedTuple):
    version: str
    reachable: str
    migrated: str
    rows: str


async def _answers(database: Database, tables: Sequence[sa.Table]) -> _Answers:
    if not migrations.is_there(database):
        return _Answers("", "no: the file is not there yet, `migrate` makes it", "no", "")
    async with database.connect() as connection:
        version = await database.dialect.server_version(connection)
    try:
        waiting = await migrations.pending(database)
    except migrations.MigrationError as error:
        return _Answers(version, "yes", f"no: {error}", "")
    if waiting:
        return _Answers(version, "yes", f"no: {len(waiting)} to go", "")
    async with database.connect() as connection:
        counts = [await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables]
    return _Answers(version, "yes", "yes", f"{sum(counts):,}")

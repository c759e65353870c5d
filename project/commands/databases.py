"""`manage.py databases`: what the aliases lead to."""

import asyncio
from collections.abc import Sequence

import click
import msgspec
import sqlalchemy as sa

from project import registry
from project.commands._tables import show
from project.database import Database, migrations, parse_url
from project.database.errors import DatabaseError
from project.settings import Settings, SettingsError, load

GROUP = "Database"

HEADINGS = ("alias", "engine", "version", "reachable", "migrated", "rows", "active")
PATIENCE = 10
"""Seconds that a database has for its answers."""


@click.command()
def databases() -> None:
    """List the databases that the settings name."""
    settings = load()
    tables = [model.__table__ for model in registry.models(settings.installed_apps).values()]

    async def look() -> list[Sequence[str]]:
        return await asyncio.gather(*(_row(settings, alias, tables) for alias in settings.databases))

    show(HEADINGS, asyncio.run(look()))


async def _row(settings: Settings, alias: str, tables: Sequence[sa.Table]) -> Sequence[str]:
    try:
        database = Database(msgspec.structs.replace(settings, databases={"default": settings.databases[alias]}))
    except SettingsError as error:
        return (alias, "", "", f"no: {error}", "", "", "")
    active = "yes" if database.url == parse_url(settings.database_url) else ""
    try:
        async with asyncio.timeout(PATIENCE):
            return (alias, database.dialect.title, *await _answers(database, tables), active)
    except TimeoutError:
        return (alias, database.dialect.title, "", f"no: it did not answer within {PATIENCE} seconds", "", "", active)
    except DatabaseError as error:
        return (alias, database.dialect.title, "", f"no: {error}", "", "", active)
    finally:
        await database.close()


async def _answers(database: Database, tables: Sequence[sa.Table]) -> tuple[str, str, str, str]:
    """Version, reachable, migrated, rows."""
    if not migrations.is_there(database):
        return ("", "no: the file is not there yet, `migrate` makes it", "no", "")
    async with database.connect() as connection:
        version = await database.dialect.server_version(connection)
    try:
        waiting = await migrations.pending(database)
    except migrations.MigrationError as error:
        return (version, "yes", f"no: {error}", "")
    if waiting:
        return (version, "yes", f"no: {len(waiting)} to go", "")
    async with database.connect() as connection:
        counts = [await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0 for table in tables]
    return (version, "yes", "yes", f"{sum(counts):,}")

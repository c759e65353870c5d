"""`manage.py flush`: an empty database."""

import asyncio
from collections.abc import Sequence

import click
import sqlalchemy as sa
from sqlalchemy.engine import URL

from project import registry
from project.commands._database import with_database
from project.database import Database, migrations, parse_url
from project.database.sessions import Session
from project.database.statements import Statement
from project.settings import load
from project.transfer import emptying
from project.transfer.protocol import Phase, Refused

GROUP = "Data"

PHASES = frozenset({Phase.IDLE, Phase.RETAINING})
"""Those of the active database in which no switch is under way."""


@click.command()
@click.option("--noinput", is_flag=True, help="Do not ask.")
@click.option("--database", "alias", help="Not the active one, but one that the service has left, by its alias.")
def flush(noinput: bool, alias: str | None) -> None:
    """Delete every row of every table but the audit trail's.

    The tables stay as they are, and ids that were given out are not given out again. A database that the service has
    left is emptied of everything; it takes writes again then, and leads nobody to the active one any more.
    """
    settings = load()
    alias = alias and alias.lower()
    tables = registry.tables(settings.installed_apps)
    if alias is None:
        url = with_database(settings, _url, PHASES)
    elif alias in settings.databases:
        url = parse_url(settings.databases[alias])
    else:
        raise click.BadParameter(f"{alias} is none of the aliases, which are {', '.join(settings.databases)}.")
    shown = url.set(drivername=url.get_backend_name(), query={}).render_as_string(hide_password=True)
    if not noinput and not click.confirm(f"Delete every row of {shown}?"):
        raise click.ClickException("Nothing was deleted.")

    async def work(database: Database) -> dict[str, int]:
        return await database.write(
            Rows, lambda rows: rows.delete([table for table in tables[::-1] if not table.info.get("kept")])
        )

    try:
        counts = (
            with_database(settings, work, PHASES)
            if alias is None
            else asyncio.run(emptying.empty(settings, alias, tables))
        )
    except Refused as error:
        raise click.ClickException(str(error)) from error
    for name, count in counts.items():
        click.echo(f"Deleted {count:,} of {name}")


async def _url(database: Database) -> URL:
    await migrations.require(database)
    return database.url


class Rows:
    """The rows of any table, in a unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def delete(self, tables: Sequence[sa.Table]) -> dict[str, int]:
        """All of them, in the order given; how many there were. DELETE, because TRUNCATE starts ids anew."""
        self._session.trail.name("flush")
        return {table.name: await self._session.run(Statement(sa.delete(table))) for table in tables}

"""`manage.py flush`: an empty database."""

from collections.abc import Sequence

import click
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from project import registry
from project.commands._database import with_database
from project.database import Database, migrations
from project.database.sessions import Session
from project.database.statements import Statement
from project.settings import load

GROUP = "Data"


@click.command()
@click.option("--noinput", is_flag=True, help="Do not ask.")
def flush(noinput: bool) -> None:
    """Delete every row of every table but the audit trail's.

    The tables stay as they are, and ids that were given out are not given out again.
    """
    settings = load()
    tables = [table for table in reversed(registry.tables(settings.installed_apps)) if not table.info.get("kept")]
    place = make_url(settings.database_url).render_as_string(hide_password=True)
    with_database(settings, migrations.require)
    if not noinput and not click.confirm(f"Delete every row of {place}?"):
        raise click.ClickException("Nothing was deleted.")

    async def work(database: Database) -> dict[str, int]:
        return await database.write(Rows, lambda rows: rows.delete(tables))

    for name, count in with_database(settings, work).items():
        click.echo(f"Deleted {count:,} of {name}")


class Rows:
    """The rows of any table, in a unit of work."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def delete(self, tables: Sequence[sa.Table]) -> dict[str, int]:
        """All of them, in the order given; how many there were. DELETE, because TRUNCATE starts ids anew."""
        self._session.trail.name("flush")
        return {table.name: await self._session.run(Statement(sa.delete(table))) for table in tables}

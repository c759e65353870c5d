"""`manage.py sqlmigrate`: a migration as SQL."""

import click

from project.commands._database import with_database
from project.database import Database, migrations
from project.settings import load

GROUP = "Database"


@click.command()
@click.argument("revision")
@click.option("--backwards", is_flag=True, help="Of taking the migration back.")
def sqlmigrate(revision: str, backwards: bool) -> None:
    """Print the SQL of a migration.

    REVISION is its number or its name. The SQL is that of the active database, which is not connected to.
    """

    async def text(database: Database) -> str:
        return migrations.sql(database, revision, backwards=backwards)

    click.echo(with_database(load(), text).strip())

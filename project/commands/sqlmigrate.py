"""`manage.py sqlmigrate`: a migration as SQL."""

import click

from project.database import Database, migrations
from project.settings import load

GROUP = "Database"


@click.command()
@click.argument("revision")
@click.option("--backwards", is_flag=True, help="Of taking the migration back.")
def sqlmigrate(revision: str, backwards: bool) -> None:
    """Print the SQL of a migration.

    REVISION is its number or its name. The SQL is for the kind of database that DATABASE_URL names, which is not
    connected to.
    """
    click.echo(migrations.sql(Database(load()), revision, backwards=backwards).strip())

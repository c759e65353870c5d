"""`manage.py migrate`: the database's tables, brought to any point of their history."""

import click

from project.commands._database import with_database
from project.database import migrations
from project.settings import load
from project.transfer.protocol import Phase

GROUP = "Database"


@click.command()
@click.argument("revision", default=migrations.LATEST)
def migrate(revision: str) -> None:
    """Bring the database to the latest migration, or to another.

    REVISION is the number or the name of a migration: those up to it are applied, those after it taken back. `zero`
    takes back all of them, and with them every row.
    """
    done: list[migrations.Step] = []

    def report(step: migrations.Step) -> None:
        done.append(step)
        click.echo(f"{'Applied' if step.forward else 'Took back'} {step.name}")

    with_database(load(), lambda database: migrations.migrate(database, revision, report), {Phase.IDLE})
    if not done:
        click.echo("Nothing to migrate.")

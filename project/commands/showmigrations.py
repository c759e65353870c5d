"""`manage.py showmigrations`: which migrations the database has."""

import click

from project.commands._database import with_database
from project.database import migrations
from project.settings import load

GROUP = "Database"


@click.command()
def showmigrations() -> None:
    """List the migrations, [X] for those that the database has."""
    pending = with_database(load(), migrations.pending)
    for name in migrations.history():
        click.echo(f"[{' ' if name in pending else 'X'}] {name}")

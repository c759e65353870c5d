"""`manage.py makemigrations`: from changed models to a migration."""

import asyncio

import click

from project import registry
from project.database import migrations
from project.settings import BASE_DIR, load

GROUP = "Database"


@click.command()
@click.option("-m", "--message", help="What the migration does, in some words; its name is made of them.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a migration is missing.")
def makemigrations(message: str | None, check: bool) -> None:
    """Write the migration that the models need.

    It compares the models with what all migrations together make, not with a database. Read what it wrote: a renamed
    column, for one, looks like one that went and another that came.
    """
    metadata = registry.metadata(load().installed_apps)
    differences = asyncio.run(migrations.missing(metadata))
    for difference in differences:
        click.echo(f"  {difference}")
    if not differences:
        click.echo("The migrations are what the models need.")
    elif check:
        raise click.ClickException("A migration is missing: `python manage.py makemigrations` writes it.")
    else:
        path = asyncio.run(migrations.write(metadata, message))
        assert path is not None
        click.echo(f"Wrote {path.relative_to(BASE_DIR)}: read it, then run `python manage.py migrate`.")

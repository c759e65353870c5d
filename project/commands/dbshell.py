"""`manage.py dbshell`: the database's own client."""

import contextlib
import os
import shutil

import click
from sqlalchemy import URL

from project.commands._database import with_database
from project.database import Database, dialects, parse_url
from project.database.errors import DatabaseError
from project.settings import load

GROUP = "Database"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def dbshell(args: tuple[str, ...]) -> None:
    """Open the active database in its own client.

    ARGS are the client's.
    """
    settings = load()
    url = parse_url(settings.database_url)
    with contextlib.suppress(DatabaseError):  # the client says better what keeps it from connecting
        url = with_database(settings, _url)
    dialect = dialects.of_url(url)
    command, environment = dialect.shell(url)
    if shutil.which(command[0]) is None:
        raise click.ClickException(f"{command[0]} is not installed: the package {dialect.client_package} brings it.")
    os.execvpe(command[0], [*command, *args], {**os.environ, **environment})  # noqa: S606


async def _url(database: Database) -> URL:
    return database.url

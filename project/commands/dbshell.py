"""`manage.py dbshell`: the database's own client."""

import os
import shutil

import click

from project.database import dialects, parse_url
from project.settings import load

GROUP = "Database"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def dbshell(args: tuple[str, ...]) -> None:
    """Open the active database in its own client.

    ARGS are the client's.
    """
    url = parse_url(load().database_url)
    dialect = dialects.of_url(url)
    command, environment = dialect.shell(url)
    if shutil.which(command[0]) is None:
        raise click.ClickException(f"{command[0]} is not installed: the package {dialect.client_package} brings it.")
    os.execvpe(command[0], [*command, *args], {**os.environ, **environment})  # noqa: S606

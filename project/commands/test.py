"""`manage.py test`: the test suite."""

import importlib.util
import os
import sys

import click

from project.settings import BASE_DIR

GROUP = "Development"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def test(args: tuple[str, ...]) -> None:
    """Run the tests.

    ARGS are pytest's, such as a path, `-k NAME`, or `-m big` for those that take minutes.
    """
    if importlib.util.find_spec("pytest") is None:
        raise click.ClickException("pytest is not installed: `uv sync` brings it.")
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *args])  # noqa: S606

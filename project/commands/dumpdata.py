"""`manage.py dumpdata`: the apps' rows in a file."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from project.commands._database import with_database
from project.commands._output import writing_out
from project.commands._progress import progress
from project.database import Database, migrations
from project.settings import load
from project.transfer.dump import Form, dump
from project.transfer.shapes import shapes_of
from project.transfer.spools import spool

GROUP = "Data"


@click.command()
@click.argument("apps", nargs=-1)
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file, instead of standard output.")
def dumpdata(apps: tuple[str, ...], form: Form, output: Path | None) -> None:
    """Write the rows of all apps, or of APPS, as they are at one moment.

    JSON Lines hold everything, and loaddata takes them; a CSV holds one table, without APPS the one that has an import.
    Nothing comes out before all of it is there, and a file is replaced only then. It can be read by its owner alone.
    """
    settings = load()
    if unknown := sorted(set(apps).difference(settings.installed_apps)):
        raise click.BadParameter(f"{unknown[0]} is none of the apps, which are {', '.join(settings.installed_apps)}.")
    shapes = [
        shape
        for label, shape in shapes_of(settings.installed_apps).items()
        if not apps or label.partition(".")[0] in apps
    ]
    if form == "csv" and not apps:
        shapes = [shape for shape in shapes if shape.record is not None]
    if form == "csv" and len(shapes) != 1:
        raise click.UsageError(f"A CSV holds one table, not {len(shapes)}: name an app that has one.")

    async def work(database: Database) -> None:
        await migrations.require(database)
        with _destination(output) as file, progress() as tell:
            await dump(database, shapes, form, file, lambda done: tell("Writing", done, None))

    with_database(settings, work)


@contextmanager
def _destination(output: Path | None) -> Iterator[BinaryIO]:
    """A file that becomes the output when all went well."""
    if output is None:
        with spool() as file:
            yield file
            file.seek(0)
            with writing_out():
                shutil.copyfileobj(file, sys.stdout.buffer)
        return
    try:
        descriptor, name = tempfile.mkstemp(dir=output.resolve().parent, prefix=f".{output.name}.")
        try:
            with open(descriptor, "w+b") as file:  # noqa: PTH123 - a path would be opened a second time
                yield file
            Path(name).replace(output)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error

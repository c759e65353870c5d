"""`manage.py loaddata`: rows from a file."""

import click

from project.commands._database import with_database
from project.commands._progress import progress
from project.database import Database, migrations
from project.settings import load as load_settings
from project.transfer.load import LoadError, load
from project.transfer.records import RecordFault
from project.transfer.shapes import shapes_of
from project.transfer.sources import SourceError, open_source

GROUP = "Data"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True))
@click.option("--update", is_flag=True, help="Replace rows whose keys are there already.")
@click.option("--skip-invalid", is_flag=True, help="Leave out, but list, what is not valid.")
def loaddata(file: str, update: bool, skip_invalid: bool) -> None:
    """Load rows from FILE, all of them or none; - is standard input.

    FILE is what dumpdata wrote, with the keys that it gives. It may also be a CSV with a header line, whose rows get
    new keys, or an SQLite database with tables named like those here, such as the tutorial's students.db: its keys are
    kept, and it is only read.

    While the rows are written, which is after all have been read, other writers have to wait.
    """
    settings = load_settings()
    shapes = shapes_of(settings.installed_apps)

    async def work(database: Database) -> None:
        await migrations.require(database)
        with open_source(file, shapes) as source, progress() as tell:

            def refuse(fault: RecordFault) -> None:
                click.echo(f"{source.place} {fault.line}: {f'{fault.pointer} {fault.detail}'.strip()}", err=True)

            for table in source.left_out:
                click.echo(f"Left out: table {table}, which no app has.", err=True)
            counts = await load(
                database,
                source,
                shapes,
                update=update,
                skip_invalid=skip_invalid,
                refuse=refuse,
                reading=lambda done: tell("Reading", done, None),
                writing=lambda done, total: tell("Writing", done, total),
            )
        for label, count in counts.items():
            click.echo(f"Loaded {count:,} of {label}")

    try:
        with_database(settings, work)
    except (LoadError, SourceError) as error:
        raise click.ClickException(str(error)) from error

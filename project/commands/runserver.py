"""`manage.py runserver`: the service, on this machine."""

import asyncio
import re

import click

from project import logs, server
from project.commands._database import refusal
from project.database import Database, migrations
from project.settings import Settings, load
from project.transfer.protocol import Phase
from project.transfer.visiting import Visitor

GROUP = "Service"

HOST, PORT = "127.0.0.1", 8000

_ADDRESS = re.compile(r"(?P<alone>\d+)|(?P<host>\[[^\[\]]+\]|[^:\[\]]+)(?::(?P<port>\d+))?", re.ASCII)


@click.command()
@click.argument("address", metavar="[ADDRESS:PORT]", default="")
@click.option("--host", help=f"Where to listen; {HOST} unless given.")
@click.option("--port", type=click.IntRange(0, 65535), help=f"{PORT} unless given; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that serve.")
@click.option("--reload", is_flag=True, help="Start anew when a file of the project or its apps changes.")
def runserver(address: str, host: str | None, port: int | None, workers: int, reload: bool) -> None:
    """Serve the API.

    Pending migrations of the embedded SQLite are applied first. Ctrl-C or SIGTERM ends the service once the requests in
    flight are answered.
    """
    if reload and workers > 1:
        raise click.UsageError("--reload watches one process: leave out --workers.")
    if address:
        if host is not None or port is not None:
            raise click.UsageError("Give the address once, as ADDRESS:PORT or with --host and --port.")
        host, port = _split(address)
    settings = load()
    logs.configure(settings)
    try:
        with server.bind(HOST if host is None else host, PORT if port is None else port, settings) as listener:
            asyncio.run(_bring_up_to_date(settings))
            url = server.url(listener)
            click.echo(f"Registrar serves at {url}, its documentation at {url}/docs; Ctrl-C ends it.")
            if settings.debug:
                click.echo("With DEBUG=true it answers this machine only, and asks nobody who they are.")
            server.serve(settings, listener, workers=workers, reload=reload)
    except server.ServerError as error:
        raise click.ClickException(str(error)) from error


def _split(address: str) -> tuple[str, int]:
    matched = _ADDRESS.fullmatch(address)
    port = int(matched["alone"] or matched["port"] or PORT) if matched else -1
    if matched is None or port > 65535:
        raise click.UsageError(
            f"{address!r} is no address: it looks like {HOST}:{PORT}, [::1]:{PORT}, {HOST} or {PORT}."
        )
    return (matched["host"] or HOST).strip("[]"), port


async def _bring_up_to_date(settings: Settings) -> None:
    visitor = Visitor(settings)
    database = Database(settings, visitor)
    try:
        await database.find()
        if visitor.alias != "default":
            click.echo(f"The service has moved from the database of DATABASE_URL to {visitor.alias}, and uses that.")
        pending = await migrations.pending(database)
        if pending and not database.dialect.embedded:
            raise click.ClickException(
                f"The database waits for {len(pending)} migrations, {', '.join(pending)}: "
                "`python manage.py migrate` applies them."
            )
        if pending and visitor.record is not None and visitor.record.gate.phase is not Phase.IDLE:
            raise click.ClickException(refusal(visitor.record))
        if pending:
            await migrations.migrate(database)
            click.echo(f"Migrated {database.dialect.title}: {', '.join(pending)}.")
    finally:
        await database.close()

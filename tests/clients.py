"""The service in this process, and clients of it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from project import registry
from project.asgi import create_app
from project.database import Database, migrations
from project.database.statements import Statement
from project.settings import Settings, load
from tests.units import Desk

Client = TestClient[Litestar]


@contextmanager
def serving(settings: Settings) -> Iterator[Client]:
    """A client of the service, on a database that is migrated first."""
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        client.blocking_portal.call(migrations.migrate, app.state.database)
        yield client


@asynccontextmanager
async def calling(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The same for many calls at once, in the event loop of the test."""
    app: Any = create_app(load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"}))
    await migrations.migrate(app.state.database)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            yield client
    finally:
        await app.state.database.close()


def empty(client: Client) -> None:
    """Delete all rows of its database, at last those that tell of this."""
    state = client.app.state
    database: Database = state.database
    tables = registry.tables(state.settings.installed_apps)[::-1]
    for is_kept in (False, True):
        deletions = [Statement(table.delete()) for table in tables if bool(table.info.get("kept")) is is_kept]
        client.blocking_portal.call(database.write, Desk, partial(_run, deletions))


async def _run(statements: Sequence[Statement], desk: Desk) -> None:
    for statement in statements:
        await desk.session.run(statement)

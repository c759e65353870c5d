"""What tests share: a migrated database of their own, and the service on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project import registry
from project.asgi import create_app
from project.settings import Settings, load


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("database")
    return f"sqlite:///{folder / 'registrar.sqlite3'}"


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"})


@pytest.fixture(scope="module")
def module_client(settings: Settings) -> Iterator[TestClient[Litestar]]:
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        client.blocking_portal.call(_create_tables, app, settings)
        yield client


@pytest.fixture
def client(module_client: TestClient[Litestar], settings: Settings) -> TestClient[Litestar]:
    """A client of the service on an empty database."""
    module_client.blocking_portal.call(_empty_tables, module_client.app, settings)
    return module_client


async def _create_tables(app: Litestar, settings: Settings) -> None:
    async with app.state.database.engine.begin() as connection:
        await connection.run_sync(registry.metadata(settings.installed_apps).create_all)


async def _empty_tables(app: Litestar, settings: Settings) -> None:
    async with app.state.database.engine.begin() as connection:
        for table in reversed(registry.metadata(settings.installed_apps).sorted_tables):
            await connection.execute(table.delete())

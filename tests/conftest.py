"""What tests share: databases of their own on every engine, and the service on them."""

import itertools
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from project.settings import Settings, load
from tests import servers
from tests.clients import Client, empty, serving

S = TypeVar("S", bound=servers.Server)

TEST_MYSQL_URL = os.environ.get("TEST_MYSQL_URL", "")
"""A MySQL 8 server, and a user of it that may create databases: mysql://user:password@host:3306."""

ENGINES = ("sqlite", "postgresql", "mariadb", *(("mysql",) if TEST_MYSQL_URL else ()))


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what it runs in the background without Ctrl-C, and the programs under test would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "engines(name, ...): the only engines that a test of the database is about")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of anything that stands on a database runs on every engine."""
    if "engine" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("engines")
        metafunc.parametrize("engine", marker.args if marker else ENGINES, scope="module")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.PostgreSQL]:
    """A running server, started when the first test needs it."""
    yield from _running(servers.start_postgresql)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.MariaDB]:
    """A running server, started when the first test needs it."""
    yield from _running(servers.start_mariadb)


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Given an engine, the URL of an empty database on it that nobody else uses."""
    numbers = itertools.count(1)

    def create(engine: str) -> str:
        name = f"registrar_{next(numbers)}"
        match engine:
            case "sqlite":
                return f"sqlite:///{tmp_path_factory.mktemp('database') / name}.sqlite3"
            case "mysql":
                return servers.MySQLElsewhere(TEST_MYSQL_URL).create_database(name)
        server: servers.Server = request.getfixturevalue(engine)
        return server.create_database(name)

    return create


@pytest.fixture(scope="module")
def database_url(engine: str, new_database: Callable[[str], str]) -> str:
    """Of an empty database, which this module has for itself."""
    return new_database(engine)


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"})


@pytest.fixture(scope="module")
def module_client(settings: Settings) -> Iterator[Client]:
    with serving(settings) as client:
        yield client


@pytest.fixture
def client(module_client: Client) -> Client:
    """A client of the service on an empty database."""
    empty(module_client)
    return module_client


def _running(start: Callable[[Path], S]) -> Iterator[S]:
    with tempfile.TemporaryDirectory(prefix="registrar-") as folder:
        Path(folder).chmod(0o755)  # root's tests run the server as somebody else
        server = start(Path(folder))
        try:
            yield server
        finally:
            server.stop()

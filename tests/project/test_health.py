"""`GET /health/live` and `/health/ready`: whether the service runs, and whether it can answer."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.database import migrations
from project.settings import load
from tests.problems import refused
from tests.processes import until

Client = TestClient[Litestar]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registrar.sqlite3"


@pytest.fixture
def unready(file: Path) -> Iterator[Client]:
    """A client of a service whose database nobody has made yet."""
    app = create_app(load({"DATABASE_URL": f"sqlite:///{file}", "LOG_LEVEL": "ERROR"}))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


def migrate(client: Client) -> None:
    client.blocking_portal.call(migrations.migrate, client.app.state.database)


class TestLiveness:
    def test_says_that_the_service_runs(self, client: Client) -> None:
        response = client.get("/health/live")
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}

    def test_says_nothing_of_the_database(self, unready: Client, file: Path) -> None:
        file.write_bytes(b"no database at all" * 1000)
        assert unready.get("/health/live").status_code == 200


class TestReadiness:
    def test_is_there_with_a_migrated_database(self, client: Client) -> None:
        response = client.get("/health/ready")
        assert response.status_code == 200
        assert response.json() == {"status": "ok"}

    def test_waits_for_migrations(self, unready: Client, file: Path) -> None:
        response = unready.get("/health/ready")
        refused(response, 503, "unavailable")
        assert "0001_idempotency_keys" in response.json()["detail"]
        assert response.headers["retry-after"] == "1"
        assert not file.exists()
        migrate(unready)
        assert unready.get("/health/ready").status_code == 200

    def test_ends_with_the_database(self, unready: Client, file: Path) -> None:
        migrate(unready)
        assert unready.get("/health/ready").status_code == 200
        with closing(sqlite3.connect(file)) as connection:
            carry_over = "PRAGMA wal_checkpoint(TRUNCATE)"
            until(lambda: connection.execute(carry_over).fetchone()[0] == 0, "all to be in the file itself")
        content = file.read_bytes()
        for wal in file.parent.glob("*-wal"):
            wal.unlink()
        file.write_bytes(b"no database at all" * 1000)
        refused(unready.get("/health/ready"), 503, "unavailable")
        file.write_bytes(content)
        until(lambda: unready.get("/health/ready").status_code == 200, "the service to find its database again")

    def test_is_not_there_for_a_database_of_a_newer_version(self, unready: Client, file: Path) -> None:
        migrate(unready)
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
        connection.close()
        response = unready.get("/health/ready")
        refused(response, 503, "unavailable")
        assert "9999_from_the_future" in response.json()["detail"]


class TestDescription:
    def test_names_the_operations(self, client: Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        found = {path: paths[path]["get"]["operationId"] for path in ("/health/live", "/health/ready", "/metrics")}
        assert found == {"/health/live": "getLiveness", "/health/ready": "getReadiness", "/metrics": "getMetrics"}
        assert all(paths[path]["get"]["tags"] == ["operations"] for path in found)
        assert "503" in paths["/health/ready"]["get"]["responses"]
        assert "text/plain" in next(iter(paths["/metrics"]["get"]["responses"]["200"]["content"]))

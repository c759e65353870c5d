"""Imports on a server that has other clients too, and little room."""

import http.client
import json
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.problems import refused
from tests.processes import SECONDS, Service, running, until
from tests.rosters import as_csv, students

STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
UPLOADS = 40
"""More than a worker has threads or connections to the database."""


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registrar.sqlite3'}"


class Upload:
    """An import whose body comes in two pieces, and in its own time."""

    def __init__(self, service: Service, body: bytes) -> None:
        self._rest = body[len(body) // 2 :]
        self._connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=SECONDS)
        self._connection.putrequest("POST", "/students/import")
        self._connection.putheader("Content-Type", "text/csv")
        self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body[: len(body) // 2])

    def finish(self) -> dict[str, Any]:
        self._connection.send(self._rest)
        report: dict[str, Any] = json.loads(self._connection.getresponse().read())
        self._connection.close()
        return report

    def give_up(self) -> None:
        self._connection.close()


class TestOtherClients:
    def test_write_and_read_while_uploads_take_their_time(self, database_url: str) -> None:
        with running(database_url) as service, service.client() as other:
            uploads = [Upload(service, as_csv(students(10))) for _ in range(UPLOADS)]
            for _ in range(20):
                assert other.post("/students", json=STUDENT).status_code == 201
            assert other.get("/students/export").text.count("\n") == 21
            assert [upload.finish()["created"] for upload in uploads] == [10] * UPLOADS
            assert other.get("/students?count=true").json()["total"] == 20 + 10 * UPLOADS

    def test_see_nothing_of_an_upload_that_was_given_up(self, database_url: str) -> None:
        with running(database_url) as service, service.client() as other:
            Upload(service, as_csv(students(1000))).give_up()
            service.wait_for_records(path="/students/import")
            assert other.get("/students").json() == {"items": []}


class TestFailingDatabase:
    def test_report_tells_what_was_kept_before_the_database_failed(self, database_url: str, tmp_path: Path) -> None:
        total = 150_000
        with (
            running(database_url) as service,
            service.client() as other,
            closing(sqlite3.connect(tmp_path / "registrar.sqlite3", SECONDS, isolation_level=None)) as stranger,
        ):
            upload = Upload(service, as_csv(students(total)))
            with ThreadPoolExecutor(1) as threads:
                answer = threads.submit(upload.finish)
                until(lambda: other.get("/students?limit=1").json()["items"], "the first students")
                stranger.execute("BEGIN IMMEDIATE")
                report = answer.result()
            stranger.execute("ROLLBACK")
            assert 0 < report["created"] < total
            assert report["created"] + report["refused"] == total
            (error,) = report["errors"]
            assert error["line"] == report["created"] + 2
            assert "busy" in error["detail"]
            assert other.get("/students?count=true").json()["total"] == report["created"]

    def test_is_an_error_where_nothing_was_kept(self, database_url: str, tmp_path: Path) -> None:
        with (
            running(database_url) as service,
            service.client() as client,
            closing(sqlite3.connect(tmp_path / "registrar.sqlite3", SECONDS, isolation_level=None)) as stranger,
        ):
            stranger.execute("BEGIN IMMEDIATE")
            headers = {"Content-Type": "text/csv"}
            refused(client.post("/students/import", content=as_csv(students(9)), headers=headers), 503, "unavailable")
            stranger.execute("ROLLBACK")
            assert client.get("/students").json() == {"items": []}


class TestLittleRoom:
    def test_is_said_and_nothing_is_kept(self, database_url: str) -> None:
        if shutil.which("prlimit") is None:
            pytest.skip("prlimit, of util-linux, is not installed")
        limited = ("prlimit", f"--fsize={2 * 1024 * 1024}")
        with running(database_url, within=limited) as service, service.client() as client:
            body, headers = as_csv(students(80_000)), {"Content-Type": "text/csv"}
            response = client.post("/students/import", content=body, headers=headers)
            refused(response, 503, "unavailable")
            assert "room" in response.json()["detail"]
            assert response.headers["retry-after"]
            assert client.get("/students").json() == {"items": []}
            assert client.post("/students/import", content=as_csv(students(5)), headers=headers).status_code == 200

"""Exports to clients that take their time."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.processes import SECONDS, Service, running, until
from tests.rosters import as_csv, students

ROWS = 60_000
"""More bytes than the buffers between two processes hold."""
DOWNLOADS = 8
"""More than a worker has connections for snapshots."""


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registrar.sqlite3'}"


class Download:
    """An export of which the beginning was read."""

    def __init__(self, service: Service) -> None:
        url = urlsplit(service.url)
        self._socket = socket.create_connection((url.hostname, url.port), SECONDS)
        self._socket.sendall(b"GET /students/export HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        self._read = self._socket.recv(1000)
        assert self._read.startswith(b"HTTP/1.1 200 ")

    def finish(self) -> bytes:
        """Its body."""
        with self._socket:
            while piece := self._socket.recv(1024 * 1024):
                self._read += piece
        return self._read.partition(b"\r\n\r\n")[2]

    def give_up(self) -> None:
        self._socket.close()


def temporary_files(service: Service) -> int:
    folder = Path(f"/proc/{service.process.pid}/fd")
    return sum(entry.readlink().name.endswith(" (deleted)") for entry in folder.iterdir() if entry.is_symlink())


class TestSlowReaders:
    def test_hold_nobody_up_and_get_the_moment_that_they_asked_for(self, database_url: str) -> None:
        with running(database_url) as service, service.client() as other:
            headers = {"Content-Type": "text/csv"}
            assert other.post("/students/import", content=as_csv(students(ROWS)), headers=headers).status_code == 200
            downloads = [Download(service) for _ in range(DOWNLOADS)]
            assert other.delete("/students/1").status_code == 204
            assert other.get("/students/export").text.count("\n") == ROWS
            assert [download.finish().count(b"\n") for download in downloads] == [ROWS + 1] * DOWNLOADS

    def test_that_give_up_leave_nothing_behind(self, database_url: str) -> None:
        with running(database_url) as service, service.client() as other:
            headers = {"Content-Type": "text/csv"}
            assert other.post("/students/import", content=as_csv(students(ROWS)), headers=headers).status_code == 200
            downloads = [Download(service) for _ in range(5)]
            assert temporary_files(service) >= len(downloads)
            for download in downloads:
                download.give_up()
            until(lambda: temporary_files(service) == 0, "the temporary files to be gone")

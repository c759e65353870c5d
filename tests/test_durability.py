"""What was answered is on disk and what was refused is not: through kill -9, locks, a full disk, a read-only file.

The servers here are real, and so is the violence.
"""

import itertools
import json
import os
import random
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.problems import refused
from tests.processes import SECONDS, Service, running, until
from tests.requirements import missing

ROUNDS = 20
CLIENTS = 4

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registrar.sqlite3"


def student(name: str, cgpa: float = 8.9) -> dict[str, Any]:
    return {"name": name, "department": "CSE", "cgpa": cgpa}


def names(service: Service) -> list[str]:
    lines = service.get("/students/export", format="jsonl").text.splitlines()
    return [json.loads(line)["name"] for line in lines]


class Client:
    """Creates students one by one, in batches, and under idempotency keys, until the server goes away.

    It keeps account of what it was told of each name: created, refused, or nothing.
    """

    def __init__(self, number: int) -> None:
        self.created: set[str] = set()
        self.refused: set[str] = set()
        self.unanswered: set[tuple[str, ...]] = set()
        self._keys: set[str] = set()
        self._names = (f"{number}-{count}" for count in itertools.count())

    def run(self, service: Service) -> None:
        with closing(HTTPConnection(service.url.removeprefix("http://"), timeout=SECONDS)) as connection:
            try:
                self._repeat(connection)
                while True:
                    random.choice((self._one, self._batch, self._bad_batch, self._keyed))(connection)
            except (OSError, HTTPException):
                pass  # it is gone

    def _one(self, connection: HTTPConnection) -> None:
        name = next(self._names)
        self._send(connection, "/students", [name], student(name))

    def _batch(self, connection: HTTPConnection) -> None:
        batch = list(itertools.islice(self._names, 5))
        self._send(connection, "/students/batch", batch, [student(name) for name in batch])

    def _bad_batch(self, connection: HTTPConnection) -> None:
        batch = list(itertools.islice(self._names, 3))
        self._send(connection, "/students/batch", batch, [student(name, 9 + place) for place, name in enumerate(batch)])

    def _keyed(self, connection: HTTPConnection) -> None:
        name = next(self._names)
        self._keys.add(name)
        self._send(connection, "/students", [name], student(name), {"Idempotency-Key": name})
        self._keys.remove(name)

    def _repeat(self, connection: HTTPConnection) -> None:
        """What had a key, and no answer before the server went away."""
        for name in sorted(self._keys):
            self._send(connection, "/students", [name], student(name), {"Idempotency-Key": name})
            self._keys.remove(name)

    def _send(
        self,
        connection: HTTPConnection,
        path: str,
        sent: list[str],
        body: object,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.unanswered.add(tuple(sent))
        connection.request("POST", path, json.dumps(body), {**JSON, **(headers or {})})
        response = connection.getresponse()
        response.read()
        assert response.status in (201, 422)
        (self.created if response.status == 201 else self.refused).update(sent)
        self.unanswered.remove(tuple(sent))


class TestKill:
    def test_loses_nothing_that_was_answered_and_keeps_nothing_that_was_refused(self, file: Path) -> None:
        url = f"sqlite:///{file}"
        clients = [Client(number) for number in range(CLIENTS)]
        for turn in range(ROUNDS):
            with running(url, "--workers=2", LOG_LEVEL="WARNING") as service:
                self.compare(clients, names(service))
                threads = [threading.Thread(target=client.run, args=(service,)) for client in clients]
                already = self.answered(clients)
                for thread in threads:
                    thread.start()
                self.wait_for_answers(clients, already + random.randrange(1, 200))
                service.kill() if turn % 2 else service.kill_group()
                for thread in threads:
                    thread.join()
                service.wait_until_gone()
        with running(url) as service:
            self.compare(clients, names(service))
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def wait_for_answers(self, clients: list[Client], count: int) -> None:
        until(lambda: self.answered(clients) >= count, "answers")

    @staticmethod
    def answered(clients: list[Client]) -> int:
        return sum(len(client.created) for client in clients)

    @staticmethod
    def compare(clients: list[Client], present: list[str]) -> None:
        found = set(present)
        assert len(found) == len(present), "a repeated write was kept twice"
        for client in clients:
            assert client.created <= found, "an answered write was lost"
            assert not client.refused & found, "a refused write was kept"
            found -= client.created
            for sent in client.unanswered:
                assert len(found.intersection(sent)) in (0, len(sent)), "half a batch was kept"
                found.difference_update(sent)
        assert not found, "something was kept that nobody sent"


class TestBusyDatabase:
    def test_makes_writes_wait_then_refuses_them_while_reads_go_on(self, file: Path) -> None:
        with running(f"sqlite:///{file}", "--workers=2") as service, ThreadPoolExecutor(8) as threads:
            assert create(service, "before").status_code == 201
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = [threads.submit(create, service, f"meanwhile {number}") for number in range(8)]
                while not all(write.done() for write in waiting):
                    assert names(service) == ["before"]
                    assert service.get("/health/live").status_code == 200
                    assert service.get("/health/ready").status_code == 200
            for write in waiting:
                refused(write.result(), 503, "unavailable")
                assert int(write.result().headers["retry-after"]) >= 1
            assert create(service, "after").status_code == 201
            assert names(service) == ["before", "after"]

    def test_does_not_refuse_writes_that_wait_for_a_moment(self, file: Path) -> None:
        with running(f"sqlite:///{file}") as service, ThreadPoolExecutor(8) as threads:
            assert create(service, "before").status_code == 201
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                waiting = [threads.submit(create, service, f"meanwhile {number}") for number in range(8)]
                until(lambda: "http_requests_in_progress 9.0" in service.get("/metrics").text, "writes that wait")
                assert not any(write.done() for write in waiting)
                other.execute("COMMIT")
                assert [write.result().status_code for write in waiting] == [201] * 8

    def test_is_read_by_a_server_that_comes_meanwhile(self, file: Path) -> None:
        with running(f"sqlite:///{file}") as service:
            assert create(service, "before").status_code == 201
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with running(f"sqlite:///{file}") as service:
                assert names(service) == ["before"]
                refused(create(service, "meanwhile"), 503, "unavailable")
                other.execute("COMMIT")
                assert create(service, "after").status_code == 201


class TestReadOnlyFile:
    def test_is_read_and_not_written(self, file: Path) -> None:
        with running(f"sqlite:///{file}") as service:
            assert create(service, "before").status_code == 201
            service.stop()
        file.chmod(0o444)
        # To root, only a root without this capability, the mode of a file means anything.
        mortal = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
        if mortal and shutil.which("setpriv") is None:
            missing("setpriv", "install util-linux, or run the tests as somebody else than root")
        with running(f"sqlite:///{file}", within=mortal) as service:
            refused(create(service, "meanwhile"), 503, "unavailable")
            assert names(service) == ["before"]
        file.chmod(0o644)
        with running(f"sqlite:///{file}") as service:
            assert create(service, "after").status_code == 201


class TestFullDisk:
    BALLAST = "ballast"

    def test_refuses_writes_until_there_is_room_and_loses_none(self, file: Path) -> None:
        with running(f"sqlite:///{file}", within=self.on_a_small_disk(file.parent)) as service:
            kept = []
            for number in itertools.count():
                response = create(service, f"{number:0200}")
                if response.status_code != 201:
                    break
                kept.append(f"{number:0200}")
            refused(response, 503, "unavailable")
            assert response.json()["detail"] == "The database has no room left on its disk."
            assert names(service) == kept
            assert service.get("/health/live").status_code == 200
            Path(f"/proc/{service.process.pid}/root{file.parent}/{self.BALLAST}").unlink()
            assert create(service, "after").status_code == 201
            assert names(service) == [*kept, "after"]

    def on_a_small_disk(self, folder: Path) -> list[str]:
        """A command that runs another where that folder is a disk of one megabyte, of which some is taken."""
        if shutil.which("unshare") is None:
            missing("unshare", "install util-linux")
        mount = f'mount -t tmpfs -o size=1m tmpfs "$0" && head -c 100k /dev/zero > "$0/{self.BALLAST}" && exec "$@"'
        return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(folder)]


def create(service: Service, name: str) -> httpx.Response:
    with service.client() as client:
        return client.post("/students", json=student(name))

"""`manage.py runserver`, and the application under another server."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from project.database import migrations
from tests.processes import ROOT, SECONDS, Service, running, started, until
from tests.project.commands.conftest import Manage
from tests.servers import free_port
from tests.trees import Tree

STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
BODY = json.dumps(STUDENT).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "registrar.sqlite3"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


def refusal(url: str, *options: str, **settings: Any) -> str:
    """The one sentence with which it does not start."""
    with started(url, *options, **settings) as service:
        assert service.process.wait(SECONDS) == 1, service.log
        assert service.output == ""
        line = service.log
    matched = re.fullmatch(r"Error: (.+\.)\n", line)
    assert matched, line
    return matched[1]


class TestStart:
    def test_says_where_it_serves_and_who_can_reach_it(self, url: str) -> None:
        with running(url) as service:
            first, second, third = service.output.splitlines()
            assert first == f"Migrated SQLite: {', '.join(migrations.history())}."
            assert (
                second == f"Registrar serves at {service.url}, its documentation at {service.url}/docs; Ctrl-C ends it."
            )
            assert third == "With DEBUG=true it answers this machine only, and asks nobody who they are."
            assert service.get("/docs").status_code == 200
            assert service.get("/students").json() == {"items": []}
        with running(url) as service:
            assert "Migrated" not in service.output

    @pytest.mark.parametrize("address", ["localhost:{}", "127.0.0.1:{}", "{}", "[::1]:{}"])
    def test_takes_an_address(self, url: str, address: str) -> None:
        port = free_port()
        with running(url, address.format(port)) as service:
            assert service.url == f"http://{'[::1]' if '::' in address else '127.0.0.1'}:{port}"

    def test_takes_host_and_port(self, url: str) -> None:
        port = free_port()
        with running(url, "--host=127.0.0.2", f"--port={port}") as service:
            assert service.url == f"http://127.0.0.2:{port}"

    @pytest.mark.parametrize(
        "arguments",
        [
            ["127.0.0.1:99999"],
            ["a:b:c"],
            ["::1"],
            ["localhost:"],
            ["127.0.0.1:8000", "--port=8001"],
            ["--port=-1"],
            ["--workers=0"],
            ["--workers=2", "--reload"],
        ],
    )
    def test_explains_what_it_takes(self, manage: Manage, arguments: list[str]) -> None:
        result = manage("runserver", *arguments)
        assert result.exit_code == 2
        assert "Usage: " in result.stderr


class TestRefusal:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
    def test_to_be_reached_from_elsewhere_where_nobody_is_asked_who_they_are(
        self, url: str, file: Path, host: str
    ) -> None:
        sentence = refusal(url, f"--host={host}")
        assert sentence.startswith(f"{host} can be reached from other machines, and with DEBUG=true nobody is asked")
        assert not file.exists()

    def test_to_listen_where_this_machine_is_not(self, url: str) -> None:
        sentence = refusal(url, "--host=192.0.2.7", DEBUG="false", SECRET_KEY="k" * 50, ALLOWED_HOSTS="*")
        assert sentence.startswith("Port 8000 of 192.0.2.7 cannot be used (cannot assign requested address)")

    def test_of_a_name_that_nobody_has(self, url: str) -> None:
        assert refusal(url, "--host=no.such.host.invalid").startswith("no.such.host.invalid is no address")

    def test_of_a_port_in_use(self, url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            sentence = refusal(url, f"--port={port}")
        assert sentence == (
            f"Port {port} of 127.0.0.1 cannot be used (address already in use): "
            "stop what uses it, or name another with --port."
        )

    def test_of_the_port_of_another_service(self, url: str) -> None:
        with running(url) as service:
            assert "already in use" in refusal(url, service.url.removeprefix("http://"))

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"DEBUG": "perhaps"}, "DEBUG"),
            ({"DEBUG": "false"}, "SECRET_KEY"),
            ({"DATABASE_POOL_SIZE": "many"}, "DATABASE_POOL_SIZE"),
            ({"LOG_LEVEL": "LOUD"}, "LOG_LEVEL"),
        ],
    )
    @pytest.mark.parametrize("workers", ["1", "2"])
    def test_of_settings_names_the_variable(self, url: str, settings: dict[str, str], named: str, workers: str) -> None:
        assert refusal(url, f"--workers={workers}", **settings).startswith(named)

    @pytest.mark.parametrize("unusable", ["nonsense", "oracle://x", "sqlite://", "postgresql://["])
    def test_of_a_database_that_cannot_be(self, unusable: str) -> None:
        assert "Traceback" not in refusal(unusable)

    def test_of_a_file_that_is_no_database(self, url: str, file: Path) -> None:
        file.write_bytes(b"no database at all" * 1000)
        assert "not an SQLite database" in refusal(url)
        assert file.read_bytes() == b"no database at all" * 1000

    def test_of_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        assert "cannot be opened" in refusal(f"sqlite:///{tmp_path}/missing/registrar.sqlite3")

    def test_of_a_database_of_a_newer_version(self, url: str, file: Path) -> None:
        with running(url):
            pass
        connection = sqlite3.connect(file)
        with connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
        connection.close()
        sentence = refusal(url)
        assert "9999_from_the_future" in sentence
        assert "newer version" in sentence

    @pytest.mark.engines("postgresql", "mariadb")
    def test_to_migrate_a_server_by_itself(self, manage_everywhere: Manage, database_url: str) -> None:
        sentence = refusal(database_url)
        assert "`python manage.py migrate`" in sentence
        assert all(name in sentence for name in migrations.history())
        assert manage_everywhere("migrate").exit_code == 0
        with running(database_url) as service:
            assert service.get("/health/ready").status_code == 200


class TestStop:
    """Whoever has asked is answered; whoever has not is not waited for."""

    @pytest.mark.parametrize(
        ("workers", "whom", "number"),
        [
            (1, "parent", signal.SIGTERM),
            (1, "parent", signal.SIGINT),
            (2, "parent", signal.SIGTERM),
            (2, "group", signal.SIGTERM),
            (2, "group", signal.SIGINT),
        ],
    )
    def test_loses_no_request_in_flight(self, url: str, file: Path, workers: int, whom: str, number: int) -> None:
        with running(url, f"--workers={workers}", LOG_LEVEL="WARNING") as service, ThreadPoolExecutor(4) as threads:
            clients = [threads.submit(self.write_until_told_to_go, service) for _ in range(4)]
            until(lambda: service.get("/students", count="true").json()["total"] > 20, "writes")
            code = service.stop(number) if whom == "parent" else service.stop_group(number)
            answered = sorted(identity for client in clients for identity in client.result())
            service.wait_until_gone()
            assert code == 0
            assert service.log == ""
        connection = sqlite3.connect(file)
        assert [identity for (identity,) in connection.execute("SELECT id FROM students ORDER BY id")] == answered
        connection.close()

    @staticmethod
    def write_until_told_to_go(service: Service) -> list[int]:
        """The ids of all students that it has created, one request after the other, each answered in full."""
        answered = []
        connection = HTTPConnection(service.url.removeprefix("http://"), timeout=SECONDS)
        try:
            while True:
                connection.request("POST", "/students", BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                body = response.read()
                assert response.status == 201, body
                answered.append(int(response.headers["location"].rpartition("/")[2]))
                if response.will_close:
                    return answered
        finally:
            connection.close()

    @pytest.mark.parametrize("workers", [1, 2])
    def test_waits_for_a_body_that_is_still_coming(self, url: str, workers: int) -> None:
        with running(url, f"--workers={workers}") as service, ThreadPoolExecutor() as threads:
            address, port = service.url.removeprefix("http://").split(":")
            with socket.create_connection((address, int(port)), timeout=SECONDS) as connection:
                head = "POST /students HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:20])
                service.get("/students")  # by now the other request has arrived as well
                stopping = threads.submit(service.stop)
                until(lambda: not self.listens(address, int(port)), "the service to stop listening")
                connection.sendall(BODY[20:])
                assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
            assert stopping.result() == 0
            service.wait_until_gone()

    @staticmethod
    def listens(address: str, port: int) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((address, port)) == 0

    def test_does_not_wait_for_idle_connections(self, url: str) -> None:
        with running(url) as service, service.client() as client:
            client.get("/health/live")
            assert service.stop() == 0
            with pytest.raises(httpx.TransportError):
                client.get("/health/live")

    def test_leaves_nothing_behind(self, url: str, tmp_path: Path) -> None:
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        with running(url, "--workers=2", TMPDIR=str(temporary)) as service:
            assert service.get("/metrics").status_code == 200
            assert list(temporary.iterdir())
            service.stop()
        assert list(temporary.iterdir()) == []

    def test_clears_away_what_one_left_that_was_killed(self, url: str, tmp_path: Path) -> None:
        """And nothing of one that serves meanwhile."""
        temporary = tmp_path / "temporary"
        temporary.mkdir()

        def service() -> AbstractContextManager[Service]:
            return running(url, "--workers=2", TMPDIR=str(temporary))

        with service() as living:
            kept = set(temporary.iterdir())
            with service() as killed:
                killed.kill()
                killed.wait_until_gone()
            left = set(temporary.iterdir()) - kept
            assert left
            with service() as following:
                found = set(temporary.iterdir())
                assert found > kept
                assert not found & left
                following.stop()
            assert living.get("/metrics").status_code == 200
            assert set(temporary.iterdir()) == kept


class TestImports:
    UNUSED = (
        "faker", "openapi_python_client", "httpx", "jsonschema", "typer", "pytest",
        "project.clients", "project.scaffold", "project.openapi.contract", "project.transfer.coordinator",
        "project.transfer.dump", "project.transfer.load", "project.transfer.copying", "project.audit.verification",
    )  # fmt: skip
    """What generates, copies, checks or tests: of the project's own, and of what is installed beside it.

    Alembic serves: `/health/ready` asks it for the history. So does what libraries import of themselves where they find
    it, such as rich (structlog) and pydantic (advanced-alchemy, adminsite).
    """

    def test_nothing_that_serving_does_not_use(self, url: str) -> None:
        with running(url, PYTHONVERBOSE="1") as service:
            for path in ("/students", "/students/export", "/health/ready", "/docs", "/admin/login", "/metrics"):
                assert service.get(path).status_code == 200
            service.stop()
            imported = set(re.findall(r"^import '([\w.]+)' #", service.log, re.MULTILINE))
        assert {"litestar", "project.asgi", "project.commands.runserver"} <= imported
        assert [
            name for name in sorted(imported) if f"{name}.".startswith(tuple(f"{each}." for each in self.UNUSED))
        ] == []
        commands = {name for name in imported if name.startswith("project.commands.")}
        assert commands == {"project.commands.runserver", "project.commands._database"}


class TestWorkers:
    def test_end_when_the_first_process_is_killed(self, url: str) -> None:
        with running(url, "--workers=2") as service:
            assert len(service.workers()) == 2
            service.kill()
            service.wait_until_gone()

    def test_answer_what_is_in_flight_before_they_do(self, url: str, file: Path) -> None:
        with running(url, "--workers=2") as service, ThreadPoolExecutor() as threads:
            lock = sqlite3.connect(file, isolation_level=None)
            lock.execute("BEGIN IMMEDIATE")
            waiting = threads.submit(httpx.post, f"{service.url}/students", json=STUDENT, timeout=SECONDS)
            until(lambda: "http_requests_in_progress 2.0" in service.get("/metrics").text, "the request")
            service.kill()
            lock.close()
            assert waiting.result().status_code == 201
            service.wait_until_gone()

    def test_are_replaced_when_they_die(self, url: str) -> None:
        with running(url, "--workers=2") as service:
            killed = service.kill_workers(2)
            assert service.get("/students").status_code == 200
            records = service.wait_for_records(2, event="worker replaced", exit_code=-signal.SIGKILL)
            assert {record["pid"] for record in records} == set(killed)

    def test_that_cannot_start_end_the_service(self, url: str, tree: Tree) -> None:
        tree.edit("project/asgi.py", "def create_app(", "1 / 0\n\n\ndef create_app(")
        with started(url, "--port=0", "--workers=2", root=tree.root) as service:
            assert service.process.wait(SECONDS) == 1
            assert service.log.endswith("Error: A worker could not start; the log says why.\n")
            service.wait_until_gone()


class TestReload:
    def test_serves_what_was_changed(self, url: str, tree: Tree) -> None:
        with running(url, "--reload", root=tree.root) as service:
            assert service.get("/health/live").json() == {"status": "ok"}
            tree.edit("project/health.py", 'Literal["ok"] = "ok"', 'Literal["fine"] = "fine"')
            until(lambda: _status(service) == "fine", "the change")
            assert service.stop() == 0
            service.wait_until_gone()

    def test_leaves_no_process_behind(self, url: str, tree: Tree) -> None:
        with running(url, "--reload", root=tree.root) as service:
            assert len(service.workers()) == 1
            service.kill()
            service.wait_until_gone()


def _status(service: Service) -> str | None:
    try:
        status: str = service.get("/health/live").json()["status"]
    except httpx.TransportError:  # between the two
        return None
    return status


class TestOtherServers:
    def test_run_the_application_too(self, url: str) -> None:
        with running(url):  # which migrates
            pass
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "project.asgi:app", f"--port={port}"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "DATABASE_URL": url, "LOG_FORMAT": "json"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            until(lambda: TestStop.listens("127.0.0.1", port) or process.poll() is not None, "uvicorn")
            assert httpx.get(f"http://127.0.0.1:{port}/students").json() == {"items": []}
        finally:
            process.terminate()
            _, log = process.communicate(timeout=SECONDS)
        assert '"path":"/students"' in log
        assert '"GET /students' not in log

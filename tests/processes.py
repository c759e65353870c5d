"""The service as it is run: `manage.py runserver` in processes of its own, ended with the test.

    with running(database_url, "--workers=2") as service:
        httpx.get(f"{service.url}/students")

On SQLite `runserver` migrates the database by itself; elsewhere it has to be migrated before.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]

SECONDS = 60.0
"""Longer than anything here takes, on a busy machine too: who waits longer waits in vain."""

INHERITED = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_START")
"""What of this process's environment a service is given: no settings."""

_URL = re.compile(r"http://\S+?(?=[,\s])")


class Service:
    """A server process with its workers, and what they have printed so far."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self._folder = folder
        self._workers: list[psutil.Process] = []
        self.url = ""

    def client(self, **options: Any) -> httpx.Client:
        """One with all the patience that a busy machine asks for."""
        return httpx.Client(base_url=self.url, timeout=SECONDS, **options)

    def get(self, path: str, **parameters: str) -> httpx.Response:
        """On a connection of its own."""
        with self.client() as client:
            return client.get(path, params=parameters)

    @property
    def output(self) -> str:
        return (self._folder / "output").read_text(errors="replace")

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of the log that are finished."""
        return [json.loads(line) for line in self.log.splitlines(keepends=True) if line.endswith("\n")]

    def wait_for_records(self, count: int = 1, **fields: object) -> list[dict[str, Any]]:
        """Those with these fields, once there are that many."""

        def found() -> list[dict[str, Any]]:
            return [record for record in self.records if fields.items() <= record.items()]

        until(lambda: len(found()) >= count, f"a line of the log with {fields}")
        return found()

    def workers(self) -> list[psutil.Process]:
        """The processes that serve behind the first one; none where it serves itself."""
        if self.process.poll() is None:
            children = psutil.Process(self.process.pid).children()
            self._workers = [child for child in children if "spawn_main" in " ".join(_command(child))]
        return self._workers

    def kill_workers(self, count: int) -> list[int]:
        """Takes some away, waits until they are replaced, and returns what their ids were."""
        all_of_them = self.workers()
        killed = [worker.pid for worker in all_of_them[:count]]
        for worker in all_of_them[:count]:
            worker.kill()

        def are_replaced() -> bool:
            pids = [worker.pid for worker in self.workers()]
            return len(pids) == len(all_of_them) and not set(pids) & set(killed)

        until(are_replaced, "workers to be replaced")
        return killed

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Asks the first process to end, and returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def stop_group(self, number: int = signal.SIGTERM) -> int:
        """As Ctrl-C in a terminal does it: every process is asked at once."""
        self.workers()
        os.killpg(self.process.pid, number)
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        """Takes the first process away; its workers have to notice."""
        self.workers()
        self.process.kill()
        self.process.wait()

    def kill_group(self) -> None:
        self.workers()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_until_gone(self) -> None:
        """Until no process of it is left."""
        self.process.wait(SECONDS)
        until(lambda: not any(map(_runs, self._workers)), "its workers to end")

    def wait_for_url(self) -> None:
        """Until it says where it serves, and answers there."""
        until(lambda: self.process.poll() is not None or _URL.search(self.output), "an address")
        matched = _URL.search(self.output)
        if matched is None:
            raise AssertionError(f"runserver ended with {self.process.returncode}: {self.log}")
        self.url = matched[0]
        try:
            self.get("/health/live")
        except httpx.TransportError as error:
            raise AssertionError(f"runserver does not answer: {self.log}") from error


@contextmanager
def started(
    database_url: str, *options: str, root: Path = ROOT, within: Sequence[str] = (), **settings: Any
) -> Iterator[Service]:
    """A service that may not come up, of the project at `root`; `within` is a command that runs another."""
    with tempfile.TemporaryDirectory(prefix="registrar-service-") as name:
        folder = Path(name)
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        with (folder / "output").open("wb") as output, (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*within, sys.executable, "manage.py", "runserver", *options],
                cwd=root,
                env={**inherited, "DATABASE_URL": database_url, "LOG_FORMAT": "json", **settings},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                start_new_session=True,
            )
        service = Service(process, folder)
        try:
            yield service
        finally:
            if process.poll() is None:
                service.kill_group()
            service.wait_until_gone()


@contextmanager
def running(
    database_url: str, *options: str, root: Path = ROOT, within: Sequence[str] = (), **settings: Any
) -> Iterator[Service]:
    """A service that answers, on a free port unless the options name one."""
    named = any(option.partition("=")[0] == "--port" or option[0] != "-" for option in options)
    options = options if named else (*options, "--port=0")
    with started(database_url, *options, root=root, within=within, **settings) as service:
        service.wait_for_url()
        yield service


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for a condition, and fails when there is no more hope for it."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []

"""Processes on a core of their own, ended with the benchmark."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Failure(Exception):
    """A contender or a database that cannot take part; the sentence says why."""


class Cores:
    """The server has a core to itself; with only two, the database shares the load generator's."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Failure("two cores are needed: one for the server, one for the load")
        self.every = cores
        self.server = cores[-1]
        self.load = cores[0]
        self.database = cores[1] if len(cores) > 2 else cores[0]


class Process:
    """`core` is one of them, or a list of some as taskset takes it."""

    def __init__(
        self,
        command: list[str],
        *,
        core: int | str,
        log: Path,
        environment: Mapping[str, str] | None = None,
        ends_by: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = log
        self.ends_by = ends_by
        # A session of its own keeps the terminal's Ctrl-C away: the benchmark ends it, in its order.
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command],
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not ready():
            self.check_alive()
            if time.monotonic() > end:
                raise Failure(f"not ready after {seconds:.0f} s: {self.last_words()}")
            time.sleep(0.05)

    def check_alive(self) -> None:
        if self.process.poll() is not None:
            raise Failure(f"ended with code {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it said nothing"

    def memory(self) -> int:
        """Resident bytes of the process and its children, a page they share counted once (PSS)."""
        self.check_alive()
        return sum(map(_proportional_set_size, self.family()))

    def family(self) -> list[int]:
        """The process and all below it."""
        return list(_family(self.process.pid))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.ends_by)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def run(command: list[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise Failure(f"{command[0]} is not installed")
    with log.open("ab") as output:
        done = subprocess.run(
            command,
            check=False,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
    if done.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise Failure(f"{Path(command[0]).name} {' '.join(command[1:4])} failed: {' '.join(last) or 'it said nothing'}")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _family(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _family(int(child))


def _proportional_set_size(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # a child that has ended
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))

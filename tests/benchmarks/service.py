"""Registrar itself, pinned to cores, for what is measured of it alone."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.memory import peak_in

from .processes import Failure, Process, free_port

SECRET_KEY = "of a benchmark, and long enough for one"
TICKS = os.sysconf("SC_CLK_TCK")


class Served:
    """A running service. Its log of requests is what it is without any setting, and goes to a file."""

    def __init__(self, url: str, folder: Path, cores: Sequence[int], workers: int = 1) -> None:
        self.port = free_port()
        self.process = Process(
            [sys.executable, "manage.py", "runserver", f"127.0.0.1:{self.port}", "--workers", str(workers)],
            core=",".join(map(str, cores)),
            log=folder / f"service-{self.port}.log",
            environment={"DATABASE_URL": url, "DEBUG": "true", "SECRET_KEY": SECRET_KEY},
        )

    def client(self) -> httpx.Client:
        """With the patience for a million rows."""
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=3600, trust_env=False)

    def answers(self) -> bool:
        try:
            with self.client() as client:
                return client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def forget_peak(self) -> None:
        """Of its memory: see `clear_refs` in proc(5)."""
        for pid in self.process.family():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """The most bytes that its largest process had in memory since then."""
        return max(peak_in(Path(f"/proc/{pid}/status").read_text()) for pid in self.process.family())

    def cpu_seconds(self) -> dict[int, float]:
        """By process, what it has used so far."""
        return {pid: _cpu_seconds(pid) for pid in self.process.family()}


@contextmanager
def serving(url: str, folder: Path, cores: Sequence[int], workers: int = 1) -> Iterator[Served]:
    served = Served(url, folder, cores, workers)
    try:
        served.process.wait_until(served.answers)
        yield served
    finally:
        served.process.stop()


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What this process does meanwhile, it does on that core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Caller:
    """One connection to a service that takes as little time itself as Python can."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> tuple[float, bytes]:
        """How many microseconds the answer took, and its body. Raises Failure for any answer but 200."""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        began = time.perf_counter()
        self._socket.sendall(request)
        head, end, body = b"", b"", b""
        while not end:
            if not (piece := self._socket.recv(65536)):
                raise Failure(f"{path} was not answered")
            head, end, body = (head + piece).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"\ncontent-length:")[2].partition(b"\r")[0])
        while len(body) < length:
            body += self._socket.recv(65536)
        took = (time.perf_counter() - began) * 1e6
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failure(f"{path} was answered with {head[:12].decode()}: {body[:200].decode()}")
        return took, body

    def close(self) -> None:
        self._socket.close()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS

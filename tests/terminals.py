"""Programs as a person at a terminal meets them."""

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

SECONDS = 60.0
"""Longer than anything here takes: who waits longer waits in vain."""


class Terminal:
    """What a program shows, and what is typed into it."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def interrupt(self) -> int:
        """Ctrl-C, pressed again where it came before the program listened; the exit code."""
        for _ in range(10):
            self.process.send_signal(signal.SIGINT)
            try:
                return self.process.wait(SECONDS / 10)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError("it does not end")

    def until(self, end: str) -> str:
        """All that it shows, up to and with `end`."""
        shown = b""
        while not shown.endswith(end.encode()):
            byte = self._read(shown)
            assert byte, f"it ended before {end!r}, after {shown.decode()}"
            shown += byte
        return shown.decode()

    def rest(self) -> str:
        """All that it shows until it ends."""
        shown = b""
        while byte := self._read(shown):
            shown += byte
        return shown.decode()

    def _read(self, shown: bytes) -> bytes:
        assert select.select([self._descriptor], [], [], SECONDS)[0], f"it shows nothing after {shown!r}"
        try:
            return os.read(self._descriptor, 1)
        except OSError:  # Linux's way to say that the other side is closed
            return b""


@contextmanager
def terminal(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Runs the command at a terminal; it has ended, or is ended, after."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
        process.wait(SECONDS)

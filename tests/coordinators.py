"""`manage.py switchdb` in a process of its own, which can be killed, or held up, at each of its steps."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.processes import INHERITED, ROOT, SECONDS

Lines = list[str]


class Coordinator:
    """`lines` are what it has told so far, `step=NAME` before each step, and its report."""

    def __init__(self, settings: Mapping[str, str], *arguments: str) -> None:
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "switchdb", *arguments],
            cwd=ROOT,
            env={**inherited, **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: Lines = []
        self._reached = threading.Condition()
        self._has_ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def told(self) -> str:
        return "\n".join(self.lines)

    def at(self, step: str) -> bool:
        """Waits until it begins the step; False where it ended without."""
        line = f"step={step}"
        with self._reached:
            self._reached.wait_for(lambda: line in self.lines or self._has_ended)
            return line in self.lines

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Its exit code."""
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end after {self.told}") from None
        self._reader.join()
        return self.process.wait()

    @contextmanager
    def held(self) -> Iterator[None]:
        """It does nothing meanwhile, and does not notice."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as told:
            for line in told:
                with self._reached:
                    self.lines.append(line.rstrip("\n"))
                    self._reached.notify_all()
        with self._reached:
            self._has_ended = True
            self._reached.notify_all()


@contextmanager
def coordinating(settings: Mapping[str, str], *arguments: str) -> Iterator[Coordinator]:
    """Gone in the end, however far it has come."""
    coordinator = Coordinator(settings, *arguments)
    try:
        yield coordinator
    finally:
        coordinator.kill()


def coordinated(settings: Mapping[str, str], *arguments: str) -> None:
    """Of one that must come to its end."""
    with coordinating(settings, *arguments) as coordinator:
        assert coordinator.wait() == 0, coordinator.told

"""Temporary folders that last as long as the process that made them, however it ends."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def lasting(prefix: str) -> Iterator[Path]:
    """A folder whose name begins like that. Those that others left behind who were killed are removed first.

    Whoever lives holds a lock on theirs, which ends with them. A process id in the name would not tell as much: it can
    be somebody else's by now, or be another's in another container.
    """
    for found in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_if_left(found)
    folder, lock = _locked(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked(prefix: str) -> tuple[Path, int | None]:
    """A new folder and what holds its lock; None where the system has no such locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        if sys.platform == "win32":
            return folder, None
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(OSError):  # a file system without locks: nobody can take it for left behind
                fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)  # somebody was faster, and took it for left behind


def _remove_if_left(folder: Path) -> None:
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # gone, in use, or somebody else's
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(lock)

"""How long a process lives: as long as the one that started it, and a moment more for what is in flight."""

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

GRACE = 25
"""Seconds that requests in flight have to finish when the service stops: less than the 30 that Kubernetes waits."""

SWITCH_SECONDS = 0.0005
"""After which a thread that waits asks the one that runs to let it."""


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Keeps SIGINT waiting, in this process and until `end_with_parent` in those that it starts meanwhile.

    Ctrl-C reaches all processes of a terminal at once, and one that is still being imported can do nothing with it.
    """
    if os.name == "posix":
        resource_tracker.ensure_running()  # starting it would let SIGINT through again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@contextlib.contextmanager
def keeping_what_is_loaded() -> Iterator[None]:
    """The garbage collector passes over all that there is by now.

    It would look through the hundred thousands of objects that the application is made of whenever requests have left
    something behind, and stop every request for as long as that takes: a tenth of a second.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextlib.contextmanager
def handing_over_soon() -> Iterator[None]:
    """Threads that are through with the database ask a busy event loop for its turn sooner.

    Python's own 5 ms, before it and after it, are many times what the disk takes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def end_with_parent() -> None:
    """Ends this process, a worker's, when the one that started it is gone, however that ended.

    To be called when it handles signals. Does nothing in a process that multiprocessing did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        threading.Thread(target=_end_after, args=(parent.sentinel,), name="parent", daemon=True).start()


def _end_after(sentinel: Any) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE + 5)
    os._exit(1)

"""How long a process lives: as long as the one that started it, and a moment more for what is in flight."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait
from typing import Any

GRACE = 25
"""Seconds that requests in flight have to finish when the service stops: less than the 30 that Kubernetes waits."""


def end_with_parent() -> None:
    """Ends this process, a worker's, when the one that started it is gone, however that ended.

    Does nothing in a process that multiprocessing did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), name="parent", daemon=True).start()


def _end_after(sentinel: Any) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE + 5)
    os._exit(1)

"""How many requests begin in one turn of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

REQUESTS = 3
"""Each takes the loop some 0.2 ms, which the end of a commit, and whatever else waits for the next turn, waits too."""


class Turns:
    """Lets requests begin in the order in which they came, a few in each turn.

    A request that writes needs several turns, and a new connection too; one that reads SQLite needs one. Did all that
    have come begin at once, each of those turns would last for as long as all the readers together.
    """

    def __init__(self) -> None:
        self._begun = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def begin(self, request: Callable[[], None]) -> None:
        """`request` is called in this turn or in a later one."""
        if self._begun == REQUESTS:
            self._waiting.append(request)
            return
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1
        request()

    def _next(self) -> None:
        self._begun = 0
        for _ in range(min(len(self._waiting), REQUESTS)):
            self.begin(self._waiting.popleft())


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def of(loop: asyncio.AbstractEventLoop) -> Turns:
    return _turns.setdefault(loop, Turns())

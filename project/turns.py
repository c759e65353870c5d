"""How many requests begin in one turn of the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

REQUESTS = 16
"""Each takes the loop some 0.1 ms, which a new connection waits too."""
REQUESTS_BESIDE_OTHERS = 3
"""The same where requests of earlier turns wait for the end of a commit, or whatever else takes a turn."""


class Turns:
    """Lets requests begin in the order in which they came, a few in each turn.

    A request that writes needs several turns, and a new connection too; one that reads SQLite needs one. Did all that
    have come begin at once, each of those turns would last for as long as all the readers together.
    """

    def __init__(self) -> None:
        self._open = 0
        self._begun = 0
        self._most = REQUESTS
        self._waiting: deque[Callable[[], None]] = deque()

    def begin(self, request: Callable[[], None]) -> None:
        """`request` is called in this turn or in a later one. When it is through, that is to be told by `end`."""
        if self._begun == self._most:
            self._waiting.append(request)
            return
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1
        self._open += 1
        request()

    def end(self) -> None:
        self._open -= 1

    def _next(self) -> None:
        self._most = REQUESTS_BESIDE_OTHERS if self._open > self._begun else REQUESTS
        self._begun = 0
        for _ in range(min(len(self._waiting), self._most)):
            self.begin(self._waiting.popleft())


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def of(loop: asyncio.AbstractEventLoop) -> Turns:
    return _turns.setdefault(loop, Turns())

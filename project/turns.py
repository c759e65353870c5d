"""What the turns of the event loop are used for: how many requests begin in one, and what is done once in each."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import ReferenceType, WeakKeyDictionary, ref

T = TypeVar("T")

READS = 16
"""How many begin in one turn. Each takes the loop some 0.1 ms, which a new connection waits too."""
READS_BESIDE_OTHERS = 2
"""The same where requests of earlier turns wait, for the end of a commit, for their client, or whatever takes long."""


class Batch(Generic[T]):
    """What comes up in one turn is handed over together, in the next. Only for the thread of the event loop."""

    def __init__(self, hand_over: Callable[[list[T]], None]) -> None:
        self._hand_over = hand_over
        self._items: list[T] = []
        self._loop: ReferenceType[asyncio.AbstractEventLoop] | None = None

    def add(self, item: T) -> None:
        loop = asyncio.get_running_loop()
        if not self._items or self._loop is None or self._loop() is not loop:  # it may have ended before its next turn
            self._loop = ref(loop)
            loop.call_soon(self.flush)
        self._items.append(item)

    def flush(self) -> None:
        items, self._items = self._items, []
        if items:
            self._hand_over(items)


class Turns:
    """Lets requests begin in the order in which they came, reads a few in each turn, and answers leave together.

    A write needs several turns, and a new connection too; a read of SQLite needs one. Did all reads that have come
    begin at once, each of those turns would last for as long as all of them together. Writes do begin at once: little
    is done of them before they wait for each other. Answers that leave one by one wake up their reader one by one,
    which costs nearly as much as to make them.
    """

    def __init__(self) -> None:
        self._open = 0
        self._begun = 0
        self._most = READS
        self._waiting: deque[Callable[[], None]] = deque()
        self._answers: Batch[tuple[asyncio.WriteTransport, bytes]] = Batch(_write)

    def begin(self, request: Callable[[], None], *, reads: bool) -> None:
        """`request` is called in this turn or in a later one. When it is through, that is to be told by `end`."""
        if reads and self._begun >= self._most:
            self._waiting.append(request)
            return
        if self._begun == 0:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1
        self._open += 1
        request()

    def end(self) -> None:
        self._open -= 1

    def send(self, transport: asyncio.WriteTransport, answer: bytes) -> None:
        self._answers.add((transport, answer))

    def flush(self) -> None:
        """Send what has been answered, before anything else is sent, or a transport is closed."""
        self._answers.flush()

    def _next(self) -> None:
        self._most = READS_BESIDE_OTHERS if self._open > self._begun else READS
        self._begun = 0
        for _ in range(min(len(self._waiting), self._most)):
            self.begin(self._waiting.popleft(), reads=True)


def _write(answers: list[tuple[asyncio.WriteTransport, bytes]]) -> None:
    for transport, answer in answers:
        if not transport.is_closing():
            transport.write(answer)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def of(loop: asyncio.AbstractEventLoop) -> Turns:
    return _turns.setdefault(loop, Turns())

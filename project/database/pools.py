"""The pool that lends sessions on connections that are held open."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from project.database.errors import Busy
from project.database.sessions import Session

PATIENCE = 5.0
"""Seconds that a request waits, for a connection or for the right to write, before it is told to come back."""


class Pool:
    """Lends sessions, the one given back last first, and opens new ones up to `size`.

    Raises Busy for a borrower who has waited too long.
    """

    def __init__(self, connect: Callable[[], Awaitable[Session]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._idle: list[Session] = []
        self._open = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def acquire(self) -> Session:
        while True:
            if self._idle:
                return self._idle.pop()
            if self._open < self._size:
                return await self._opened()
            await self._turn()

    async def release(self, session: Session) -> None:
        if session.held.broken or self._closed:
            self._open -= 1
            self._wake()
            await session.held.close()
        else:
            self._idle.append(session)
            self._wake()

    async def close(self) -> None:
        """Close what is idle now, and what is lent out as it comes back."""
        self._closed = True
        while self._idle:
            self._open -= 1
            await self._idle.pop().held.close()

    async def _opened(self) -> Session:
        self._open += 1
        try:
            return await self._connect()
        except BaseException:
            self._open -= 1
            self._wake()
            raise

    async def _turn(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(PATIENCE):
                await turn
        except TimeoutError:
            raise Busy("Every connection to the database is in use.") from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

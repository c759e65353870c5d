"""The pool that lends sessions on connections that are held open."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from project.database.errors import Busy, Gone
from project.database.sessions import Session

PATIENCE = 5.0
"""Seconds that a request waits, for a connection or for the right to write, before it is told to come back."""
CONNECT_SECONDS = 3.0
"""How long a server may take to let a connection in, where its URL does not say."""


class Pool:
    """Lends sessions, the one given back last first, and opens new ones up to `size`. Who waits longest comes first.

    A connection that broke takes the idle ones with it: they are as old, and the server behind them is likely the same.
    Raises Busy for a borrower who has waited too long, Gone where no connection can be opened.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        size: int,
        connect_seconds: float = CONNECT_SECONDS,
        is_full: Callable[[Exception], bool] = lambda error: False,
    ) -> None:
        """`is_full` says whether an error means that the server has no more connections to give."""
        self._connect = connect
        self._connect_seconds = connect_seconds
        self._is_full = is_full
        self.size = size
        self._idle: list[Session] = []
        self._places = size
        """How many more connections may be opened."""
        self._waiting: deque[asyncio.Future[Session | None]] = deque()
        self._resting: asyncio.Future[None] | None = None
        self._closed = False

    async def acquire(self) -> Session:
        while self._idle:
            session = self._idle.pop()
            if not session.held.is_lost:
                return session
            await self._retire([session])
        may_open = self._places > 0 and not self._waiting
        self._places -= may_open
        while True:
            if may_open:
                try:
                    return await self._opened()
                except Exception as error:
                    if self._places == self.size or not self._is_full(error):
                        raise  # otherwise those that are open have to do
            found = await self._turn()
            if found is not None:
                return found
            may_open = True

    async def release(self, session: Session) -> None:
        """Raises nothing: what was committed stays so."""
        held = session.held
        if held.is_lost:
            idle, self._idle = self._idle, []
            await self._retire([session, *idle])
        elif held.broken or self._closed:
            await self._retire([session])
        else:
            self._pass_on(session)

    async def warm(self) -> None:
        """Open as many connections as the pool may have, or as the server has to give."""
        while self._places > 0 and not self._waiting:
            self._places -= 1
            try:
                session = await self._opened()
            except Exception as error:
                if self._places == self.size:
                    raise
                if self._is_full(error):
                    await self._leave_room()
                return
            self._pass_on(session)

    async def _leave_room(self) -> None:
        """To others, as all who prepare themselves do it at once and most could do with less."""
        surplus = self._idle[len(self._idle) // 2 :]
        del self._idle[len(self._idle) // 2 :]
        await self._retire(surplus)

    async def rest(self) -> None:
        """Wait until everything that was lent out is back, and nobody waits for more."""
        while not self._is_at_rest():
            self._resting = asyncio.get_running_loop().create_future()
            await self._resting

    async def close(self) -> None:
        """Close what is idle now, and what is lent out as it comes back."""
        self._closed = True
        idle, self._idle = self._idle, []
        await self._retire(idle)

    async def _opened(self) -> Session:
        """On a place that was taken for it, which is given up if it fails."""
        try:
            try:
                async with asyncio.timeout(self._connect_seconds):
                    return await self._connect()
            except OSError as error:
                raise Gone from error
        except BaseException as error:
            if isinstance(error, Exception) and self._places + 1 == self.size:
                self._refuse(error)
            if isinstance(error, Exception) and self._is_full(error):
                self._places += 1
            else:
                self._pass_on(None)
            raise

    async def _retire(self, sessions: Sequence[Session]) -> None:
        for _ in sessions:
            self._pass_on(None)
        for session in sessions:
            await session.held.close()

    async def _turn(self) -> Session | None:
        """A session from whoever gives one back; None is the place of one that is no more, to open another."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Session | None] = loop.create_future()
        self._waiting.append(turn)
        patience = loop.call_later(PATIENCE, _send_away, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._pass_on(turn.result())
            raise
        finally:
            patience.cancel()

    def _refuse(self, failure: Exception) -> None:
        """Nobody has a connection that could be given back: whoever waits, waits in vain."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(failure)

    def _pass_on(self, session: Session | None) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(session)
                return
        if session is None:
            self._places += 1
        else:
            self._idle.append(session)
        if self._resting is not None and self._is_at_rest() and not self._resting.done():
            self._resting.set_result(None)

    def _is_at_rest(self) -> bool:
        return not self._waiting and self._places + len(self._idle) == self.size


def _send_away(turn: "asyncio.Future[Session | None]") -> None:
    if not turn.done():
        turn.set_exception(Busy("Every connection to the database is in use."))

"""How long a server may answer from the database that it reads, as that database's gate has it."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

from sqlalchemy.engine import URL

from project.database import links
from project.database.errors import Busy, Gone, Outdated, TimedOut
from project.database.links import Link
from project.database.places import Place
from project.settings import Settings
from project.transfer import gates, protocol, servers
from project.transfer.servers import Sight

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""How long anything may take that has to do with the gate: a look that took as long as a lease is worth nothing."""

clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds, those during which the machine was asleep included where the system counts them."""


class Look(NamedTuple):
    sight: Sight
    sent: float
    received: float
    """By the clock of this module."""


class Leased(Place):
    """A database that may be answered from until its lease ends, which is over from the start.

    It has one connection beside its pools, however busy those are, for everything that has to do with the gate: nobody
    has to get another one from a server that may be full by then.
    """

    def __init__(self, alias: str, url: URL, settings: Settings) -> None:
        super().__init__(url, settings)
        self.alias = alias
        self.lease_end = -math.inf
        self.takes_writes = False
        self._link: Link | None = None
        self._lock = asyncio.Lock()

    def may_answer(self) -> bool:
        return protocol.may_answer(self.lease_end, clock())

    def release(self) -> None:
        """Nothing is answered from here any more."""
        self.lease_end = -math.inf
        self.takes_writes = False

    async def look(self, me: str) -> Look:
        """Raises DatabaseError, as all of these do."""

        async def ask(link: Link) -> Look:
            sent = clock()
            async with link.alone() as session:
                return Look(await servers.look(session, me), sent, clock())

        return await self._ask(ask)

    async def servers(self) -> int:
        """How many may be reading here."""

        async def ask(link: Link) -> int:
            async with link.alone() as session:
                return await servers.count(session)

        return await self._ask(ask)

    async def register(self, me: str, name: str, followed: str | None) -> None:
        """Before anything is read here, unless the gate sends the server elsewhere."""

        async def ask(link: Link) -> None:
            async with gates.locked(link, LOOK_SECONDS / 2, shared=True) as locked:
                await servers.register(locked, me, name, followed)

        await self._ask(ask)

    async def leave(self, me: str) -> None:
        """Once nothing is read here any more."""

        async def ask(link: Link) -> None:
            async with gates.locked(link, LOOK_SECONDS / 2, shared=True) as locked:
                await servers.leave(locked.session, me)

        await self._ask(ask)

    async def close(self) -> None:
        await self._hang_up()
        await self.backend.close()

    async def retire(self) -> None:
        """Close it once everybody is through with it."""
        await self._hang_up()
        await self.backend.retire()

    async def _ask(self, ask: Callable[[Link], Awaitable[T]]) -> T:
        async with self._lock:
            if not self.is_there:
                raise Outdated
            if self._link is not None:
                try:
                    return await self._on(self._link, ask)
                except Gone:
                    pass  # it may have been idle for as long as the server was away
            self._link = await links.open_link(self.dialect, self.backend)
            return await self._on(self._link, ask)

    async def _on(self, link: Link, ask: Callable[[Link], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                return await ask(link)
        except Busy:
            raise
        except BaseException as error:
            link.session.held.broken = True  # what it is waiting for is unknown
            await self._hang_up()
            if isinstance(error, TimeoutError):
                raise TimedOut("The database did not say in time whether it is the active one.") from error
            raise

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

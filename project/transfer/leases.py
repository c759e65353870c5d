"""How long a server may answer from the database that it reads, as that database's gate has it."""

import asyncio
import math
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sqlalchemy.engine import URL

from project.database import links
from project.database.errors import Gone, Outdated, TimedOut
from project.database.links import Link
from project.database.places import Place
from project.settings import Settings
from project.transfer import protocol, servers
from project.transfer.servers import Sight

LOOK_SECONDS = 1.0
"""How long a look at the gate may take: one that took as long as a lease is worth nothing."""

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
    """A database that may be answered from until its lease ends, which is over from the start."""

    def __init__(self, alias: str, url: URL, settings: Settings) -> None:
        super().__init__(url, settings)
        self.alias = alias
        self.lease_end = -math.inf
        self.takes_writes = False
        self._link: Link | None = None

    def may_answer(self) -> bool:
        return protocol.may_answer(self.lease_end, clock())

    def release(self) -> None:
        """Nothing is answered from here any more."""
        self.lease_end = -math.inf
        self.takes_writes = False

    async def look(self, me: str) -> Look:
        """On a connection of its own, however busy the others are; one task at a time. Raises DatabaseError."""
        if not self.is_there:
            raise Outdated
        if self._link is not None:
            try:
                return await self._look(self._link, me)
            except Gone:
                pass  # it may have been idle for as long as the server was away
        self._link = await links.open_link(self.dialect, self.backend)
        return await self._look(self._link, me)

    async def servers(self) -> int:
        """How many may be reading here. Raises DatabaseError; one task at a time may ask, or look."""
        if self._link is None:
            self._link = await links.open_link(self.dialect, self.backend)
        async with asyncio.timeout(LOOK_SECONDS), self._link.alone() as session:
            return await servers.count(session)

    async def close(self) -> None:
        await self._hang_up()
        await self.backend.close()

    async def retire(self) -> None:
        """Close it once everybody is through with it."""
        await self._hang_up()
        await self.backend.retire()

    async def _look(self, link: Link, me: str) -> Look:
        sent = clock()
        try:
            async with asyncio.timeout(LOOK_SECONDS), link.alone() as session:
                return Look(await servers.look(session, me), sent, clock())
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

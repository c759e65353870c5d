"""How units of work reach an opened database."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from project.database.connections import Connection
from project.database.pools import Pool
from project.database.sessions import Session
from project.database.writes import S, T, Work, give_up, in_transaction


class Backend(Protocol):
    """An opened database. Errors are the driver's or SQLAlchemy's own, or DatabaseErrors."""

    engine: AsyncEngine
    """For migrations and inspection; units of work do not need it."""

    async def read(self, service: type[S], work: Work[S, T]) -> T: ...
    async def snapshot(self, service: type[S], work: Work[S, T], seconds: float | None) -> T: ...
    async def write(self, service: type[S], work: Work[S, T], *, together: bool) -> T:
        """`together`: see Database.write."""
        ...

    def commits(self) -> int | None:
        """A number that is another one whenever something was committed; None where only the server could say so."""
        ...

    async def link(self) -> Session:
        """A session on a new connection, outside of all pools, whose statements may take any time.

        Outside of `begin` and `commit` each of them stands for itself.
        """
        ...

    async def warm(self) -> None:
        """Open the connections that reads and writes are going to need, before there are any.

        Raises what keeps the first one from being opened.
        """
        ...

    async def retire(self) -> None:
        """Close it once everybody is through with it; nobody may begin anything any more."""
        ...

    async def close(self) -> None: ...


async def open_session(engine: AsyncEngine, hold: Callable[[AsyncConnection, Any], Awaitable[Connection]]) -> Session:
    """A session on a new connection; `hold` is given SQLAlchemy's and the driver's."""
    alchemy = await engine.connect()
    try:
        return Session(await hold(alchemy, (await alchemy.get_raw_connection()).driver_connection))
    except BaseException:
        await alchemy.close()
        raise


class PooledReads:
    """Reads on pooled connections: each statement for itself, or all of them at one moment.

    The latter may take long, so they have connections of their own. A connection is broken off if the server has not
    finished a read, nor refused to, after `silence` seconds.
    """

    def __init__(self, reads: Pool, snapshots: Pool, silence: float | None = None) -> None:
        self._reads = reads
        self._snapshots = snapshots
        self._silence = silence

    async def read(self, service: type[S], work: Work[S, T]) -> T:
        session = await self._reads.acquire()
        timer = None
        if self._silence is not None:
            timer = asyncio.get_running_loop().call_later(self._silence, session.held.abort)
        try:
            return await work(session.service(service))
        except BaseException as error:
            give_up(session, error)
        finally:
            if timer is not None:
                timer.cancel()
            try:
                await session.reset()
            finally:
                await self._reads.release(session)

    async def snapshot(self, service: type[S], work: Work[S, T], seconds: float | None) -> T:
        """Each statement may take so many seconds; None is any time."""
        session = await self._snapshots.acquire()
        begin = partial(session.held.begin_snapshot, seconds)
        return await in_transaction(self._snapshots, session, begin, lambda begun: work(begun.service(service)))

    def commits(self) -> int | None:
        return None

    async def warm(self) -> None:
        await self._reads.warm()

    async def retire(self) -> None:
        await self._reads.rest()
        await self._snapshots.rest()
        await self.close()

    async def close(self) -> None:
        await self._reads.close()
        await self._snapshots.close()

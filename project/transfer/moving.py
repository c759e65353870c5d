"""What a server does beside its requests when the service moves: before it goes along, and after."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import sqlalchemy as sa
import structlog

from project.database import links
from project.database.errors import DatabaseError
from project.settings import Settings
from project.transfer import gates, protocol, servers, ways
from project.transfer.gates import Record
from project.transfer.leases import Leased, clock
from project.transfer.opening import open_target

log = structlog.get_logger(__name__)

Start = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]

MOST_TRIES = 5
"""How often a server tries to take its name off the list of a database that it has left."""


class Preparation:
    """The target of a switch, with connections opened, and the source told so or why not."""

    def __init__(self, settings: Settings, me: str, source: Leased, record: Record, start: Start) -> None:
        self.switch = record.gate.switch or ""
        self.target: Leased | None = None
        self._settings = settings
        self._me = me
        self._source = source
        self._record = record
        self._start = start
        self._task = start(self._run())

    def again(self) -> None:
        """The source knows nothing of it."""
        if self._task.done():
            self._task = self._start(self._run())

    def taken(self) -> Leased | None:
        """The target, for good, if there is one yet."""
        self._task.cancel()
        target, self.target = self.target, None
        return target

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if self.target is not None:
            await self.target.close()

    async def _run(self) -> None:
        try:
            if self.target is None:
                self.target = await ways.locate(self._settings, self._record)
            await self.target.backend.warm()
        except Exception as error:
            meaning = self._source.meaning(error) if self.target is None else self.target.meaning(error)
            if meaning is None:
                raise
            log.error("cannot follow", switch=self.switch, reason=str(meaning))
            await self._report(str(meaning))
            await asyncio.sleep(protocol.RENEWAL)
        else:
            await self._report(None)

    async def _report(self, problem: str | None) -> None:
        async with (
            links.link(self._source.dialect, self._source.backend) as link,
            gates.locked(link, shared=True) as locked,
        ):
            await servers.report(locked, self._me, self.switch, problem)


class Departure:
    """A database that this server has left, for one that takes no writes before nobody can be reading the other."""

    def __init__(self, me: str, place: Leased, record: Record, seen_at: float, start: Start) -> None:
        """`seen_at` is when the record was seen that sent the server on."""
        self.seen_at = seen_at
        self._place = place
        self._me = me
        self._switch = record.gate.switch or ""
        self._start = start
        self._leaving = start(self._leave())
        self._opening: asyncio.Task[None] | None = None

    def open(self, target: Leased, tables: Sequence[sa.Table]) -> None:
        """Let the target take writes as soon as that is safe."""
        if self._opening is None or self._opening.done():
            self._opening = self._start(self._open(target, tables))

    def end(self) -> None:
        """Close the database that was left, once everybody is through with it."""
        self._start(self._retire())

    async def _leave(self) -> None:
        for _ in range(MOST_TRIES):
            with contextlib.suppress(DatabaseError):
                await self._place.leave(self._me)
                return
            await asyncio.sleep(protocol.RENEWAL)

    async def _open(self, target: Leased, tables: Sequence[sa.Table]) -> None:
        try:
            registered = await self._place.servers()
        except DatabaseError:
            registered = 1  # or more: who cannot tell waits for their leases to end
        if protocol.may_open(registered, self.seen_at, clock()):
            try:
                async with links.link(target.dialect, target.backend) as link:
                    await open_target(link, self._switch, tables)
                    async with link.alone() as session:
                        await link.switching.validate(session, tables)
            except DatabaseError as error:
                log.error("cannot open the database", switch=self._switch, reason=str(error))
                await asyncio.sleep(protocol.RENEWAL)

    async def _retire(self) -> None:
        await asyncio.wait({self._leaving, *([self._opening] if self._opening else [])})
        await self._place.retire()

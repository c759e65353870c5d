"""A server's way through a switch: it reads where the gate lets it, says so, and goes along when the service moves."""

import asyncio
import contextlib
import contextvars
import os
import socket
import uuid
from collections.abc import Coroutine
from typing import Any

import structlog

from project import registry
from project.database import parse_url
from project.database.errors import Busy, DatabaseError, Gone, Moving, ReadOnly, TimedOut, Transient, Unavailable
from project.database.places import Place, Visit
from project.settings import Settings
from project.transfer import protocol, ways
from project.transfer.gates import Record
from project.transfer.leases import LOOK_SECONDS, Leased, clock
from project.transfer.moving import Departure, Preparation
from project.transfer.protocol import Phase, Registration
from project.transfer.servers import Sight

log = structlog.get_logger(__name__)

PATIENCE = 5.0
"""Seconds that a request waits for a database that takes it. A cutover takes a fraction of one, or a little over one
where the one who moves the service dies in the middle of it.
"""
WAITING = 0.005
"""Seconds between two looks while requests wait."""
PREPARING = 0.02
"""Seconds between two looks while the service is about to move."""
EAGER_SECONDS = 60.0
"""How long it is looked at that often: whoever moves the service may have died."""


class Unwritten(Unavailable):
    """The active database has no room for the row of a server that would have a lease, or not now."""

    def __init__(self, place: Place, sent: float, failure: Unavailable) -> None:
        super().__init__(failure.message)
        self.place = place
        self.sent = sent
        """When the database was asked whether it is the active one."""
        self.failure = failure


class Follower:
    """The guide of a server's worker process.

    `run` keeps the lease; a request that finds none looks by itself. Where a database takes no row of this server, as
    one that is read-only, there is no lease: each read then asks the gate first.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id = str(uuid.uuid4())
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._here = Leased("default", parse_url(settings.database_url), settings)
        self._followed: str | None = None
        """The switch whose record sent this server here."""
        self._preparing_since: float | None = None
        self._registered = False
        self._unwritten: Unavailable | None = None
        self._register_at = 0.0
        """After which it is tried again, once it has failed."""
        self._looking: asyncio.Task[None] | None = None
        self._preparation: Preparation | None = None
        self._departure: Departure | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: str | None = None

    @property
    def place(self) -> Place:
        return self._here

    def sure(self, writes: bool) -> Place | None:
        here = self._here
        return here if here.may_answer() and (here.takes_writes or not writes) else None

    async def find(self, writes: bool) -> Place:
        asked = clock()
        deadline = asked + PATIENCE
        while True:
            try:
                await self.look()
            except Unwritten as error:
                if not writes and error.sent >= asked:
                    return Visit(error.place)
                if writes and (isinstance(error.failure, ReadOnly) or clock() > deadline):
                    raise error.failure from error
            except (Busy, TimedOut, Transient) as error:
                if clock() > deadline:
                    raise Gone from error
            except ways.Astray as error:
                raise Gone from error
            if (place := self.sure(writes)) is not None:
                return place
            if clock() > deadline:
                raise Moving
            await asyncio.sleep(WAITING)

    async def moved(self, place: Place) -> None:
        with contextlib.suppress(DatabaseError):
            await self.look()  # as `find` does next, which tells what keeps it from going along

    async def start(self) -> None:
        """Look for the first time. Raises Unnamed; a database that is away may come back while the server runs."""
        try:
            await self.look()
        except ways.Unnamed:
            raise
        except DatabaseError as error:
            self._note(str(error))

    async def run(self) -> None:
        """Look at the gate for as long as the server runs."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self.look()
            except DatabaseError as error:
                self._note(str(error))
            else:
                self._note(None)

    async def look(self) -> None:
        """Renew the lease and follow the record; who comes while somebody looks shares what comes of it.

        Raises DatabaseError, Unnamed where the way to the active database is not known here.
        """
        looking = self._looking
        if looking is None or looking.done():
            looking = self._looking = self._begin(self._look())
        await asyncio.wait({looking})
        looking.result()

    async def close(self) -> None:
        """Once nothing is read any more."""
        here = self._here
        here.release()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        if self._preparation is not None:
            await self._preparation.close()
        if self._departure is not None:
            self._departure.end()
        if self._registered:
            with contextlib.suppress(DatabaseError):
                await here.leave(self._id)
        await here.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LOOK_SECONDS)
            for task in late:
                task.cancel()

    def _pause(self) -> float:
        if self._departure is not None:
            since: float | None = self._departure.seen_at
            pause = WAITING
        else:
            since, pause = self._preparing_since, PREPARING
        return protocol.RENEWAL if since is None or clock() > since + EAGER_SECONDS else pause

    def _note(self, failure: str | None) -> None:
        """Log a failure when it begins and when it ends."""
        if failure != self._failure:
            if failure is not None:
                log.error("no lease on the database", reason=failure)
            else:
                log.warning("lease on the database again", engine=self._here.dialect.name)
            self._failure = failure

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that knows nothing of the request which began it, and whose failure may interest nobody."""
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and not isinstance(failure, DatabaseError):
            log.error("task failed", exc_info=failure)

    async def _look(self) -> None:
        walk = ways.Walk()
        while True:
            here = self._here
            sight, sent, received = await here.look(self._id)
            if protocol.follows(sight.gate, self._followed):
                walk.follow(sight.record)
                await self._follow(here, sight.record, received)
            elif protocol.grants(sight.gate, self._followed, sight.registration):
                here.lease_end = protocol.lease_until(sent, received)
                here.takes_writes = sight.gate.phase not in protocol.FENCED
                self._attend(here, sight)
                return
            else:
                await self._register(here, sent)

    async def _register(self, here: Leased, sent: float) -> None:
        if self._unwritten is None or clock() > self._register_at:
            self._registered = True
            try:
                await here.register(self._id, self._name, self._followed)
            except (Busy, ReadOnly, TimedOut) as error:
                self._unwritten = error
                self._register_at = clock() + protocol.RENEWAL
            else:
                self._unwritten = None
        if self._unwritten is not None:
            raise Unwritten(here, sent, self._unwritten)

    async def _follow(self, here: Leased, record: Record, seen_at: float) -> None:
        here.release()
        preparation, self._preparation = self._preparation, None
        target = None
        if preparation is not None and preparation.switch == record.gate.switch:
            target = preparation.taken()
        if target is None:
            target = await ways.locate(self._settings, record)
        if self._departure is not None:
            self._departure.end()
        self._departure = Departure(self._id, here, record, seen_at, self._begin)
        self._followed = record.gate.switch if record.gate.phase is Phase.MOVED else None
        self._here = target
        self._unwritten = None
        log.warning("moved", switch=record.gate.switch, database=target.alias, engine=target.dialect.name)

    def _attend(self, here: Leased, sight: Sight) -> None:
        """Do what the gate asks for, beside the requests."""
        gate, preparation = sight.gate, self._preparation
        self._preparing_since = (self._preparing_since or clock()) if gate.phase is Phase.PREPARING else None
        if preparation is not None and (gate.phase is not Phase.PREPARING or gate.switch != preparation.switch):
            self._begin(preparation.close())
            preparation = self._preparation = None
        if gate.phase is Phase.PREPARING and (
            sight.registration is not Registration.READY or sight.ready_for != gate.switch
        ):
            if preparation is None:
                self._preparation = Preparation(self._settings, self._id, here, sight.record, self._begin)
            else:
                preparation.again()
        if self._departure is not None:
            if gate.phase is Phase.FILLING:
                self._departure.open(here, registry.tables(self._settings.installed_apps))
            else:
                self._departure.end()
                self._departure = None

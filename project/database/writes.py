"""The ways in which writes are committed."""

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

from project import callers
from project.database.errors import UNDONE, Busy, Lost, OutcomeUnknown, Transient
from project.database.pools import PATIENCE, Pool
from project.database.sessions import Session

S = TypeVar("S")
T = TypeVar("T")
Work = Callable[[S], Awaitable[T]]

GROUP = 64
"""The most units of work in one transaction: past this the wait of the first outgrows what sharing the sync saves."""

GROUP_SECONDS = 0.05
"""How long a group is added to: what takes longer, such as an import, is committed before others can spoil it."""

LANES = 2
"""Lanes no older than LANE_SECONDS: while one commits its group the other fills the next."""

LANE_SECONDS = 0.005
"""After which a lane is not waited for: where a server is far away, or slow, more of them make up for it."""

LAST_SECONDS = 2.0
"""What a group that nobody waits for any more has to be committed when the service ends."""

COMMIT_SECONDS = 30.0
"""How long a server may take to commit: one that waits for a replica which is gone may take for ever."""


class PooledWrites:
    """Writes on pooled connections, each unit of work in a transaction of its own; those that may, in `Lanes`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lanes = Lanes(pool)

    async def write(self, service: type[S], work: Work[S, T], *, together: bool) -> T:
        if together:
            with contextlib.suppress(_Apart):
                return await self._lanes.write(service, work)
        session = await self._pool.acquire()
        return await in_transaction(self._pool, session, session.held.begin, lambda begun: work(begun.service(service)))

    async def warm(self) -> None:
        await self._pool.warm()

    async def rest(self) -> None:
        await self._lanes.rest()
        await self._pool.rest()

    async def close(self) -> None:
        await self._lanes.close()
        await self._pool.close()


class _Apart(Exception):
    """A unit of work was undone with its group, and has to be done in a transaction of its own."""


class Lanes:
    """Transactions that take along what waits for one, for units of work that may be committed together.

    Of the four round trips to the server that such a unit takes, three are shared then; each costs the event loop as
    much as reading a record. A unit whose caller has gone away is left out if it has not been begun, and else committed
    like any other. Nobody is told anything of a group before it is committed, or undone.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._queue: deque[Unit] = deque()
        self._lanes: dict[asyncio.Task[None], float] = {}
        """When each last began a transaction. Where there is none, nobody waits, or the timer will see to it."""
        self._timer: asyncio.TimerHandle | None = None

    async def write(self, service: type[S], work: Work[S, T]) -> T:
        """Raises _Apart where the group has failed."""
        unit = Unit(service, work, asyncio.get_running_loop().create_future())
        self._queue.append(unit)
        self._open()
        result: T = await unit.answer
        return result

    async def rest(self) -> None:
        """Wait until all that was written is committed, and nobody waits."""
        while self._lanes:
            await asyncio.wait(self._lanes)

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._lanes:
            _, late = await asyncio.wait(self._lanes, timeout=LAST_SECONDS)
            for lane in late:
                lane.cancel()
            if late:
                await asyncio.wait(late)

    def _open(self) -> None:
        """Open another lane if it is time for one, and see again in a moment whether it is."""
        loop = asyncio.get_running_loop()
        now = time.monotonic()
        young = sum(now < began + LANE_SECONDS for began in self._lanes.values())
        if young < LANES and len(self._lanes) < self._pool.size:
            # What this request knows of itself, such as its id in the log, is not true of the others.
            self._lanes[loop.create_task(self._run(), context=contextvars.Context())] = now
        if self._timer is None:
            self._timer = loop.call_later(LANE_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        impatient = time.monotonic() - PATIENCE
        for unit in self._waiting_since(impatient):
            unit.fail(Busy("Every connection to the database is in use."))
        if self._queue:
            self._open()

    def _waiting_since(self, moment: float) -> list["Unit"]:
        """Those that came no later than that, who wait no more."""
        units = []
        while self._queue and self._queue[0].came <= moment:
            units.append(self._queue.popleft())
        return units

    async def _run(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None
        try:
            while self._queue:
                await self._commit_group(lane)
        finally:
            del self._lanes[lane]

    async def _commit_group(self, lane: asyncio.Task[None]) -> None:
        group: list[Unit] = []
        asked = time.monotonic()
        try:
            session = await self._pool.acquire()
            if not self._queue:
                await self._pool.release(session)
                return
            self._lanes[lane] = time.monotonic()
            await in_transaction(self._pool, session, session.held.begin, partial(self._take_along, group))
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, OutcomeUnknown) and len(group) > 1:
                for unit in group:
                    unit.fail(_Apart())
                return
            for unit in group or self._waiting_since(asked):
                unit.fail(error)
            if not isinstance(error, Exception):
                raise
        else:
            for unit in group:
                unit.answered()

    async def _take_along(self, group: list["Unit"], session: Session) -> None:
        entries: list[Mapping[str, Any]] = []
        end = time.monotonic() + GROUP_SECONDS
        while self._queue and len(group) < GROUP and (not group or time.monotonic() < end):
            unit = self._queue.popleft()
            if not unit.answer.done():
                group.append(unit)
                entries.extend(await unit.do(session))
        await session.leave(entries)


async def in_transaction(
    pool: Pool, session: Session, begin: Callable[[], Awaitable[None]], run: Callable[[Session], Awaitable[T]]
) -> T:
    """Run `run` and commit what it did, then give the session back to its pool."""
    held = session.held
    try:
        await begin()
        result = await run(session)
        await session.settle()
        await session.reset()
        try:
            async with asyncio.timeout(COMMIT_SECONDS):
                await held.commit()
        except TimeoutError:
            held.broken = True
            raise OutcomeUnknown from None
        return result
    except BaseException as error:
        try:
            give_up(session, error)
        finally:
            if not (held.broken or held.is_lost):
                # A connection on which this fails or is cut short is not lent again.
                held.broken = True
                with contextlib.suppress(Exception):
                    await session.reset()
                    await held.rollback()
                    held.broken = False
    finally:
        await pool.release(session)


def give_up(session: Session, error: BaseException) -> NoReturn:
    """Raise what the error of a unit of work amounts to, which was not committed."""
    held = session.held
    if not isinstance(error, Exception):
        held.broken = True
    elif held.is_lost and not isinstance(error, OutcomeUnknown):
        raise Lost("The connection to the database broke.") from error
    raise error


class GroupCommit:
    """One writer that commits what has queued up in one transaction.

    A unit of work that fails fails alone; nobody is answered before the commit. While one group is being committed the
    next one gathers: the slower the disk, the larger the groups. A unit whose caller has gone away is left out if it
    has not been begun, and else committed like any other.

    Few units fail once they have changed something, and savepoints cost all of them a fifth of their time: they are
    left out until one does. Then the whole group is run again, each unit in a savepoint of its own.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Session]],
        is_locked: Callable[[BaseException], bool],
        changes: Callable[[Session], int | None],
    ) -> None:
        """`changes` grows with each row that a transaction changes, and is None once it is lost."""
        self._connect = connect
        self._is_locked = is_locked
        self._changes = changes
        self._queue: deque[Unit] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._session: Session | None = None

    async def write(self, service: type[S], work: Work[S, T]) -> T:
        loop = asyncio.get_running_loop()
        unit = Unit(service, work, loop.create_future())
        self._queue.append(unit)
        if self._runner is None or self._runner.done():
            # What this request knows of itself, such as its id in the log, is not true of the others.
            self._runner = loop.create_task(self._run(), context=contextvars.Context())
        result: T = await unit.answer
        return result

    async def warm(self) -> None:
        """Only before the first unit of work."""
        self._session = self._session or await self._connect()

    async def close(self) -> None:
        if self._runner is not None:
            await asyncio.wait({self._runner})
        await self._drop()

    async def _run(self) -> None:
        while self._queue:
            group: list[Unit] = []
            try:
                session = self._session = self._session or await self._connect()
                await self._begin(session)
                end = time.monotonic() + GROUP_SECONDS
                try:
                    while self._queue and len(group) < GROUP and (not group or time.monotonic() < end):
                        unit = self._queue.popleft()
                        if not unit.answer.done():
                            group.append(unit)
                            await unit.run(session, self._changes)
                except _Spoilt:
                    await session.held.rollback()
                    await self._begin(session)
                    for unit in group:
                        await unit.run_apart(session, self._changes)
                await session.held.commit()
            except BaseException as error:
                if not group or not isinstance(error, Exception):
                    group.extend(self._queue)
                    self._queue.clear()
                for unit in group:
                    unit.fail(error)
                await self._drop()
                if not isinstance(error, Exception):
                    raise
            else:
                for unit in group:
                    unit.answered()

    async def _begin(self, session: Session) -> None:
        deadline = time.monotonic() + PATIENCE
        pause = 0.0005
        while True:
            try:
                return await session.held.begin()
            except Exception as error:
                if not self._is_locked(error):
                    raise
                if time.monotonic() > deadline:
                    raise Busy from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.01)

    async def _drop(self) -> None:
        """Close the connection, and with it whatever was begun: the next group opens another."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.held.close()


class _Spoilt(Exception):
    """A unit of work failed when it had changed something, or has lost the transaction."""


class Unit:
    """A unit of work on its way into a group, and whoever waits for it."""

    def __init__(self, service: type[Any], work: Work[Any, Any], answer: "asyncio.Future[Any]") -> None:
        self._service = service
        self._work = work
        self._caller = callers.current.get()
        self.came = time.monotonic()
        self.answer = answer
        self._result: Any = None
        self._error: Exception | None = None

    async def do(self, session: Session) -> list[dict[str, Any]]:
        """Gives the entries of its trail, which are left to be written."""
        callers.current.set(self._caller)
        self._result = await self._work(session.service(self._service))
        entries = await session.finish()
        await session.reset()
        return entries

    async def run(self, session: Session, changes: Callable[[Session], int | None]) -> None:
        """Raises _Spoilt where it failed and left something behind, Transient where the whole transaction is lost."""
        before = changes(session)
        callers.current.set(self._caller)
        self._result = self._error = None
        try:
            self._result = await self._work(session.service(self._service))
            await session.settle()
        except Exception as error:
            self._error = error
            with self._lost_with_all():
                await session.reset()
            if changes(session) != before:
                raise _Spoilt from error
        else:
            await session.reset()
            if changes(session) is None:
                self._error = RuntimeError(UNDONE)
                raise _Spoilt

    async def run_apart(self, session: Session, changes: Callable[[Session], int | None]) -> None:
        """Raises Transient where the whole transaction is lost."""
        await session.held.execute("SAVEPOINT unit")
        try:
            await self.run(session, changes)
        except _Spoilt:
            with self._lost_with_all():
                await session.held.execute("ROLLBACK TO unit")
        await session.held.execute("RELEASE unit")

    @contextlib.contextmanager
    def _lost_with_all(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            assert self._error is not None
            self.fail(self._error)
            raise Transient("Another unit of work took the transaction with it.") from error

    def answered(self) -> None:
        if self._error is not None:
            self.fail(self._error)
        elif not self.answer.done():
            self.answer.set_result(self._result)

    def fail(self, error: BaseException) -> None:
        """Where the group fails this is the group's error: that of a unit may come from what another had written."""
        if self.answer.done():
            return
        if isinstance(error, Exception):
            self.answer.set_exception(error)
        else:
            self.answer.cancel()

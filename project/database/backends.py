"""How units of work reach an opened database, and the two ways in which writes are committed."""

import asyncio
import contextlib
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from project import callers
from project.database.connections import Connection
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

COMMIT_SECONDS = 30.0
"""How long a server may take to commit: one that waits for a replica which is gone may take for ever."""


class Backend(Protocol):
    """An opened database. Errors are the driver's or SQLAlchemy's own, or DatabaseErrors."""

    engine: AsyncEngine
    """For migrations and inspection; units of work do not need it."""

    async def read(self, service: type[S], work: Work[S, T]) -> T: ...
    async def snapshot(self, service: type[S], work: Work[S, T], seconds: float | None) -> T: ...
    async def write(self, service: type[S], work: Work[S, T]) -> T: ...
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
            _give_up(session, error)
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
        return await in_transaction(
            self._snapshots, session, lambda: session.held.begin_snapshot(seconds), service, work
        )

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


class PooledWrites:
    """Writes on pooled connections, each unit of work in a transaction of its own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def write(self, service: type[S], work: Work[S, T]) -> T:
        session = await self._pool.acquire()
        return await in_transaction(self._pool, session, session.held.begin, service, work)

    async def warm(self) -> None:
        await self._pool.warm()

    async def rest(self) -> None:
        await self._pool.rest()

    async def close(self) -> None:
        await self._pool.close()


async def in_transaction(
    pool: Pool, session: Session, begin: Callable[[], Awaitable[None]], service: type[S], work: Work[S, T]
) -> T:
    """Run `work` and commit it, then give the session back to its pool."""
    held = session.held
    try:
        await begin()
        result = await work(session.service(service))
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
            _give_up(session, error)
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


def _give_up(session: Session, error: BaseException) -> NoReturn:
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
        self._queue: deque[_Unit] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._session: Session | None = None

    async def write(self, service: type[S], work: Work[S, T]) -> T:
        loop = asyncio.get_running_loop()
        unit = _Unit(service, work, loop.create_future())
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
            group: list[_Unit] = []
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


class _Unit:
    def __init__(self, service: type[Any], work: Work[Any, Any], answer: "asyncio.Future[Any]") -> None:
        self._service = service
        self._work = work
        self._caller = callers.current.get()
        self.answer = answer
        self._result: Any = None
        self._error: Exception | None = None

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

"""The active database, as everything else sees it: units of work go in, results or DatabaseErrors come out."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from project.database import dialects
from project.database.backends import Backend, Work
from project.database.errors import Busy, DatabaseError, Gone, Lost, TimedOut, Transient
from project.database.sessions import Session
from project.database.trails import PURPOSE, TRAIL, Trail
from project.keys import Signer
from project.settings import Settings, SettingsError

S = TypeVar("S")
T = TypeVar("T")

RETRY_SECONDS = 5.0
"""How long a unit of work is run again while others keep getting in its way."""


def parse_url(text: str) -> URL:
    """The URL with its asynchronous driver. Raises SettingsError, without any password, for one that cannot be used."""
    try:
        url = make_url(text)
        if "@" in (url.host or ""):
            raise ValueError
    except (ArgumentError, ValueError):
        raise SettingsError(
            "The database URL cannot be read: it looks like sqlite:///file or postgresql://user@host/name, and in a "
            "password @ is written %40 and % is written %25."
        ) from None
    try:
        return dialects.of_url(url).normalise(url)
    except ValueError as error:
        raise SettingsError(str(error)) from None


class _Begun:
    """A unit of work's session, before its service is made."""

    def __init__(self, *, session: Session) -> None:
        self.session = session


class Version(NamedTuple):
    """Of everything that a database holds: two that are equal, with `commits`, mean that nothing was changed."""

    engine: AsyncEngine
    commits: int | None
    """None where only the database's server knows whether something was changed."""


class Database:
    """Reads and writes of the active database. Opens connections when they are first needed."""

    def __init__(self, settings: Settings) -> None:
        self.url = parse_url(settings.database_url)
        self.dialect = dialects.of_url(self.url)
        self._backend: Backend = self.dialect.create_backend(self.url, settings.pool_size, settings.statement_timeout)
        self._statement_timeout = settings.statement_timeout
        self.signer = Signer(settings.secret_key, PURPOSE)
        """Of the entries that units of work leave behind, and of the chain that they become."""

    @property
    def engine(self) -> AsyncEngine:
        """Of the database that is active now: ask again rather than keep it."""
        return self._backend.engine

    def version(self) -> Version:
        """What the database holds now, without asking a server."""
        return Version(self._backend.engine, self._backend.commits())

    async def read(self, service: type[S], work: Work[S, T]) -> T:
        """Run `work` with a service of that type; each statement stands for itself and has a request's time budget."""
        return await self._persist(lambda: self._backend.read(service, work))

    async def snapshot(self, service: type[S], work: Work[S, T], *, limited: bool = False) -> T:
        """Run `work` with a service that sees one moment of the database.

        It may be run again from its start. It takes as long as it takes; `limited`, it has a request's time budget.
        """
        seconds = self._statement_timeout if limited else None
        try:
            async with asyncio.timeout(seconds):
                return await self._persist(lambda: self._backend.snapshot(service, work, seconds))
        except TimeoutError:
            raise TimedOut from None

    async def write(self, service: type[S], work: Work[S, T]) -> T:
        """Run `work` in one transaction; when this returns, it is committed.

        `work` may be run several times and must wait for nothing but the database. Raises DatabaseError, or what `work`
        itself raised, and then nothing of it is kept (OutcomeUnknown aside).
        """

        async def unit(begun: _Begun) -> T:
            begun.session.info[TRAIL] = Trail(self.signer)
            return await work(begun.session.service(service))

        return await self._persist(lambda: self._backend.write(_Begun, unit))

    def session(self) -> AsyncSession:
        """A session of SQLAlchemy's own, with its transactions, for people and tools outside all units of work."""
        levels = self.engine.dialect.get_isolation_level_values(None)  # type: ignore[arg-type]  # none of them asks it
        level = "READ COMMITTED" if "READ COMMITTED" in levels else "SERIALIZABLE"
        engine = self.engine.execution_options(isolation_level=level)
        return AsyncSession(engine, expire_on_commit=False, info={TRAIL: Trail(self.signer)})

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection outside all units of work, for migrations and inspection; each statement stands for itself.

        Raises DatabaseError.
        """
        try:
            async with self.engine.connect() as connection:
                yield connection
        except Exception as error:
            meaning = self._meaning(error)
            if meaning is None:
                raise
            raise meaning from error

    async def close(self) -> None:
        await self._backend.close()

    def _meaning(self, error: Exception) -> DatabaseError | None:
        """None for an error that is not the database's."""
        if isinstance(error, DatabaseError):
            return error
        if isinstance(error, StatementError) and isinstance(error.orig, DatabaseError):
            return error.orig  # of a column type of ours
        meaning = self.dialect.classify(error)
        if meaning is not None:
            meaning.__cause__ = error
        return meaning

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        deadline = time.monotonic() + RETRY_SECONDS
        pause = 0.001
        reconnected = False
        while True:
            try:
                return await attempt()
            except Exception as error:
                failure = self._meaning(error)
                if failure is None:
                    raise
            if not isinstance(failure, Transient):
                raise failure
            is_late = time.monotonic() > deadline
            if isinstance(failure, Lost):
                if reconnected or is_late:
                    raise Gone from failure
                reconnected = True
            elif is_late:
                raise Busy from failure
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(pause * 2, 0.1)

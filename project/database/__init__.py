"""The active database, as everything else sees it: units of work go in, results or DatabaseErrors come out."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from project.database import dialects
from project.database.backends import Backend
from project.database.errors import Busy, DatabaseError, Gone, Lost, Moved, OutcomeUnknown, TimedOut, Transient
from project.database.places import Fixed, Guide, Place
from project.database.sessions import Session
from project.database.trails import PURPOSE, TRAIL, Trail
from project.database.writes import Work
from project.keys import Signer
from project.settings import Settings, SettingsError

S = TypeVar("S")
T = TypeVar("T")

RETRY_SECONDS = 5.0
"""How long a unit of work is run again from its first failure on, while others keep getting in its way."""


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
    """Reads and writes of the active database, which the guide knows; without one, of that in the settings."""

    def __init__(self, settings: Settings, guide: Guide | None = None) -> None:
        self._guide = guide or Fixed(Place(parse_url(settings.database_url), settings))
        self._statement_timeout = settings.statement_timeout
        self.signer = Signer(settings.secret_key, PURPOSE)
        """Of the entries that units of work leave behind, and of the chain that they become."""

    @property
    def url(self) -> URL:
        return self._guide.place.url

    @property
    def dialect(self) -> dialects.Dialect:
        return self._guide.place.dialect

    @property
    def is_there(self) -> bool:
        """Whether there is anything to connect to: the file of an embedded database comes with its first migration."""
        return self._guide.place.is_there

    @property
    def engine(self) -> AsyncEngine:
        """Of the database that is active now: ask again rather than keep it."""
        return self._guide.place.backend.engine

    async def find(self) -> None:
        """Make sure of the active database. Raises DatabaseError where there is none that could be read."""
        await self._guide.find(writes=False)

    def version(self) -> Version:
        """What the database holds now, without asking a server."""
        backend = self._guide.place.backend
        return Version(backend.engine, backend.commits())

    async def read(self, service: type[S], work: Work[S, T]) -> T:
        """Run `work` with a service of that type; each statement stands for itself and has a request's time budget."""
        return await self._persist(lambda backend: backend.read(service, work))

    async def snapshot(self, service: type[S], work: Work[S, T], *, limited: bool = False) -> T:
        """Run `work` with a service that sees one moment of the database.

        It may be run again from its start. It takes as long as it takes; `limited`, it has a request's time budget.
        """
        seconds = self._statement_timeout if limited else None
        try:
            async with asyncio.timeout(seconds):
                return await self._persist(lambda backend: backend.snapshot(service, work, seconds), stands=True)
        except TimeoutError:
            raise TimedOut from None

    async def write(self, service: type[S], work: Work[S, T], *, together: bool = False) -> T:
        """Run `work` in one transaction; when this returns, it is committed.

        `work` may be run several times and must wait for nothing but the database. Raises DatabaseError, or what `work`
        itself raised, and then nothing of it is kept (OutcomeUnknown aside).

        `together` is for work that adds a few records and does no more: it may be committed with others like it, which
        is a good deal faster. It must wait for nobody's lock, as it keeps those others waiting too.
        """

        async def unit(begun: _Begun) -> T:
            begun.session.info[TRAIL] = Trail(self.signer)
            return await work(begun.session.service(service))

        return await self._persist(
            lambda backend: backend.write(_Begun, unit, together=together), writes=True, stands=True
        )

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
        place = self._guide.place
        try:
            async with place.backend.engine.connect() as connection:
                yield connection
        except Exception as error:
            meaning = place.meaning(error)
            if meaning is None:
                raise
            raise meaning from error

    async def close(self) -> None:
        await self._guide.close()

    async def _persist(
        self, attempt: Callable[[Backend], Awaitable[T]], *, writes: bool = False, stands: bool = False
    ) -> T:
        """A result `stands` that was true when it was come by: one that was committed, or of a moment long ago.

        Any other, and every refusal, counts only if the database is still the active one when it is there.
        """
        deadline = 0.0
        pause = 0.001
        reconnected = False
        while True:
            place = self._guide.sure(writes) or await self._guide.find(writes)
            failure: DatabaseError | None = None
            try:
                result = await attempt(place.backend)
                if stands or place.may_answer():
                    return result
            except Exception as error:
                failure = place.meaning(error)
                if failure is None and place.may_answer():
                    raise
            if isinstance(failure, OutcomeUnknown):
                raise failure
            if failure is not None and not isinstance(failure, Transient) and place.may_answer():
                raise failure
            now = time.monotonic()
            deadline = deadline or now + RETRY_SECONDS
            is_late = now > deadline
            if isinstance(failure, Lost):
                if reconnected or is_late:
                    raise Gone from failure
                reconnected = True
            elif is_late:
                raise (Busy if isinstance(failure, Transient) else Gone) from failure
            if isinstance(failure, Moved):
                await self._guide.moved(place)
            await asyncio.sleep(random.uniform(0, pause))
            pause = min(pause * 2, 0.1)

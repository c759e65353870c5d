"""Connections outside of all pools, for who moves the service and for who watches whether it moves."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from project.database.backends import Backend
from project.database.dialects import Dialect
from project.database.errors import DatabaseError, Gone, Lost
from project.database.sessions import Session
from project.database.switching import Switching
from project.database.trails import TRAIL, Untold


class Link:
    """A session on a connection of its own, whose statements may take any time. One task at a time uses it.

    Errors leave each of the `async with` blocks as DatabaseErrors; inside of them they are the driver's own. After
    Gone, and where a task was cancelled, the link is of no more use.
    """

    def __init__(self, dialect: Dialect, session: Session) -> None:
        self.dialect = dialect
        self.session = session
        session.info[TRAIL] = Untold()

    @property
    def switching(self) -> Switching:
        return self.dialect.switching

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Session]:
        """Each statement stands for itself."""
        with self.understood():
            yield self.session

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """All statements see one moment, that of the first; they only read."""
        with self.understood():
            await self.session.held.begin_snapshot(None)
            try:
                yield self.session
            except BaseException as error:
                await self._roll_back(error)
                raise
            await self._roll_back()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Committed in the end, or rolled back. Raises OutcomeUnknown where the connection breaks in between."""
        with self.understood():
            await self.session.held.begin()
            async with self.begun() as session:
                yield session

    @contextlib.asynccontextmanager
    async def begun(self) -> AsyncIterator[Session]:
        """The same for a transaction that has begun already."""
        with self.understood():
            try:
                yield self.session
                await self.session.held.commit()
            except BaseException as error:
                await self._roll_back(error)
                raise

    async def close(self) -> None:
        await self.session.held.close()

    async def _roll_back(self, error: BaseException | None = None) -> None:
        """Where a statement was cut short, by closing the connection: nobody knows what is still to be read from it."""
        held = self.session.held
        held.broken = held.broken or not (error is None or isinstance(error, Exception))
        try:
            if not (held.broken or held.is_lost):
                await held.rollback()
        except Exception:
            held.broken = True
        if held.broken:
            await held.close()

    @contextlib.contextmanager
    def understood(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError:
            raise
        except Exception as error:
            meaning = self.dialect.classify(error)
            if self.session.held.is_lost or isinstance(meaning, Lost):
                raise Gone from error
            if meaning is None:
                raise
            raise meaning from error
        except BaseException:
            self.session.held.broken = True
            raise


async def open_link(dialect: Dialect, backend: Backend) -> Link:
    """To be closed. Raises DatabaseError where the database cannot be reached."""
    try:
        return Link(dialect, await backend.link())
    except DatabaseError:
        raise
    except OSError as error:
        raise Gone from error
    except Exception as error:
        raise dialect.classify(error) or error from error


@contextlib.asynccontextmanager
async def link(dialect: Dialect, backend: Backend) -> AsyncIterator[Link]:
    """Raises DatabaseError where the database cannot be reached."""
    opened = await open_link(dialect, backend)
    try:
        yield opened
    finally:
        await opened.close()

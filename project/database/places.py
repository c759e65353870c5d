"""Which database is the active one: an opened database, and who knows the way to it."""

import errno
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import URL
from sqlalchemy.exc import StatementError

from project.database import dialects
from project.database.backends import Backend
from project.database.errors import DatabaseError, ReadOnly
from project.settings import Settings

OF_FILES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
"""What no network says: of a unit of work that writes to a file as well, it is the file's error."""


class Place:
    """A database. Connections are opened when they are first needed."""

    def __init__(self, url: URL, settings: Settings) -> None:
        self.url = url
        self.dialect = dialects.of_url(url)
        self.backend: Backend = self.dialect.create_backend(url, settings.pool_size, settings.statement_timeout)

    @property
    def is_there(self) -> bool:
        """Whether there is anything to connect to: the file of an embedded database comes with its first migration."""
        return not self.dialect.embedded or Path(self.url.database or "").exists()

    def may_answer(self) -> bool:
        """Whether what was read here a moment ago can be told to a client."""
        return True

    def meaning(self, error: Exception) -> DatabaseError | None:
        """None for an error that is not the database's."""
        if isinstance(error, DatabaseError):
            return error
        if isinstance(error, StatementError) and isinstance(error.orig, DatabaseError):
            return error.orig  # of a column type of ours
        if isinstance(error, OSError) and error.errno in OF_FILES:
            return None
        meaning = self.dialect.classify(error)
        if meaning is not None:
            meaning.__cause__ = error
        return meaning


class Visit(Place):
    """A database that was asked just now, and said that it is the active one.

    What is read there from then on is true of some moment since: one that the service leaves stays as it was then.
    """

    def __init__(self, place: Place) -> None:
        self.url, self.dialect, self.backend = place.url, place.dialect, place.backend


class Guide(Protocol):
    @property
    def place(self) -> Place:
        """The active database as far as is known: for looking at it, not for its rows."""
        ...

    def sure(self, writes: bool) -> Place | None:
        """The active database, if it is known at this moment to be that, and `writes` to be taken there."""
        ...

    async def find(self, writes: bool) -> Place:
        """The same, after asking and waiting for it. Raises DatabaseError."""
        ...

    async def moved(self, place: Place) -> None:
        """That place has refused a write, since it is not the active database any more. Raises DatabaseError."""
        ...

    async def close(self) -> None: ...


class Fixed:
    """The guide to one database, whatever is written there of another."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def sure(self, writes: bool) -> Place:
        return self.place

    async def find(self, writes: bool) -> Place:
        return self.place

    async def moved(self, place: Place) -> None:
        raise ReadOnly("The service has moved to another database: this one takes no more writes.")

    async def close(self) -> None:
        await self.place.backend.close()

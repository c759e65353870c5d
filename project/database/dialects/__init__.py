"""What differs between databases: one package each, all with the same face. Adding a database is adding a package."""

import datetime as dt
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sqlalchemy import BindParameter, Column, ColumnElement, Executable, FromClause, Select
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

if TYPE_CHECKING:
    from project.database.backends import Backend
    from project.database.contents import Contents
    from project.database.errors import DatabaseError
    from project.database.statements import Row
    from project.database.switching import Switching


class Ordering(NamedTuple):
    """The order of a list: by `columns`, all of them turned round where `descending`."""

    columns: Sequence[ColumnElement[Any]]
    descending: bool
    index_name: str | None
    """Of an index that has exactly the rows of the list, in that order."""
    held: "Sequence[tuple[ColumnElement[Any], ColumnElement[Any]]]" = ()
    """Columns of which the list has one value only, and that value: they order nothing."""

    def hold(self, select: Select[Any]) -> Select[Any]:
        return select.where(*(column == value for column, value in self.held))

    def sort(self, select: Select[Any]) -> Select[Any]:
        return select.order_by(*(column.desc() if self.descending else column.asc() for column in self.columns))

    def beyond(self, place: int, position: "Sequence[ColumnElement[Any]]") -> ColumnElement[bool]:
        """The condition that a row's value in that column is further on."""
        column, bound = self.columns[place], position[place]
        return column < bound if self.descending else column > bound


Position = Sequence[ColumnElement[Any]] | None
"""A value for each column of an order: those of the row after which to start. None starts at the beginning."""


class DatabaseFile(Protocol):
    """A database that somebody made elsewhere. Raises DatabaseError."""

    def columns(self) -> dict[str, list[str]]:
        """The names of each table's columns."""
        ...

    def rows(self, table: str, columns: Sequence[str]) -> "Iterator[Row]":
        """In order of the first column. Text that is not UTF-8 comes as bytes."""
        ...

    def close(self) -> None: ...


class Dialect(Protocol):
    """A package of this one, seen as an object. `name` is SQLAlchemy's name for the database."""

    name: str
    title: str
    """The product's name, for people."""
    schemes: frozenset[str]
    """What a URL's scheme may say, without the driver: `postgresql+psycopg2` counts as `postgresql`."""
    embedded: bool
    """Whether the database is a file of ours, which `runserver` may migrate by itself."""

    text: Callable[[int], TypeEngine[Any]]
    blob: Callable[[], TypeEngine[Any]]
    timestamp: Callable[[], TypeEngine[Any]]
    to_driver_time: Callable[[dt.datetime], dt.datetime]
    times_from_driver_to_text: Callable[[Sequence[Any]], Sequence[str | None]] | None
    """Makes RFC 3339 texts of what the driver returns for timestamps; None where they are that text already."""

    type_code: Callable[[TypeEngine[Any]], Any]
    """What the driver calls the type of a result's column, where SQLAlchemy needs it to read the values."""

    normalise: Callable[[URL], URL]
    """The URL with the asynchronous driver and absolute paths. Raises ValueError with a sentence."""
    hosts_in_clear: Callable[[URL], Sequence[str]]
    """Those to which a normalised URL may lead without TLS; none of them is a socket of this machine."""
    tls: str
    """The options of a URL that see to TLS with the right host, FILE being who vouches for that."""
    create_backend: "Callable[[URL, int, float], Backend]"
    """From a normalised URL, the connections to keep, and the seconds that a read may take."""
    classify: "Callable[[BaseException], DatabaseError | None]"
    """What a driver's error, or SQLAlchemy's around it, means; None for one that is not the database's."""
    page: "Callable[[Select[Any], Ordering, Position, BindParameter[int]], Executable]"
    """The first rows of a select, at most as many as the last parameter says, in an order and from a position on; at a
    price that does not grow with what stands before them, where an index has that order. What the order holds to one
    value the select does not say yet."""
    shell: Callable[[URL], tuple[list[str], dict[str, str]]]
    """The command line and extra environment of the database's own client."""
    client_package: str
    """What brings that client, for who lacks it."""
    after_given_ids: Callable[[Column[Any]], Executable | None]
    """For the column of a table's ids, the statement after which new ones are higher than those that came with their
    rows; None where that goes without saying."""
    open_file: "Callable[[Path], DatabaseFile | None]"
    """Someone else's database in a file, to be read and left as it is; None for a file that is none of this kind."""
    ddl_rolls_back: bool
    """Whether a migration that fails leaves nothing behind."""
    migrating: Callable[[AsyncConnection], AbstractAsyncContextManager[None]]
    """A transaction for one migration; nobody else's runs meanwhile."""
    hazards: Callable[[AsyncConnection], Awaitable[list[str]]]
    """Each setting of the server that puts acknowledged writes at risk: a sentence that says what to do."""
    server_version: Callable[[Any], Awaitable[str]]
    estimated_rows: Callable[[FromClause], Executable | None]
    """Asks the server's statistics how many rows a table has, which costs nothing; None where only counting tells."""
    switching: "Switching"
    contents: "Contents"


@cache
def all_dialects() -> dict[str, Dialect]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.name: module for module in modules}


@cache
def named(name: str) -> Dialect:
    """The dialect that SQLAlchemy calls `name`."""
    return all_dialects()[name]


def of_url(url: URL) -> Dialect:
    """Raises ValueError, with the schemes there are, for any other."""
    scheme = url.drivername.partition("+")[0].lower()
    for dialect in all_dialects().values():
        if scheme in dialect.schemes:
            return dialect
    known = ", ".join(sorted(scheme for dialect in all_dialects().values() for scheme in dialect.schemes))
    raise ValueError(f"{scheme}:// is no database that can be used here: a URL starts with one of {known}.")

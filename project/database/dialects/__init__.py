"""What differs between databases: one module each, all with the same face. Adding a database is adding a module."""

import datetime as dt
import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import ColumnElement
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

if TYPE_CHECKING:
    from project.database.backends import Backend
    from project.database.errors import DatabaseError


class Dialect(Protocol):
    """A module of this package, seen as an object. `name` is SQLAlchemy's name for the database."""

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
    time_from_driver_to_text: Callable[[Any], str | None] | None
    """Makes RFC 3339 text of what the driver returns for a timestamp; None where it is that text already."""

    type_code: Callable[[TypeEngine[Any]], Any]
    """What the driver calls the type of a result's column, where SQLAlchemy needs it to read the values."""

    normalise: Callable[[URL], URL]
    """The URL with the asynchronous driver and absolute paths. Raises ValueError with a sentence."""
    create_backend: "Callable[[URL, int, float], Backend]"
    """From a normalised URL, the connections to keep, and the seconds that a read may take."""
    classify: "Callable[[BaseException], DatabaseError | None]"
    """What a driver's error, or SQLAlchemy's around it, means; None for one that is not the database's."""
    after: Callable[[Sequence[ColumnElement[Any]], Sequence[ColumnElement[Any]], bool], ColumnElement[bool]]
    """The condition that a row comes after the given values in the order of the columns, written as this database's
    planner serves it from an index; the flag says descending."""
    shell: Callable[[URL], tuple[list[str], dict[str, str]]]
    """The command line and extra environment of the database's own client."""
    client_package: str
    """What brings that client, for who lacks it."""
    ddl_rolls_back: bool
    """Whether a migration that fails leaves nothing behind."""
    migrating: Callable[[AsyncConnection], AbstractAsyncContextManager[None]]
    """A transaction for one migration; nobody else's runs meanwhile."""
    hazards: Callable[[AsyncConnection], Awaitable[list[str]]]
    """Each setting of the server that puts acknowledged writes at risk: a sentence that says what to do."""
    server_version: Callable[[Any], Awaitable[str]]


@cache
def all_dialects() -> dict[str, Dialect]:
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return {module.name: module for module in modules}  # type: ignore[misc]


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

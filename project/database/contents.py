"""What a database can hold, and how its rows are read as they are, whatever they hold."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from project.database.sessions import Session


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a row may be, beside what its columns' types say."""

    infinity: bool
    nan: bool
    negative_zero: bool
    """Whether -0.0 is not made 0.0."""
    row_bytes: int
    key_bytes: int | None
    """Of one row in one index; None where the definition of the index has seen to it."""


class Contents(Protocol):
    """One object of each dialect."""

    time_as_text: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[str]]
    """RFC 3339 in UTC with six fraction digits, made by the database; something else for what is no moment in the years
    1 to 9999."""

    usual_limits: Limits
    """Of a server that nobody has set otherwise."""
    limits: Callable[[Session], Awaitable[Limits]]
    folding: Callable[[Session, sa.Table], Awaitable[dict[str, str]]]
    """Those columns of a table, if it is there, that take different texts for equal, and their collations."""

    def read_anything(self, session: Session) -> None:
        """Read text as bytes from now on where it is not UTF-8, instead of failing."""
        ...

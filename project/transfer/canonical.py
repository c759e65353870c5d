"""Rows as they are on every engine, whatever it is, and whatever stands in them."""

import operator
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import sqlalchemy as sa

from project.database import dialects
from project.database.sessions import Session
from project.database.statements import Row, Statement, result_processor
from project.database.types import Blob, Text, Timestamp

ROWS = 2000
"""The most rows of a piece."""
BYTES = 8 * 2**20
"""What the rows of a piece may come to, if all are as long as the longest."""
LONG = 1000
"""Characters from which on a column's values are measured first."""

Key = tuple[Any, ...]


async def raw_pieces(session: Session, table: sa.Table) -> AsyncIterator[Sequence[Row]]:
    """All rows with all columns as the driver gives them, times as text, in order of the key; the session is in a
    snapshot.
    """
    columns = [readable(session, column) for column in table.columns]
    select = sa.select(*columns).order_by(*table.primary_key)
    size = await _rows_in_piece(session, table)
    async for rows in raw_rows(session, select, size):
        yield rows


async def raw_rows(session: Session, select: sa.Select[Any], size: int = ROWS) -> AsyncIterator[Sequence[Row]]:
    """What a select without parameters gives, as the driver gives it; the session is in a snapshot."""
    compiled = Statement(select).compiled(session.held.alchemy.dialect)
    async for rows in session.held.chunks(compiled.sql, (), size):
        yield rows


def readable(session: Session, column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """What to select for a column, so that the driver can read it whatever stands in it."""
    contents = dialects.named(session.dialect_name).contents
    return contents.time_as_text(column) if isinstance(column.type, Timestamp) else column


def key_of(table: sa.Table) -> Callable[[Row], Key]:
    """Of a row with all columns."""
    columns = list(table.columns)
    places = [columns.index(column) for column in table.primary_key]
    if len(places) > 1:
        return operator.itemgetter(*places)
    return lambda row: (row[places[0]],)


class Canonical:
    """The rows of a table in one database, as tuples of all columns: equal for the same row in any other.

    Times are RFC 3339 text, and doubles what they are bit for bit but for -0.0, which is 0.0. What is in a column that
    it should not be in comes out as it is.
    """

    def __init__(self, session: Session, table: sa.Table) -> None:
        self._session = session
        self._table = table
        self._conversions = [
            (place, convert)
            for place, column in enumerate(table.columns)
            if (convert := _conversion(session, column)) is not None
        ]

    async def pieces(self) -> AsyncIterator[list[Row]]:
        """All rows in order of the key; the session is in a snapshot."""
        async for rows in raw_pieces(self._session, self._table):
            yield self._converted(rows)

    def _converted(self, rows: Iterable[Row]) -> list[Row]:
        converted: list[Row] = [*map(tuple, rows)]
        for place, convert in self._conversions:
            for number, row in enumerate(converted):
                value = row[place]
                if (plain := convert(value)) is not value:
                    converted[number] = (*row[:place], plain, *row[place + 1 :])
        return converted


def _conversion(session: Session, column: sa.Column[Any]) -> Callable[[Any], Any] | None:
    """What makes a value canonical; most are, and come back as the same object."""
    kind = column.type
    if isinstance(kind, Text | Blob | Timestamp | sa.Integer | sa.String | sa.LargeBinary):
        return None
    if isinstance(kind, sa.Float) and not kind.asdecimal:
        return _number
    return partial(_plain, result_processor(kind, session.held.alchemy.dialect))


async def _rows_in_piece(session: Session, table: sa.Table) -> int:
    long = [column for column in table.columns if _may_be_long(column.type)]
    if not long:
        return ROWS
    sizes = [sa.func.coalesce(sa.func.max(sa.func.length(_countable(column))), 0) for column in long]
    longest = sum((await session.rows(Statement(sa.select(*sizes))))[0])
    return max(1, min(ROWS, BYTES // max(1, longest)))


def _number(value: Any) -> Any:
    """One zero and one NaN, which unlike the float is equal to itself."""
    if value == 0.0 and type(value) is float:
        return 0.0
    return "NaN" if value != value else value


def _plain(process: Callable[[Any], Any] | None, value: Any) -> Any:
    """What a column's type makes of it, if it can, without what two equal values may differ in."""
    if process is not None:
        try:
            value = process(value)
        except (TypeError, ValueError, ArithmeticError, LookupError):
            return value
    if isinstance(value, Decimal):
        return format(value.normalize() + 0, "f")
    return _number(value)


def _may_be_long(kind: Any) -> bool:
    if isinstance(kind, sa.TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, sa.String):
        return kind.length is None or kind.length > LONG
    return isinstance(kind, sa.LargeBinary | sa.JSON)


def _countable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column


def key_text(key: Sequence[object]) -> str:
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key)

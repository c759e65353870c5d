"""The rows of a table, in pieces that fit in memory whatever they hold."""

import operator
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import lru_cache, reduce
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

from project.database import dialects
from project.database.dialects import Ordering
from project.database.sessions import Session
from project.database.statements import Row, Statement

ROWS = 5000
"""The most rows of a piece."""
BYTES = 4 * 2**20
"""What the values of a piece that are measured may come to, but for a single row that is larger."""
LONG = 1000
"""Characters from which on a column's values are measured before they are read."""

Key = tuple[Any, ...]
"""A value for each column of a table's primary key."""


def key_of(table: sa.Table) -> Callable[[Row], Key]:
    """Of a row with all the table's columns."""
    columns = list(table.columns)
    places = [columns.index(column) for column in table.primary_key]
    if len(places) == 1:
        place = places[0]
        return lambda row: (row[place],)
    return operator.itemgetter(*places)


async def pages(session: Session, table: sa.Table) -> AsyncIterator[Sequence[Row]]:
    """All rows with all columns, in order of the key; the session is in a snapshot."""
    key = key_of(table)
    position: Key | None = None
    while True:
        found = 0
        for limit in await _next_limits(session, table, position):
            rows = await _page(session, table, position, limit)
            if rows:
                found += len(rows)
                position = key(rows[-1])
                yield rows
        if found < ROWS:
            return


async def rows_of(session: Session, table: sa.Table, keys: Sequence[Key]) -> AsyncIterator[Sequence[Row]]:
    """All columns of the rows that are there with any of these keys, in no order."""
    for some in _chunks(keys, LOOKUPS[-1]):
        if not _long_columns(table):
            yield await session.rows(_of_keys(table, _size(some)), **_values(table, some))
            continue
        sizes = await session.rows(_of_keys(table, _size(some), measured=True), **_values(table, some))
        start = 0
        for limit in _limits([row[-1] for row in sizes]):
            found = [tuple(row[:-1]) for row in sizes[start : start + limit]]
            start += limit
            yield await session.rows(_of_keys(table, _size(found)), **_values(table, found))


async def delete_rows(session: Session, table: sa.Table, keys: Sequence[Key]) -> None:
    """Those that are there with any of these keys."""
    for some in _chunks(keys, LOOKUPS[-1]):
        await session.run(_deletion(table, _size(some)), **_values(table, some))


LOOKUPS = (1, 16, 256)
"""How many keys one statement names: so few different numbers that each statement is compiled once."""


async def _next_limits(session: Session, table: sa.Table, position: Key | None) -> Sequence[int]:
    """How the next ROWS rows are to be read."""
    if not _long_columns(table):
        return (ROWS,)
    return list(_limits([row[-1] for row in await _page(session, table, position, ROWS, measured=True)]))


async def _page(
    session: Session, table: sa.Table, position: Key | None, limit: int, *, measured: bool = False
) -> Sequence[Row]:
    statement = _page_statement(table, session.dialect_name, position is not None, measured)
    values = {} if position is None else {_name(0, place): value for place, value in enumerate(position)}
    return await session.rows(statement, row_limit=limit, **values)


@lru_cache(maxsize=1000)
def _page_statement(table: sa.Table, dialect: str, is_further: bool, measured: bool) -> Statement:
    keys = list(table.primary_key)
    position = [_parameter(0, place, column) for place, column in enumerate(keys)] if is_further else None
    limit = sa.bindparam("row_limit", type_=sa.Integer)
    return Statement(
        dialects.named(dialect).page(_selection(table, measured), Ordering(keys, False, None), position, limit)
    )


@lru_cache(maxsize=1000)
def _of_keys(table: sa.Table, size: int, measured: bool = False) -> Statement:
    return Statement(_selection(table, measured).where(_is_any(table, size)))


@lru_cache(maxsize=1000)
def _deletion(table: sa.Table, size: int) -> Statement:
    return Statement(sa.delete(table).where(_is_any(table, size)))


def _selection(table: sa.Table, measured: bool) -> sa.Select[Any]:
    """The whole rows, or their keys and what their long values come to."""
    if not measured:
        return sa.select(*table.columns)
    lengths = [sa.func.coalesce(sa.func.length(_countable(column)), 0) for column in _long_columns(table)]
    return sa.select(*table.primary_key, reduce(operator.add, lengths).label("size"))


@lru_cache(maxsize=1000)
def _long_columns(table: sa.Table) -> list[sa.Column[Any]]:
    return [column for column in table.columns if not column.primary_key and _is_long(column.type)]


def _is_long(kind: Any) -> bool:
    if isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, sa.String):
        return kind.length is None or kind.length > LONG
    return isinstance(kind, sa.LargeBinary | sa.JSON)


def _countable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column


def _is_any(table: sa.Table, size: int) -> sa.ColumnElement[bool]:
    """Written out where the key has several columns: SQLite has no IN for those, and MariaDB no index."""
    keys = list(table.primary_key)
    if len(keys) == 1:
        return keys[0].in_([_parameter(number, 0, keys[0]) for number in range(size)])
    return sa.or_(
        *(
            sa.and_(*(column == _parameter(number, place, column) for place, column in enumerate(keys)))
            for number in range(size)
        )
    )


def _parameter(number: int, place: int, column: sa.Column[Any]) -> sa.BindParameter[Any]:
    return sa.bindparam(_name(number, place), type_=column.type)


def _name(number: int, place: int) -> str:
    return f"key_{number}_{place}"


def _size(keys: Sequence[Key]) -> int:
    return next(size for size in LOOKUPS if size >= len(keys))


def _values(table: sa.Table, keys: Sequence[Key]) -> dict[str, Any]:
    """For as many keys as a statement names: the last one stands for those that there are not."""
    padded = [*keys, *[keys[-1]] * (_size(keys) - len(keys))]
    return {_name(number, place): value for number, key in enumerate(padded) for place, value in enumerate(key)}


def _chunks(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _limits(sizes: Sequence[int]) -> Iterator[int]:
    """How many rows, one after the other, make pieces of at most BYTES."""
    count = total = 0
    for size in sizes:
        if count and total + size > BYTES:
            yield count
            count = total = 0
        count += 1
        total += size
    if count:
        yield count

"""Rows of a file into the database: all of them, or none."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from project.database import Database, dialects
from project.database.errors import Conflict, Invalid
from project.database.sessions import Session
from project.database.statements import Statement
from project.problems import Problem
from project.transfer.records import RecordFault
from project.transfer.shapes import Shape
from project.transfer.sources import TIMES, Source, SourceError
from project.transfer.spools import spool
from project.transfer.stages import Row, Stage

MOST_NAMED = 10
"""How many keys a refusal names."""


class LoadError(Exception):
    """Nothing was loaded; the message says why."""


async def load(
    database: Database,
    source: Source,
    shapes: Mapping[str, Shape],
    *,
    update: bool,
    skip_invalid: bool,
    refuse: Callable[[RecordFault], None],
    reading: Callable[[int], None],
    writing: Callable[[int, int], None],
) -> Counter[str]:
    """Insert the rows, and with `update` replace those whose keys are there. Gives back how many, by label.

    Everything is read before anything is written, so that the transaction is as short as it can be: on SQLite, and in
    places elsewhere, other writers wait for it. `refuse` is told of every record that is not valid, `reading` how many
    were read so far, `writing` how many of how many were written. Raises LoadError.
    """
    with spool() as file:
        stage = Stage(file, source.columns)
        refused = 0
        for batch in _batches(source):
            for fault in batch.faults:
                refuse(fault)
            refused += batch.refused
            for label, items in groupby(batch.accepted, key=lambda item: item[1][0]):
                stage.put(label, [(place, *row) for place, (_, row) in items])
            reading(stage.count + refused)
        if refused and not skip_invalid:
            raise LoadError(
                f"{refused:,} of {stage.count + refused:,} records cannot be loaded, so none was: mend them, or leave "
                "them out with --skip-invalid."
            )
        return await _write(database, stage, source, shapes, update, writing)


def _batches(source: Source) -> Iterator[Any]:
    try:
        yield from source.batches
    except (Problem, SourceError) as error:
        details = [str(error), *(f"{fault.pointer} {fault.detail}." for fault in getattr(error, "errors", ()))]
        raise LoadError(" ".join(details)) from error


async def _write(
    database: Database,
    stage: Stage,
    source: Source,
    shapes: Mapping[str, Shape],
    update: bool,
    writing: Callable[[int, int], None],
) -> Counter[str]:
    between: list[int] = []

    async def work(tables: Tables) -> Counter[str]:
        tables.session.trail.name("load")
        written: Counter[str] = Counter()
        for label, rows in stage:
            between[:] = rows[0][0], rows[-1][0]
            await tables.put(shapes[label], source.columns[label], rows, update)
            written[label] += len(rows)
            writing(written.total(), stage.count)
        for label in written:
            await tables.settle_ids(shapes[label])
        return written

    try:
        return await database.write(Tables, work)
    except (Conflict, Invalid) as error:
        places = f"{source.place} {between[0]} and {source.place} {between[1]}"
        raise LoadError(f"Between {places}: {error} Nothing was loaded.") from error


class Tables:
    """The rows of any table, in a unit of work."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._now = dt.datetime.now(dt.UTC)

    async def put(self, shape: Shape, columns: Sequence[sa.Column[Any]], rows: Sequence[Row], update: bool) -> None:
        """Raises LoadError for keys that are there, unless they are to be updated."""
        names = tuple(column.key for column in columns)
        values = [shape.model.row_of(dict(zip(names, row[1:], strict=True))) for row in rows]
        times = dict.fromkeys(TIMES.intersection(shape.table.c.keys()).difference(names), self._now)
        if not all(column.key in names for column in shape.keys):
            await self.session.run_many(_insert(shape.table, (*values[0], *times)), values, **times)
            return
        by_key = {tuple(value[column.key] for column in shape.keys): value for value in values}
        there = await self._keys(shape, list(by_key))
        if not update and (there or len(by_key) < len(values)):
            counted = Counter(tuple(value[column.key] for column in shape.keys) for value in values)
            raise _exist(shape, [key for key, count in counted.items() if key in there or count > 1])
        new = [value for key, value in by_key.items() if key not in there]
        old = [_renamed(value) for key, value in by_key.items() if key in there]
        if new:
            await self.session.run_many(_insert(shape.table, (*new[0], *times)), new, **times)
        if old:
            await self.session.run_many(_update(shape.table, tuple(values[0])), old)

    async def settle_ids(self, shape: Shape) -> None:
        """Let new ids be higher than those that were given."""
        column = shape.table.autoincrement_column
        if column is not None:
            statement = dialects.named(self.session.dialect_name).after_given_ids(column)
            if statement is not None:
                await self.session.execute(statement)

    async def _keys(self, shape: Shape, keys: Sequence[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
        """Those that are there."""
        select = sa.select(*shape.keys)
        if len(shape.keys) == 1:
            select = select.where(shape.keys[0].in_([key[0] for key in keys]))
        else:
            select = select.where(sa.tuple_(*shape.keys).in_(keys))
        return {tuple(row) for row in await self.session.execute(select)}


def _exist(shape: Shape, keys: Sequence[tuple[Any, ...]]) -> LoadError:
    some = ", ".join("/".join(map(str, key)) for key in keys[:MOST_NAMED])
    more = " and more" if len(keys) > MOST_NAMED else ""
    return LoadError(f"{shape.label} {some}{more} would be there twice, so nothing was loaded: --update replaces them.")


PREFIX = "given_"


def _renamed(value: Mapping[str, Any]) -> dict[str, Any]:
    return {PREFIX + name: each for name, each in value.items()}


@lru_cache
def _insert(table: sa.Table, names: tuple[str, ...]) -> Statement:
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
    return Statement(sa.insert(table).values(values).inline())


@lru_cache
def _update(table: sa.Table, names: tuple[str, ...]) -> Statement:
    given = {name: sa.bindparam(PREFIX + name, type_=table.c[name].type) for name in names}
    keys = {column.key for column in table.primary_key}
    where = [column == given[column.key] for column in table.primary_key]
    return Statement(
        sa.update(table).values({name: each for name, each in given.items() if name not in keys}).where(*where)
    )

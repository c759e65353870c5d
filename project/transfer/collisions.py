"""Keys that are different in one database and equal in another, because its tables take some letters for the same."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from project.database.links import Link
from project.database.sessions import Session
from project.database.statements import Statement
from project.transfer.canonical import key_of, key_text, raw_pieces, raw_rows
from project.transfer.report import Finding, Findings

SCRATCH = "_keys"
"""A temporary table of one session: of the target itself nothing is changed."""
LONGEST_KEY = 1000
"""Characters of a key as text."""


async def find_collisions(source: Session, target: Link, table: sa.Table, findings: Findings) -> None:
    """Add the rows of which a unique key equals that of another row, as the target's table compares them.

    Where that compares by code point, as the migrations make it, keys that differ there differ here. Raises
    DatabaseError.
    """
    async with target.alone() as session:
        folding = await target.dialect.contents.folding(session, table)
    for key in _unique_keys(table):
        if any(column.name in folding for column in key):
            async with target.transaction() as session:
                scratch = _scratch(key, folding)
                await session.held.execute(_ddl(session, sa.schema.CreateTable(scratch)))
                await _fill(source, session, table, key, scratch)
                names = ", ".join(column.name for column in key)
                collation = ", ".join(sorted({folding[column.name] for column in key if column.name in folding}))
                async for row_key in _doubles(session, scratch):
                    reason = f"is equal to that of another row in the target, which compares {names} by {collation}"
                    name = str(key[0].name) if len(key) == 1 else None
                    findings.add(Finding(str(table.name), row_key, name, reason))
                await session.held.execute(_ddl(session, sa.schema.DropTable(scratch)))


def _unique_keys(table: sa.Table) -> Iterator[Sequence[sa.Column[Any]]]:
    yield list(table.primary_key)
    for constraint in table.constraints:
        if isinstance(constraint, sa.UniqueConstraint):
            yield list(constraint.columns)
    for index in table.indexes:
        if index.unique:
            yield list(index.columns)


def _scratch(key: Sequence[sa.Column[Any]], folding: Mapping[str, str]) -> sa.Table:
    columns: list[sa.Column[Any]] = [sa.Column("row_key", sa.String(LONGEST_KEY))]
    for place, column in enumerate(key):
        kind: Any = column.type
        collation = folding.get(column.name)
        length = getattr(kind, "length", None) or LONGEST_KEY
        columns.append(sa.Column(f"part_{place}", sa.String(length, collation=collation)))
    return sa.Table(SCRATCH, sa.MetaData(), *columns, prefixes=["TEMPORARY"])


def _ddl(session: Session, element: Any) -> str:
    return str(element.compile(dialect=session.held.alchemy.dialect))


async def _fill(
    source: Session, target: Session, table: sa.Table, key: Sequence[sa.Column[Any]], scratch: sa.Table
) -> None:
    columns = list(table.columns)
    places = [columns.index(column) for column in key]
    identify = key_of(table)
    insert = Statement(sa.insert(scratch).values({c.name: sa.bindparam(c.name, type_=c.type) for c in scratch.c}))
    async for rows in raw_pieces(source, table):
        values = [
            {"row_key": key_text(identify(row)), **{f"part_{n}": str(row[place]) for n, place in enumerate(places)}}
            for row in rows
            if all(row[place] is not None for place in places)
        ]
        if values:
            await target.run_many(insert, values)


async def _doubles(session: Session, scratch: sa.Table) -> AsyncIterator[str]:
    parts = [column for column in scratch.c if column.name != "row_key"]
    counted = sa.select(scratch.c.row_key, sa.func.count().over(partition_by=parts).label("times")).subquery()
    select = sa.select(counted.c.row_key).where(counted.c.times > sa.literal_column("1"))
    async for rows in raw_rows(session, select):
        for row in rows:
            yield row[0]

"""Units of work on tables of their own, for tests of what lies beneath the models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa

from project.database import Database, links, parse_url
from project.database.places import Place
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.database.types import Text, Timestamp
from project.settings import load

metadata = sa.MetaData()
shelf = sa.Table(
    "shelf",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("label", Text(5), nullable=False, unique=True),
)
book = sa.Table(
    "book",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), primary_key=True),
    sa.Column("shelf_id", sa.ForeignKey("shelf.id"), index=True),
    sa.Column("title", Text(50)),
    sa.Column("price", sa.Double(), nullable=False),
    sa.Column("bought_at", Timestamp()),
    sa.CheckConstraint("price >= 0", name="price"),
)

various = sa.MetaData()
page = sa.Table(
    "page",
    various,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("title", Text(1000), index=True),
    sa.Column("is_public", sa.Boolean(), nullable=False),
    sa.Column("price", sa.Numeric(6, 2)),
    sa.Column("day", sa.Date()),
    sa.Column("kind", sa.Enum("draft", "final", native_enum=False)),
    sa.Column("reference", sa.Uuid()),
    sa.Column("tags", sa.JSON()),
)
"""A column of each type that is not ours."""


class Desk:
    """A service with nothing but its session."""

    def __init__(self, *, session: Session) -> None:
        self.session = session

    async def add(self, table: sa.Table, **values: Any) -> int:
        if "id" in values:
            await self.session.run(_insert(table, *values), **values)
            return int(values["id"])
        return await self.session.insert(_insert(table, *values), **values)

    async def change(self, clause: sa.Executable, **values: Any) -> int:
        return await self.session.run(Statement(clause), **values)

    async def look(self, clause: sa.Executable, **values: Any) -> list[Row]:
        return await self.session.rows(Statement(clause), **values)


@asynccontextmanager
async def opened(url: str, **variables: str) -> AsyncIterator[Database]:
    """The database of that URL; `variables` are further settings, as the environment spells them."""
    database = Database(load({"DATABASE_URL": url, **variables}))
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def furnished(url: str, **variables: str) -> AsyncIterator[Database]:
    """The same, with the tables of this module, and nothing in them."""
    async with opened(url, **variables) as database:
        async with database.connect() as connection:
            await connection.run_sync(metadata.drop_all)
            await connection.run_sync(metadata.create_all)
        yield database


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[links.Link]:
    """A link to the database of that URL."""
    place = Place(parse_url(url), load({"DATABASE_URL": url}))
    try:
        async with links.link(place.dialect, place.backend) as link:
            yield link
    finally:
        await place.backend.close()


async def titles(database: Database) -> list[str]:
    async def work(desk: Desk) -> list[Row]:
        return await desk.look(sa.select(book.c.title).order_by(book.c.id))

    return [title for (title,) in await database.read(Desk, work)]


def _insert(table: sa.Table, *names: str) -> Statement:
    return Statement(sa.insert(table).values({name: sa.bindparam(name, type_=table.c[name].type) for name in names}))

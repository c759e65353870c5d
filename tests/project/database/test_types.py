"""What is written is what is read, and equal and ordered alike, on every database."""

import datetime as dt
import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from project.database.statements import Statement
from project.database.types import Blob, Text, Timestamp
from tests.servers import in_a_loop
from tests.units import Desk, opened

sample = sa.Table(
    "sample",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", Text(200), index=True),
    sa.Column("long_text", Text(100_000)),
    sa.Column("number", sa.Double()),
    sa.Column("moment", Timestamp()),
    sa.Column("data", Blob()),
)

ZONE = dt.timezone(dt.timedelta(hours=5, minutes=30))
HURTFUL = [
    "a", "A", "á", "a\u0301", "ab", "a ", "a  ", " a", "a\u00a0", "ä", "z", "Z", "ß", "ss", "SS", "İ", "i̇", "I", "ı",
    "i", "ﬁ", "fi", "Å", "\u212b", "\u200b", "\ufeff", "\uffff", "\ue000", "\U0001f600", "\U0010ffff", "שלום",
    "\u202eabc", "%", "_", "\\", "'", '"', "``", "9", "10", "1", "½", "①", "\x01", "a\x01", "\t", "\n", "\x7f",
    "\U0001d538" * 200, "x" * 200,
]  # fmt: skip
"""What some database takes for equal, or orders otherwise than by code point."""


def read_back(url: str, column: sa.Column[Any], values: Sequence[Any]) -> list[Any]:
    """The values after a journey through the database, by the driver's way and by SQLAlchemy's, in the order given."""
    insert = Statement(
        sa.insert(sample).values({"id": sa.bindparam("id"), column.name: sa.bindparam("value", type_=column.type)})
    )
    select = sa.select(column).order_by(sample.c.id)

    async def scenario() -> list[Any]:
        async with opened(url) as database:
            async with database.connect() as connection:
                await connection.run_sync(sample.metadata.drop_all)
                await connection.run_sync(sample.metadata.create_all)

            async def write(desk: Desk) -> None:
                for number, value in enumerate(values):
                    if number % 2:
                        await desk.session.run(insert, id=number, value=value)
                    else:
                        await desk.session.execute(sa.insert(sample), [{"id": number, column.name: value}])

            await database.write(Desk, write)
            direct = [row[0] for row in await database.read(Desk, lambda desk: desk.look(select))]
            through = (await database.read(Desk, lambda desk: desk.session.scalars(select))).all()
            pieces: list[Any] = []

            async def stream(desk: Desk) -> None:
                async for rows in desk.session.chunks(Statement(select), size=7):
                    pieces.extend(row[0] for row in rows)

            await database.snapshot(Desk, stream)
            assert repr(direct) == repr(list(through)) == repr(pieces)
            return direct

    return in_a_loop(scenario)


class TestText:
    def test_comes_back_as_it_was(self, database_url: str) -> None:
        assert read_back(database_url, sample.c.text, HURTFUL) == HURTFUL

    def test_long_text_comes_back_as_it_was(self, database_url: str) -> None:
        texts = ["", "x" * 100_000, "\U0001f600" * 100_000, "%s '\\" * 20_000]
        assert read_back(database_url, sample.c.long_text, texts) == texts

    def test_any_text_comes_back_as_it_was(self, database_url: str) -> None:
        characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")

        @settings(max_examples=5, deadline=None)
        @given(texts=st.lists(st.text(characters, max_size=200), min_size=50))
        def travel(texts: list[str]) -> None:
            assert read_back(database_url, sample.c.text, texts) == texts

        travel()

    def test_is_equal_to_itself_alone(self, database_url: str) -> None:
        texts = sorted(set(HURTFUL))
        read_back(database_url, sample.c.text, texts)

        async def scenario() -> None:
            async with opened(database_url) as database:

                async def find(desk: Desk) -> None:
                    select = Statement(sa.select(sample.c.text).where(sample.c.text == sa.bindparam("text")))
                    for text in texts:
                        assert [row[0] for row in await desk.session.rows(select, text=text)] == [text]
                    distinct = await desk.look(sa.select(sa.func.count(sample.c.text.distinct())))
                    assert distinct[0][0] == len(texts)

                await database.read(Desk, find)

        in_a_loop(scenario)

    def test_is_ordered_by_code_point(self, database_url: str) -> None:
        read_back(database_url, sample.c.text, HURTFUL)

        async def scenario() -> None:
            async with opened(database_url) as database:
                select = sa.select(sample.c.text).order_by(sample.c.text)
                rows = await database.read(Desk, lambda desk: desk.look(select))
                assert [row[0] for row in rows] == sorted(HURTFUL)

        in_a_loop(scenario)


class TestDouble:
    def test_comes_back_bit_for_bit(self, database_url: str) -> None:
        numbers = [
            0.0, 0.1, 0.1 + 0.2, 8.9, 9.999999999999998, 1 / 3, math.pi, 1e22, 1e23, 123456789012345680.0,
            5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.5,
        ]  # fmt: skip
        assert bits(read_back(database_url, sample.c.number, numbers)) == bits(numbers)

    def test_any_double_comes_back_bit_for_bit(self, database_url: str) -> None:
        doubles = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)  # -0.0 is 0.0

        @settings(max_examples=5, deadline=None)
        @given(numbers=st.lists(doubles, min_size=100))
        def travel(numbers: list[float]) -> None:
            assert bits(read_back(database_url, sample.c.number, numbers)) == bits(numbers)

        travel()


class TestTimestamp:
    MOMENTS = (
        dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 31, 9, 30, 0, 1, tzinfo=dt.UTC),
        dt.datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=ZONE),
        dt.datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=dt.UTC),
        dt.datetime(1000, 1, 1, tzinfo=dt.UTC),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    )

    def test_comes_back_in_utc_to_the_microsecond(self, database_url: str) -> None:
        found = read_back(database_url, sample.c.moment, self.MOMENTS)
        assert found == list(self.MOMENTS)
        assert {moment.utcoffset() for moment in found} == {dt.timedelta()}

    def test_comes_as_text_for_clients(self, database_url: str) -> None:
        read_back(database_url, sample.c.moment, self.MOMENTS)

        async def scenario() -> None:
            async with opened(database_url) as database:
                select = Statement(sa.select(sample.c.moment).order_by(sample.c.id), times_as_text=True)
                rows = await database.read(Desk, lambda desk: desk.session.rows(select))
                assert [row[0] for row in rows] == [
                    "2026-01-31T09:30:00.000000Z",
                    "2026-01-31T09:30:00.000001Z",
                    "2026-01-31T18:29:59.999999Z",
                    "2026-03-29T01:30:00.123456Z",
                    "1000-01-01T00:00:00.000000Z",
                    "9999-12-31T23:59:59.999999Z",
                ]

        in_a_loop(scenario)

    def test_no_moment_stays_none(self, database_url: str) -> None:
        assert read_back(database_url, sample.c.moment, [None, None]) == [None, None]

    def test_time_without_a_zone_is_no_moment(self, database_url: str) -> None:
        with pytest.raises(ValueError, match=r"use datetime\.now\(UTC\)"):
            read_back(database_url, sample.c.moment, [None, dt.datetime(2026, 1, 31)])  # noqa: DTZ001


class TestBlob:
    def test_comes_back_byte_for_byte(self, database_url: str) -> None:
        data = [b"", bytes(range(256)), b"\0", b"'\\%s", bytes(range(256)) * 10_000]
        assert read_back(database_url, sample.c.data, data) == data


def bits(numbers: Sequence[float]) -> list[bytes]:
    return [struct.pack("<d", number) for number in numbers]

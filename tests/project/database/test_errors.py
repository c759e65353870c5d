"""Every kind of failure, provoked on every database that knows it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from project.database import errors
from tests.servers import Server, free_port, in_a_loop
from tests.units import Desk, book, furnished, opened, shelf, titles

_numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
ENDLESS: dict[str, sa.Select[Any]] = {
    "sqlite": sa.select(sa.func.count()).select_from(_numbers.union_all(sa.select(_numbers.c.n + 1))),
    "postgresql": sa.select(sa.func.count(sa.func.pg_sleep(1000))),
    "mysql": sa.select(sa.literal(1)).where(sa.func.sleep(1000) == 1),
}
"""By SQLAlchemy's names of the databases."""

NO_MORE_CONNECTIONS = {
    "postgresql": ("ALTER ROLE registrar CONNECTION LIMIT 0", "ALTER ROLE registrar CONNECTION LIMIT -1"),
    "mariadb": (
        "GRANT USAGE ON *.* TO registrar@'%' WITH MAX_USER_CONNECTIONS -1",
        "GRANT USAGE ON *.* TO registrar@'%' WITH MAX_USER_CONNECTIONS 0",
    ),
}
FEW_CONNECTIONS = {
    "postgresql": "ALTER ROLE registrar CONNECTION LIMIT 3",
    "mariadb": "GRANT USAGE ON *.* TO registrar@'%' WITH MAX_USER_CONNECTIONS 3",
}
READ_ONLY = {
    "postgresql": (
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
        "ALTER DATABASE {name} RESET default_transaction_read_only",
    ),
    "mariadb": ("SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"),
}
SMALL_ROOM = {
    "sqlite": [],
    "postgresql": [],
    "mariadb": [
        "DROP TABLE IF EXISTS small_room",
        "SET max_heap_table_size = 16384",
        "CREATE TABLE small_room (text CHAR(255)) ENGINE = MEMORY",
    ],
}
FILL = {
    "sqlite": "PRAGMA max_page_count = 1",
    # Nobody's disk is filled for a test: this is what the server says then.
    "postgresql": "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$",
    "mariadb": "INSERT INTO small_room SELECT 'text' FROM information_schema.columns",
}

Work = Callable[[Desk], Awaitable[Any]]


def failure(url: str, *works: Work, **variables: str) -> errors.DatabaseError:
    """What the last unit of work raises, on tables in which the others have been at work."""

    async def scenario() -> errors.DatabaseError:
        async with furnished(url, **variables) as database:
            for work in works[:-1]:
                await database.write(Desk, work)
            with pytest.raises(errors.DatabaseError) as raised:
                await database.write(Desk, works[-1])
            return raised.value

    return in_a_loop(scenario)


def connecting(url: str) -> errors.DatabaseError:
    async def scenario() -> errors.DatabaseError:
        async with opened(url) as database:
            with pytest.raises(errors.DatabaseError) as raised:
                await database.read(Desk, lambda desk: desk.look(sa.select(sa.literal(1))))
            return raised.value

    return in_a_loop(scenario)


def changed(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


async def shelve(desk: Desk) -> None:
    await desk.add(shelf, id=1, label="one")


async def put(desk: Desk) -> None:
    await desk.add(book, shelf_id=1, price=1.0)


async def two_books(desk: Desk) -> None:
    await desk.add(book, id=1, price=0.0)
    await desk.add(book, id=2, price=0.0)


def raise_price(number: int) -> sa.Update:
    return sa.update(book).where(book.c.id == number).values(price=book.c.price + 1)


class TestConflict:
    def test_same_key(self, database_url: str) -> None:
        error = failure(database_url, shelve, lambda desk: desk.add(shelf, label="one"))
        assert isinstance(error, errors.Conflict)
        assert str(error) == "A record with the same key exists."

    def test_same_id(self, database_url: str) -> None:
        error = failure(database_url, shelve, lambda desk: desk.change(sa.insert(shelf).values(id=1, label="two")))
        assert isinstance(error, errors.Conflict)

    def test_reference_to_nothing(self, database_url: str) -> None:
        error = failure(database_url, put)
        assert isinstance(error, errors.Conflict)
        assert "refers to" in str(error)

    def test_nothing_left_to_refer_to(self, database_url: str) -> None:
        error = failure(database_url, shelve, put, lambda desk: desk.change(sa.delete(shelf)))
        assert isinstance(error, errors.Conflict)


class TestInvalid:
    def test_nothing_where_something_must_be(self, database_url: str) -> None:
        assert isinstance(failure(database_url, lambda desk: desk.add(book, price=None)), errors.Invalid)

    def test_value_that_a_check_refuses(self, database_url: str) -> None:
        assert isinstance(failure(database_url, lambda desk: desk.add(book, price=-1.0)), errors.Invalid)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_text_too_long(self, database_url: str) -> None:
        assert isinstance(failure(database_url, lambda desk: desk.add(shelf, label="123456")), errors.Invalid)

    @pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
    def test_number_out_of_range(self, database_url: str, number: int) -> None:
        error = failure(database_url, lambda desk: desk.change(sa.insert(shelf).values(id=number, label="one")))
        assert isinstance(error, errors.Invalid)

    @pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "a\udfff"], ids=ascii)
    def test_text_that_not_every_database_holds(self, database_url: str, text: str) -> None:
        assert isinstance(failure(database_url, lambda desk: desk.add(shelf, label=text)), errors.Invalid)

    def test_text_that_the_orm_sends(self, database_url: str) -> None:
        async def through_sqlalchemy(desk: Desk) -> None:
            await desk.session.execute(sa.insert(shelf), [{"label": "a\0"}])

        assert isinstance(failure(database_url, through_sqlalchemy), errors.Invalid)


class TestTransient:
    @pytest.mark.engines("postgresql", "mariadb")
    def test_one_of_two_that_wait_for_each_other_is_run_again(self, database_url: str) -> None:
        runs = 0

        async def scenario() -> list[Any]:
            async with furnished(database_url) as database:
                await database.write(Desk, two_books)
                both_hold_one = asyncio.Barrier(2)

                async def raise_prices(desk: Desk, first: int, second: int) -> None:
                    nonlocal runs
                    runs += 1
                    is_first_run = runs <= 2
                    await desk.change(raise_price(first))
                    if is_first_run:
                        await both_hold_one.wait()
                    await desk.change(raise_price(second))

                await asyncio.gather(
                    database.write(Desk, lambda desk: raise_prices(desk, 1, 2)),
                    database.write(Desk, lambda desk: raise_prices(desk, 2, 1)),
                )
                return await database.read(Desk, lambda desk: desk.look(sa.select(book.c.price)))

        assert [price for (price,) in in_a_loop(scenario)] == [2.0, 2.0]
        assert runs == 3

    @pytest.mark.engines("postgresql")
    def test_serialization_failure_is_run_again(self, database_url: str) -> None:
        runs = 0

        async def increment(desk: Desk) -> None:
            nonlocal runs
            runs += 1
            await desk.session.held.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            ((price,),) = await desk.look(sa.select(book.c.price))
            await desk.change(sa.update(book).values(price=price + 1))

        async def scenario() -> float:
            async with furnished(database_url) as database:
                await database.write(Desk, lambda desk: desk.add(book, price=0.0))
                await asyncio.gather(*(database.write(Desk, increment) for _ in range(20)))
                rows = await database.read(Desk, lambda desk: desk.look(sa.select(book.c.price)))
                return float(rows[0][0])

        assert in_a_loop(scenario) == 20
        assert runs > 20

    @pytest.mark.engines("mariadb")
    def test_deadlock_that_the_work_swallowed_is_run_again_whole(self, database_url: str) -> None:
        runs = 0

        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                await database.write(Desk, two_books)
                both_hold_one = asyncio.Barrier(2)

                async def carelessly(desk: Desk, first: int, second: int) -> None:
                    nonlocal runs
                    runs += 1
                    is_first_run = runs <= 2
                    await desk.add(book, title=f"{first} before {second}", price=0.0)
                    await desk.change(raise_price(first))
                    if is_first_run:
                        await both_hold_one.wait()
                    try:
                        await desk.session.execute(raise_price(second))
                    except Exception:  # what a careless author might write
                        await desk.add(book, title="went on", price=0.0)

                await asyncio.gather(
                    database.write(Desk, lambda desk: carelessly(desk, 1, 2)),
                    database.write(Desk, lambda desk: carelessly(desk, 2, 1)),
                )
                return sorted(title for title in await titles(database) if title)

        assert in_a_loop(scenario) == ["1 before 2", "2 before 1"]
        assert runs == 3

    @pytest.mark.engines("postgresql")
    def test_error_that_the_work_swallowed_is_not_taken_for_success(self, database_url: str) -> None:
        async def carelessly(desk: Desk) -> None:
            try:
                await desk.add(book, price=-1.0)
            except Exception:  # what a careless author might write
                return

        async def scenario() -> None:
            async with furnished(database_url) as database:
                with pytest.raises(RuntimeError, match="went on after an error"):
                    await database.write(Desk, carelessly)

        in_a_loop(scenario)


class TestUnavailable:
    def test_statement_takes_longer_than_its_budget(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_STATEMENT_TIMEOUT="0.3") as database:
                with pytest.raises(errors.TimedOut):
                    await database.read(Desk, lambda desk: desk.look(ENDLESS[database.dialect.name]))
                with pytest.raises(errors.TimedOut):
                    await database.snapshot(Desk, lambda desk: desk.look(ENDLESS[database.dialect.name]), limited=True)
                assert await titles(database) == []

        in_a_loop(scenario)

    def test_others_hold_the_lock(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database, opened(database_url) as other:
                await database.write(Desk, shelve)
                holds, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    await desk.change(sa.update(shelf).values(label="held"))
                    holds.set()
                    await may_end.wait()

                holding = asyncio.create_task(other.write(Desk, hold))
                await holds.wait()
                with pytest.raises(errors.Busy):
                    await database.write(Desk, lambda desk: desk.change(sa.update(shelf).values(label="mine")))
                may_end.set()
                await holding
                await database.write(Desk, lambda desk: desk.change(sa.update(shelf).values(label="mine")))

        in_a_loop(scenario)

    @pytest.mark.engines("sqlite")
    def test_every_connection_is_in_use(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_POOL_SIZE="1") as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def linger(desk: Desk) -> None:
                    begun.set()
                    await may_end.wait()

                async with asyncio.TaskGroup() as group:
                    group.create_task(database.read(Desk, linger))
                    await begun.wait()
                    with pytest.raises(errors.Busy, match="Every connection"):
                        await titles(database)
                    may_end.set()
                assert await titles(database) == []

        in_a_loop(scenario)

    def test_reads_do_not_write(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                with pytest.raises(errors.ReadOnly):
                    await database.read(Desk, lambda desk: desk.add(shelf, label="one"))
                with pytest.raises(errors.ReadOnly):
                    await database.snapshot(Desk, lambda desk: desk.add(shelf, label="one"))
                assert await database.write(Desk, lambda desk: desk.add(shelf, label="one"))

        in_a_loop(scenario)

    def test_table_that_is_not_there_yet(self, database_url: str) -> None:
        table = sa.table("not_yet", sa.column("a"))
        assert isinstance(failure(database_url, lambda desk: desk.look(sa.select(table.c.a))), errors.Outdated)

    def test_column_that_is_not_there_yet(self, database_url: str) -> None:
        select: sa.Select[Any] = sa.select(sa.literal_column("not_yet")).select_from(shelf)
        assert isinstance(failure(database_url, lambda desk: desk.look(select)), errors.Outdated)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_nobody_listens(self, database_url: str) -> None:
        error = connecting(changed(database_url, port=free_port()))
        assert isinstance(error, errors.Gone)
        assert error.retry_after == 1

    @pytest.mark.engines("postgresql", "mariadb")
    def test_no_such_host(self, database_url: str) -> None:
        assert isinstance(connecting(changed(database_url, host="nowhere.invalid")), errors.Gone)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_wrong_password(self, database_url: str) -> None:
        error = connecting(changed(database_url, password="not this one"))
        assert isinstance(error, errors.Gone)
        assert str(error) == "The database refuses the user or the password that its URL gives."

    @pytest.mark.engines("postgresql", "mariadb")
    def test_no_such_database(self, database_url: str) -> None:
        error = connecting(changed(database_url, database="registrar_of_nowhere"))
        assert isinstance(error, errors.Gone)
        assert "registrar_of_nowhere" not in str(error)

    @pytest.mark.engines("sqlite")
    def test_no_such_folder(self, tmp_path: Path) -> None:
        assert isinstance(connecting(f"sqlite:///{tmp_path}/nowhere/registrar.sqlite3"), errors.Gone)

    @pytest.mark.engines("sqlite")
    def test_file_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("Dear diary, " * 100)
        error = connecting(f"sqlite:///{tmp_path}/notes.txt")
        assert isinstance(error, errors.Gone)
        assert str(error) == "The database file is not an SQLite database."

    @pytest.mark.engines("postgresql", "mariadb")
    def test_no_connection_left(self, engine: str, database_url: str, request: pytest.FixtureRequest) -> None:
        limit, no_limit = NO_MORE_CONNECTIONS[engine]
        server: Server = request.getfixturevalue(engine)
        server.execute(limit)
        try:
            error = connecting(database_url)
        finally:
            server.execute(no_limit)
        assert isinstance(error, errors.Gone)
        assert str(error) == "The database has no connection left."

    @pytest.mark.engines("postgresql", "mariadb")
    def test_few_connections_have_to_do(self, engine: str, database_url: str, request: pytest.FixtureRequest) -> None:
        server: Server = request.getfixturevalue(engine)

        async def scenario() -> list[list[str]]:
            async with furnished(database_url) as database:
                await database.write(Desk, lambda desk: desk.add(book, title="one", price=1.0))
                return await asyncio.gather(*(titles(database) for _ in range(100)))

        server.execute(FEW_CONNECTIONS[engine])
        try:
            assert in_a_loop(scenario) == [["one"]] * 100
        finally:
            server.execute(NO_MORE_CONNECTIONS[engine][1])

    @pytest.mark.engines("postgresql", "mariadb")
    def test_database_takes_no_writes(self, engine: str, database_url: str, request: pytest.FixtureRequest) -> None:
        server: Server = request.getfixturevalue(engine)
        name = make_url(database_url).database

        async def scenario() -> None:
            async with furnished(database_url):
                pass
            server.execute(READ_ONLY[engine][0].format(name=name))
            try:
                async with opened(database_url) as database:
                    with pytest.raises(errors.ReadOnly):
                        await database.write(Desk, shelve)
                    assert await titles(database) == []
            finally:
                server.execute(READ_ONLY[engine][1].format(name=name))

        in_a_loop(scenario)

    def test_no_room_left_for_a_file_beside_it_is_not_the_databases(self, database_url: str) -> None:
        async def scenario() -> None:
            async def work(desk: Desk) -> None:
                os.write(file, b"a row")

            file = os.open("/dev/full", os.O_WRONLY)
            async with opened(database_url) as database:
                for run in (database.read, database.snapshot, database.write):
                    with pytest.raises(OSError, match="No space left on device"):
                        await run(Desk, work)
            os.close(file)

        in_a_loop(scenario)

    def test_no_room_left(self, engine: str, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                async with database.connect() as connection:
                    for statement in SMALL_ROOM[engine]:
                        await connection.exec_driver_sql(statement)

                async def fill(desk: Desk) -> None:
                    await desk.session.held.execute(FILL[engine])
                    for number in range(1000):
                        await desk.add(book, title=f"{number:050}", price=0.0)

                with pytest.raises(errors.Full) as raised:
                    await database.write(Desk, fill)
                assert raised.value.retry_after == 60
                await database.write(Desk, shelve)

        in_a_loop(scenario)

"""Units of work: whole or not at all, whoever goes away in the middle of them."""

import asyncio
import random
import sqlite3
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from project import callers
from project.callers import Caller
from project.database import Database, errors, migrations
from project.database.pools import PATIENCE
from project.database.statements import Row, Statement
from project.database.trails import PENDING
from tests.servers import Server, in_a_loop
from tests.units import Desk, book, furnished, opened, shelf, titles

OPEN_TRANSACTIONS = {
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND xact_start IS NOT NULL",
    "mariadb": "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
    " ON trx_mysql_thread_id = id WHERE db = '{name}'",
}


def twins(title: str) -> Any:
    async def work(desk: Desk) -> None:
        await desk.add(book, title=title, price=1.0)
        await desk.add(book, title=title, price=2.0)

    return work


def add(title: str) -> Any:
    return lambda desk: desk.add(book, title=title, price=1.0)


class TestWrite:
    def test_work_that_fails_leaves_nothing(self, database_url: str) -> None:
        async def fail(desk: Desk) -> None:
            await desk.add(book, title="never", price=1.0)
            raise LookupError("of the work itself")

        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                with pytest.raises(LookupError, match="of the work itself"):
                    await database.write(Desk, fail)
                await database.write(Desk, add("after"))
                return await titles(database)

        assert in_a_loop(scenario) == ["after"]

    def test_both_ways_to_send_a_statement_share_the_transaction(self, database_url: str) -> None:
        async def both_ways(desk: Desk) -> None:
            await desk.add(book, title="driver", price=1.0)
            await desk.session.execute(sa.insert(book), [{"title": "sqlalchemy", "price": 1.0}])
            rows = await desk.session.execute(sa.select(book.c.title).order_by(book.c.id))
            assert rows.scalars().all() == ["driver", "sqlalchemy"]
            assert [title for (title,) in await desk.look(sa.select(book.c.title))] == ["driver", "sqlalchemy"]

        async def and_fail(desk: Desk) -> None:
            await both_ways(desk)
            raise LookupError

        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                with pytest.raises(LookupError):
                    await database.write(Desk, and_fail)
                assert await titles(database) == []
                await database.write(Desk, both_ways)
                return await titles(database)

        assert in_a_loop(scenario) == ["driver", "sqlalchemy"]

    def test_work_does_not_commit(self, database_url: str) -> None:
        async def commit(desk: Desk) -> None:
            await desk.add(book, title="never", price=1.0)
            await desk.session.commit()

        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                with pytest.raises(RuntimeError, match=r"committed by Database\.write"):
                    await database.write(Desk, commit)
                return await titles(database)

        assert in_a_loop(scenario) == []

    def test_rows_get_ids_in_their_order_whoever_else_inserts(self, database_url: str) -> None:
        statement = Statement(
            sa.insert(book).values(title=sa.bindparam("title", type_=sa.String), price=sa.bindparam("price"))
        )

        async def scenario() -> list[list[tuple[int, str]]]:
            async with furnished(database_url) as database:

                async def add_many(writer: int) -> list[tuple[int, str]]:
                    titles = [f"{writer}: {number} %s '\\" for number in range(300)]
                    rows = [{"title": title, "price": 0.0} for title in titles]
                    ids = await database.write(Desk, lambda desk: desk.session.insert_many(statement, rows))
                    return list(zip(ids, titles, strict=True))

                given = await asyncio.gather(*(add_many(writer) for writer in range(8)))
                rows = await database.read(Desk, lambda desk: desk.look(sa.select(book.c.id, book.c.title)))
                return [sorted(pair for group in given for pair in group), sorted((row[0], row[1]) for row in rows)]

        given, kept = in_a_loop(scenario)
        assert given == kept
        assert len(kept) == 2400

    def test_waits_its_turn_for_a_connection(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url, DATABASE_POOL_SIZE="1") as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    await desk.add(book, title="first", price=1.0)
                    begun.set()
                    await may_end.wait()

                async with asyncio.TaskGroup() as group:
                    group.create_task(database.write(Desk, hold))
                    await begun.wait()
                    gone_away = asyncio.create_task(database.write(Desk, add("never")))
                    for title in ("second", "third"):
                        group.create_task(database.write(Desk, add(title)))
                        await asyncio.sleep(0)
                    gone_away.cancel()
                    may_end.set()
                return await titles(database)

        assert in_a_loop(scenario) == ["first", "second", "third"]


class TestWriteWhoseCallerGoesAway:
    def test_is_kept_whole_or_not_at_all(self, engine: str, database_url: str, request: pytest.FixtureRequest) -> None:
        chance = random.Random(20)

        async def come_and_go(database: Database, title: str) -> None:
            task = asyncio.create_task(database.write(Desk, twins(title)))
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})

        async def scenario() -> Counter[str]:
            async with furnished(database_url) as database:
                await asyncio.gather(*(come_and_go(database, f"came {number}") for number in range(200)))
                await asyncio.gather(*(database.write(Desk, twins(f"stayed {number}")) for number in range(30)))
                if engine in OPEN_TRANSACTIONS:
                    server: Server = request.getfixturevalue(engine)
                    count = OPEN_TRANSACTIONS[engine].format(name=make_url(database_url).database)
                    async with asyncio.timeout(30):
                        while await asyncio.to_thread(server.execute, count) != [(0,)]:
                            pass
                return Counter(await titles(database))

        kept = in_a_loop(scenario)
        assert set(kept.values()) == {2}
        assert {f"stayed {number}" for number in range(30)} <= kept.keys()


class TestRead:
    def test_caller_that_goes_away_leaves_the_connection_to_nobody(self, database_url: str) -> None:
        chance = random.Random(20)

        async def scenario() -> None:
            async with furnished(database_url, DATABASE_POOL_SIZE="2") as database:
                await database.write(Desk, add("one"))

                async def come_and_go() -> None:
                    task = asyncio.create_task(titles(database))
                    for _ in range(chance.randrange(20)):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait({task})

                await asyncio.gather(*(come_and_go() for _ in range(100)))
                assert await asyncio.gather(*(titles(database) for _ in range(20))) == [["one"]] * 20

        in_a_loop(scenario)


class TestSnapshot:
    def test_sees_one_moment(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                await database.write(Desk, add("before"))

                async def look_twice(desk: Desk) -> list[list[Row]]:
                    first = await desk.look(sa.select(book.c.title))
                    await database.write(Desk, add("meanwhile"))
                    return [first, await desk.look(sa.select(book.c.title))]

                first, second = await database.snapshot(Desk, look_twice)
                assert [row[0] for row in first] == [row[0] for row in second] == ["before"]
                assert await titles(database) == ["before", "meanwhile"]

        in_a_loop(scenario)

    def test_comes_in_pieces_and_may_be_left_early(self, database_url: str) -> None:
        select = Statement(sa.select(book.c.id, book.c.title).order_by(book.c.id))

        async def scenario() -> None:
            async with furnished(database_url, DATABASE_POOL_SIZE="1") as database:
                rows = [{"title": f"{number}", "price": 0.0} for number in range(10_000)]
                await database.write(Desk, lambda desk: desk.session.execute(sa.insert(book), rows))

                async def all_of_it(desk: Desk) -> list[int]:
                    pieces = [piece async for piece in desk.session.chunks(select, size=999)]
                    assert [row[1] for piece in pieces for row in piece] == [row["title"] for row in rows]
                    return [len(piece) for piece in pieces]

                async def some_of_it(desk: Desk) -> int:
                    async for piece in desk.session.chunks(select, size=10):
                        return len(piece)
                    return 0

                assert await database.snapshot(Desk, all_of_it) == [999] * 10 + [10]
                for _ in range(5):
                    assert await database.snapshot(Desk, some_of_it) == 10
                assert await database.snapshot(Desk, all_of_it) == [999] * 10 + [10]

        in_a_loop(scenario)

    def test_does_not_keep_reads_waiting(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url, DATABASE_POOL_SIZE="2") as database:
                under_way, may_end = asyncio.Barrier(3), asyncio.Event()

                async def linger(desk: Desk) -> None:
                    await desk.look(sa.select(book.c.title))
                    await under_way.wait()
                    await may_end.wait()

                async with asyncio.TaskGroup() as group:
                    for _ in range(2):
                        group.create_task(database.snapshot(Desk, linger))
                    await under_way.wait()
                    assert await titles(database) == []
                    may_end.set()

        in_a_loop(scenario)


class TestTogether:
    """Units of work that may be committed together."""

    def test_each_is_kept_and_leaves_its_own_trail(self, database_url: str) -> None:
        async def add_as(database: Database, name: str) -> int:
            callers.current.set(Caller(channel="command", role="admin", name=name))
            return await database.write(Desk, note_and_add(name), together=True)

        async def scenario() -> None:
            names = [f"{number}" for number in range(200)]
            async with furnished(database_url) as database:
                await migrations.migrate(database)
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(add_as(database, name)) for name in names]
                ids = [task.result() for task in tasks]
                assert await kept(database) == dict(zip(ids, names, strict=True))
                entries = await database.read(Desk, lambda desk: desk.look(SELECT_PENDING))
                assert {tuple(entry) for entry in entries} == {(name, name, "noted") for name in names}
                assert len(entries) == len(names)

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql")
    def test_share_transactions(self, database_url: str) -> None:
        async def scenario() -> int:
            async with furnished(database_url) as database:
                await asyncio.gather(*(database.write(Desk, add(f"{n}"), together=True) for n in range(100)))
                transactions = sa.select(sa.text("count(DISTINCT xmin::text)")).select_from(book)
                return int((await database.read(Desk, lambda desk: desk.look(transactions)))[0][0])

        assert in_a_loop(scenario) < 50

    def test_nobody_is_answered_before_the_commit(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database, opened(database_url) as other:

                async def add_and_look(number: int) -> None:
                    new_id = await database.write(Desk, add(f"{number}"), together=True)
                    assert (await kept(other))[new_id] == f"{number}"

                await asyncio.gather(*(add_and_look(number) for number in range(100)))

        in_a_loop(scenario)

    def test_one_that_fails_fails_alone(self, database_url: str) -> None:
        async def fail(desk: Desk) -> None:
            await desk.add(book, title="never", price=1.0)
            raise LookupError

        async def scenario() -> None:
            async with furnished(database_url) as database:
                await database.write(Desk, lambda desk: desk.add(shelf, label="taken"))
                works = [add(f"{number}") for number in range(100)]
                works[10], works[60] = fail, lambda desk: desk.add(shelf, label="taken")
                answers = await asyncio.gather(
                    *(database.write(Desk, work, together=True) for work in works), return_exceptions=True
                )
                assert [place for place, answer in enumerate(answers) if isinstance(answer, Exception)] == [10, 60]
                assert isinstance(answers[10], LookupError)
                assert isinstance(answers[60], errors.Conflict)
                found = sorted(map(int, await titles(database)))
                assert found == [number for number in range(100) if number not in (10, 60)]

        in_a_loop(scenario)

    def test_one_whose_caller_went_away_before_it_began_is_left_out(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url, DATABASE_POOL_SIZE="1") as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    begun.set()
                    await may_end.wait()
                    await desk.add(book, title="held", price=1.0)

                async with asyncio.TaskGroup() as group:
                    group.create_task(database.write(Desk, hold))
                    await begun.wait()
                    waiting = group.create_task(database.write(Desk, add("never"), together=True))
                    group.create_task(database.write(Desk, add("after"), together=True))
                    await asyncio.sleep(0)
                    waiting.cancel()
                    may_end.set()
                return await titles(database)

        assert in_a_loop(scenario) == ["held", "after"]

    @pytest.mark.engines("postgresql", "mariadb")
    def test_one_that_takes_long_keeps_others_waiting_for_a_moment_only(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    begun.set()
                    await may_end.wait()
                    await desk.add(book, title="held", price=1.0)

                async with asyncio.TaskGroup() as group:
                    for _ in range(3):
                        group.create_task(database.write(Desk, hold, together=True))
                    await group.create_task(database.write(Desk, add("before"), together=True))
                    may_end.set()
                return await titles(database)

        assert in_a_loop(scenario) == ["before", "held", "held", "held"]

    @pytest.mark.engines("postgresql")
    def test_each_has_its_own_time_to_wait_for_a_connection(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url, DATABASE_POOL_SIZE="1") as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    begun.set()
                    await may_end.wait()

                async with asyncio.TaskGroup() as group:
                    group.create_task(database.write(Desk, hold))
                    await begun.wait()
                    early = group.create_task(told_to_come_back(database))
                    await asyncio.sleep(PATIENCE / 2)
                    late = group.create_task(database.write(Desk, add("late"), together=True))
                    await early
                    await asyncio.sleep(0.1)
                    assert not late.done()
                    may_end.set()
                return await titles(database)

        async def told_to_come_back(database: Database) -> None:
            with pytest.raises(errors.Busy):
                await database.write(Desk, add("early"), together=True)

        assert in_a_loop(scenario) == ["late"]

    def test_nothing_goes_on_after_the_end(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url):
                pass
            for _ in range(20):
                async with opened(database_url) as database:
                    tasks = [asyncio.create_task(database.write(Desk, add("x"), together=True)) for _ in range(3)]
                    for _ in range(random.randrange(20)):
                        await asyncio.sleep(0)
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
                assert asyncio.all_tasks() == {asyncio.current_task()}

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_all_are_told_that_there_is_no_connection(self, database_url: str) -> None:
        async def scenario() -> list[Any]:
            gone = make_url(database_url).set(database="never")
            async with opened(gone.render_as_string(hide_password=False)) as database:
                works = (database.write(Desk, add(f"{number}"), together=True) for number in range(20))
                return await asyncio.gather(*works, return_exceptions=True)

        assert [type(answer) for answer in in_a_loop(scenario)] == [errors.Gone] * 20


def note_and_add(title: str) -> Any:
    async def work(desk: Desk) -> int:
        desk.session.trail.note("noted", title)
        return await desk.add(book, title=title, price=1.0)

    return work


async def kept(database: Database) -> dict[int, str]:
    rows = await database.read(Desk, lambda desk: desk.look(sa.select(book.c.id, book.c.title)))
    return {row[0]: row[1] for row in rows}


SELECT_PENDING = sa.select(PENDING.c.actor, PENDING.c.record, PENDING.c.action).where(PENDING.c.action == "noted")


@pytest.mark.engines("sqlite")
class TestGroupCommit:
    def test_unit_that_fails_fails_alone(self, database_url: str) -> None:
        async def fail(desk: Desk) -> None:
            await desk.add(book, title="never", price=1.0)
            raise LookupError

        async def scenario() -> None:
            async with furnished(database_url) as database:
                await database.write(Desk, lambda desk: desk.add(shelf, label="taken"))
                works = [add(f"{number}") for number in range(100)]
                works[10], works[60] = fail, lambda desk: desk.add(shelf, label="taken")
                answers = await asyncio.gather(*(database.write(Desk, work) for work in works), return_exceptions=True)
                assert isinstance(answers[10], LookupError)
                assert isinstance(answers[60], errors.Conflict)
                assert await titles(database) == [f"{number}" for number in range(100) if number not in (10, 60)]

        in_a_loop(scenario)

    def test_nobody_is_answered_before_the_commit(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                file = sqlite3.connect(str(database.url.database))

                async def add_and_look(number: int) -> None:
                    await database.write(Desk, add(f"{number}"))
                    assert file.execute("SELECT count(*) FROM book WHERE title = ?", (f"{number}",)).fetchone() == (1,)

                await asyncio.gather(*(add_and_look(number) for number in range(300)))
                file.close()

        in_a_loop(scenario)

    def test_unit_that_takes_the_transaction_with_it_takes_nobody_elses_work(self, database_url: str) -> None:
        async def destroy(desk: Desk) -> None:
            await desk.session.held.execute("ROLLBACK")  # as SQLite itself does when its memory or disk runs out
            raise LookupError

        async def scenario() -> None:
            async with furnished(database_url) as database:
                works = [add(f"{number}") for number in range(50)]
                works[20] = destroy
                answers = await asyncio.gather(*(database.write(Desk, work) for work in works), return_exceptions=True)
                assert [place for place, answer in enumerate(answers) if isinstance(answer, Exception)] == [20]
                assert sorted(map(int, await titles(database))) == [number for number in range(50) if number != 20]

        in_a_loop(scenario)

    def test_unit_that_goes_on_after_it_took_the_transaction_with_it_fails_alone(self, database_url: str) -> None:
        async def destroy(desk: Desk) -> None:
            await desk.session.held.execute("ROLLBACK")

        async def scenario() -> None:
            async with furnished(database_url) as database:
                works = [add(f"{number}") for number in range(10)]
                works[5] = destroy
                answers = await asyncio.gather(*(database.write(Desk, work) for work in works), return_exceptions=True)
                assert [place for place, answer in enumerate(answers) if isinstance(answer, Exception)] == [5]
                assert isinstance(answers[5], RuntimeError)
                assert sorted(map(int, await titles(database))) == [number for number in range(10) if number != 5]

        in_a_loop(scenario)

    def test_unit_that_failed_for_what_was_not_kept_is_told_what_the_others_are_told(self, database_url: str) -> None:
        async def find(desk: Desk) -> None:
            if not await desk.look(sa.select(book.c.id)):
                raise LookupError

        async def spoil_the_commit(desk: Desk) -> None:
            await desk.session.held.execute("PRAGMA defer_foreign_keys = ON")
            await desk.add(book, title="never", price=1.0, shelf_id=999)

        async def scenario() -> None:
            async with furnished(database_url) as database:
                await database.write(Desk, add("there"))
                works = [lambda desk: desk.change(sa.delete(book)), find, spoil_the_commit]
                answers = await asyncio.gather(*(database.write(Desk, work) for work in works), return_exceptions=True)
                assert [type(answer) for answer in answers] == [errors.Conflict] * 3
                assert await titles(database) == ["there"]

        in_a_loop(scenario)

    def test_unit_whose_caller_went_away_before_it_began_is_left_out(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url) as database:
                begun, may_end = asyncio.Event(), asyncio.Event()

                async def hold(desk: Desk) -> None:
                    begun.set()
                    await may_end.wait()
                    await desk.add(book, title="held", price=1.0)

                holding = asyncio.create_task(database.write(Desk, hold))
                await begun.wait()
                waiting = asyncio.create_task(database.write(Desk, add("never")))
                await asyncio.sleep(0)
                waiting.cancel()
                holding.cancel()
                may_end.set()
                await database.write(Desk, add("after"))
                return await titles(database)

        assert in_a_loop(scenario) == ["held", "after"]

    def test_other_processes_write_too(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database, opened(database_url) as other:
                await asyncio.gather(
                    *(each.write(Desk, add(f"{number}")) for number in range(200) for each in (database, other))
                )
                assert Counter(await titles(database)) == dict.fromkeys((f"{number}" for number in range(200)), 2)

        in_a_loop(scenario)

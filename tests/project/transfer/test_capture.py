"""Tables log their changes while the service goes on, and refuse them once the database has been left."""

import asyncio
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from advanced_alchemy.types import GUID
from sqlalchemy.engine import make_url

from project.database import links, migrations
from project.database.errors import Busy, Conflict, Denied, Moved
from project.database.links import Link
from project.database.metadata import NAMES_OF_CONSTRAINTS
from project.database.statements import Row, Statement
from project.database.switching import COORDINATOR_SILENCE, LOG, REFUSAL
from project.database.trails import PENDING
from project.database.types import Text, Timestamp
from project.transfer import capture, gates
from project.transfer.protocol import Gate, Phase, Replaced
from tests.schemas import in_file, schema
from tests.servers import MariaDB, PostgreSQL, Server, in_a_loop
from tests.units import opened

TURN = 1
SECONDS = 20.0
"""That something may take which is not in anybody's way."""
LOGGING = Gate(Phase.CAPTURING, TURN, "a switch", "the other database")
LEFT = msgspec.structs.replace(LOGGING, phase=Phase.MOVED)

metadata = sa.MetaData(naming_convention=NAMES_OF_CONSTRAINTS)


def number() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(), primary_key=True)


def reference(name: str, target: str, **options: Any) -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column(name, kind, sa.ForeignKey(target, **options), index=True)


college = sa.Table("college", metadata, number(), sa.Column("name", Text(50), unique=True))
course = sa.Table("course", metadata, number(), reference("college_id", "college.id", ondelete="CASCADE"))
seat = sa.Table(
    "seat",
    metadata,
    reference("course_id", "course.id", ondelete="CASCADE", onupdate="CASCADE"),
    sa.Column("place", Text(20)),
    sa.PrimaryKeyConstraint("course_id", "place"),
)
mentor = sa.Table(
    "mentor",
    metadata,
    number(),
    reference("boss_id", "mentor.id", ondelete="CASCADE"),
    reference("college_id", "college.id", ondelete="SET NULL"),
)
stamp = sa.Table(
    "stamp",
    metadata,
    sa.Column("kind", Text(60), primary_key=True),
    sa.Column("at", Timestamp(), primary_key=True),
    sa.Column("guid", GUID(), primary_key=True),
    sa.Column("day", sa.Date(), primary_key=True),
    sa.Column("is_last", sa.Boolean(), primary_key=True),
    sa.Column("note", Text(60)),
)
tables = metadata.sorted_tables

WAITS_FOR_A_LOCK = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = to_regclass('college')"

Entries = list[tuple[str, tuple[Any, ...]]]


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[Link]:
    async with opened(url) as database:
        backend = database.dialect.create_backend(database.url, 2, 10.0)
        try:
            async with links.link(database.dialect, backend) as link:
                yield link
        finally:
            await backend.close()


@asynccontextmanager
async def migrated(url: str) -> AsyncIterator[Link]:
    """A link to the database with the tables of this module, which nothing guards, and with nothing in them."""
    async with opened(url) as database:
        async with database.connect() as connection:
            await connection.run_sync(metadata.drop_all)
        await migrations.migrate(database)
        async with database.connect() as connection:
            await connection.run_sync(metadata.create_all)
    async with linked(url) as link:
        async with gates.locked(link) as locked:
            await locked.put(LOGGING)
        await capture.remove(link, tables, TURN)
        yield link


@asynccontextmanager
async def logging(url: str) -> AsyncIterator[Link]:
    async with migrated(url) as link:
        await capture.install(link, tables, TURN)
        yield link


async def leave(link: Link, to: Gate = LEFT) -> None:
    async with gates.locked(link) as locked:
        await link.switching.hold_writes(locked.session, tables, 1.0)
        await link.switching.fence(locked.session, tables)
        await locked.put(to)


async def change_of_mind(link: Link) -> None:
    async with gates.locked(link) as locked:
        await link.switching.hold_writes(locked.session, tables, 1.0)
        await link.switching.fence(locked.session, tables)
        await locked.put(LEFT)
        raise LookupError


async def put(link: Link, table: sa.Table, **values: Any) -> None:
    async with link.alone() as session:
        await session.run(Statement(sa.insert(table).values(bound(table, values))), **values)


async def run(link: Link, clause: Any) -> None:
    async with link.alone() as session:
        await session.run(Statement(clause))


async def look(link: Link, clause: Any) -> list[Row]:
    async with link.alone() as session:
        return await session.rows(Statement(clause))


def bound(table: sa.Table, values: dict[str, Any]) -> dict[str, Any]:
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in values}


async def log(link: Link) -> Entries:
    """What it says, in no order, and no more than once."""
    keys = {table.name: capture.key_of(table, link.session.held.alchemy.dialect) for table in tables}
    rows = await look(link, sa.select(sa.column("tbl"), sa.column("pk")).select_from(sa.table(LOG)))
    await run(link, sa.delete(sa.table(LOG)))
    return sorted({(name, keys[name](key)) for name, key in rows}, key=repr)


async def twice(link: Link, statement: Statement) -> None:
    async with link.transaction() as session:
        await session.run(statement)
        await session.run(statement)


class TestLog:
    def test_has_exactly_what_was_written(self, database_url: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link:
                await put(link, college, id=1, name="Science")
                assert await log(link) == [("college", (1,))]
                await run(link, sa.update(college).values(name="Arts"))
                assert await log(link) == [("college", (1,))]
                await run(link, sa.update(college).values(id=7))
                assert await log(link) == [("college", (1,)), ("college", (7,))]
                await run(link, sa.update(college).where(college.c.id == 9).values(name="None"))
                assert await log(link) == []
                await run(link, sa.delete(college))
                assert await log(link) == [("college", (7,))]

        in_a_loop(scenario)

    def test_counts_a_change_once(self, database_url: str) -> None:
        async def scenario() -> list[Row]:
            async with logging(database_url) as link:
                await put(link, college, id=1, name="Science")
                await run(link, sa.delete(sa.table(LOG)))
                await run(link, sa.update(college).values(name="Arts"))
                return await look(link, sa.select(sa.func.count()).select_from(sa.table(LOG)))

        assert in_a_loop(scenario)[0][0] == 1

    def test_has_nothing_of_what_was_rolled_back(self, database_url: str) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                with pytest.raises(Conflict):
                    await twice(link, Statement(sa.insert(college).values(id=1)))
                return await log(link)

        assert in_a_loop(scenario) == []

    def test_has_keys_of_every_type(self, database_url: str) -> None:
        moment = dt.datetime(2026, 11, 22, 15, 30, 1, 234567, tzinfo=dt.UTC)
        kinds = ["", "plain", '"quoted\\\'"', "tab\tline\nbell\x07", "é\u2028 😀", "[1, null]"]
        rows = [(kind, moment, uuid.uuid4(), dt.date(2026, 1, 31), kind == "") for kind in kinds]
        names = [column.key for column in stamp.primary_key]

        async def scenario() -> Entries:
            async with logging(database_url) as link:
                for row in rows:
                    await put(link, stamp, **dict(zip(names, row, strict=True)))
                return await log(link)

        assert in_a_loop(scenario) == sorted((("stamp", row) for row in rows), key=repr)

    def test_has_what_foreign_keys_changed(self, database_url: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link:
                await put(link, college, id=1)
                for row in (1, 2):
                    await put(link, course, id=row, college_id=1)
                    await put(link, seat, course_id=row, place="window")
                await put(link, mentor, id=1, college_id=1)
                await put(link, mentor, id=2, boss_id=1)
                await put(link, mentor, id=3, boss_id=2)
                await log(link)
                await run(link, sa.update(course).where(course.c.id == 2).values(id=9))
                assert await log(link) == [
                    ("course", (2,)), ("course", (9,)), ("seat", (2, "window")), ("seat", (9, "window"))
                ]  # fmt: skip
                await run(link, sa.delete(college))
                assert await log(link) == [
                    ("college", (1,)),
                    *(("course", (row,)) for row in (1, 9)),
                    ("mentor", (1,)),
                    *(("seat", (row, "window")) for row in (1, 9)),
                ]
                await run(link, sa.delete(mentor).where(mentor.c.id == 1))
                assert await log(link) == [("mentor", (row,)) for row in (1, 2, 3)]
                assert await look(link, sa.select(mentor)) == []

        in_a_loop(scenario)

    @pytest.mark.engines("sqlite", "mariadb")
    def test_has_what_replace_replaced(self, database_url: str, request: pytest.FixtureRequest) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                await put(link, college, id=1, name="Science")
                await log(link)
                raw(database_url, request, "REPLACE INTO college (id, name) VALUES (2, 'Science')")
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,)), ("college", (2,))]

    @pytest.mark.engines("postgresql")
    def test_would_not_have_a_truncation_which_is_refused(
        self, database_url: str, request: pytest.FixtureRequest
    ) -> None:
        async def scenario() -> None:
            async with logging(database_url):
                with pytest.raises(Exception, match="use DELETE"):
                    raw(database_url, request, "TRUNCATE seat")

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql")
    def test_is_written_by_who_may_not_write_to_it(self, database_url: str, postgresql: PostgreSQL) -> None:
        name = str(make_url(database_url).database)

        async def scenario() -> Entries:
            async with logging(database_url) as link:
                postgresql.script("CREATE ROLE visitor; GRANT INSERT ON college TO visitor", name)
                try:
                    postgresql.script("SET ROLE visitor; INSERT INTO college (id) VALUES (1)", name)
                finally:
                    postgresql.script("DROP OWNED BY visitor; DROP ROLE visitor", name)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,))]


class TestInstall:
    @pytest.mark.engines("postgresql", "mariadb")
    def test_waits_out_writers_without_holding_up_others(self, database_url: str) -> None:
        """Each time it has given way, somebody else has written."""

        async def scenario() -> Entries:
            async with migrated(database_url) as link, linked(database_url) as early, linked(database_url) as other:
                tries = 0

                async def pause(seconds: float) -> None:
                    nonlocal tries
                    tries += 1
                    await put(other, college, id=tries)
                    if tries == 3:
                        await early.session.held.commit()

                await early.session.held.begin()
                await early.session.run(Statement(sa.insert(college).values(id=100)))
                await capture.install(link, tables, TURN, pause)
                assert tries == 3
                await put(other, college, id=4)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (4,))]

    def test_may_be_repeated(self, database_url: str) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                await put(link, college, id=1)
                await capture.install(link, tables, TURN)
                await put(link, college, id=2)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,)), ("college", (2,))]

    def test_changes_nothing_for_who_was_replaced(self, database_url: str) -> None:
        async def scenario() -> set[tuple[str, ...]]:
            async with migrated(database_url) as link:
                before = schema(database_url)
                with pytest.raises(Replaced):
                    await capture.install(link, tables, TURN - 1)
                return before

        assert in_a_loop(scenario) == schema(database_url)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_lacking_the_right_is_a_sentence(
        self, engine: str, database_url: str, request: pytest.FixtureRequest
    ) -> None:
        server: Server = request.getfixturevalue(engine)
        url = make_url(database_url)

        async def scenario() -> None:
            async with migrated(database_url), clerk(server, str(url.database)) as name:
                mine = url.set(username=name, password="secret").render_as_string(hide_password=False)
                async with linked(mine) as link:
                    with pytest.raises(Denied, match="triggers on the table college"):
                        await capture.install(link, tables, TURN)
                    await put(link, college, id=1)

        in_a_loop(scenario)


@asynccontextmanager
async def clerk(server: Server, database: str) -> AsyncIterator[str]:
    """A user of the server who may write rows and nothing else."""
    name = f"clerk_{uuid.uuid4().hex[:8]}"
    if isinstance(server, MariaDB):
        server.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'")
        server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO {name}@'%'")
        yield name
        server.execute(f"DROP USER {name}@'%'")
        return
    server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    server.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}", database)
    yield name
    server.execute(f"DROP OWNED BY {name}", database)
    server.execute(f"DROP ROLE {name}")


class TestRemove:
    def test_leaves_no_trace(self, database_url: str) -> None:
        async def scenario() -> set[tuple[str, ...]]:
            async with migrated(database_url) as link:
                before = schema(database_url)
                await capture.install(link, tables, TURN)
                await put(link, college, id=1)
                assert schema(database_url) != before
                await capture.remove(link, tables, TURN)
                await put(link, college, id=2)
                assert await log(link) == []
                return before

        assert in_a_loop(scenario) == schema(database_url)

    def test_ends_what_was_begun(self, database_url: str) -> None:
        async def scenario() -> set[tuple[str, ...]]:
            async with migrated(database_url) as link:
                before = schema(database_url)
                await capture.install(link, tables[:2], TURN)
                await capture.remove(link, tables, TURN)
                return before

        assert in_a_loop(scenario) == schema(database_url)

    def test_changes_nothing_for_who_was_replaced(self, database_url: str) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                with pytest.raises(Replaced):
                    await capture.remove(link, tables, TURN - 1)
                await put(link, college, id=1)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,))]


def raw(url: str, request: pytest.FixtureRequest, sql: str) -> list[tuple[Any, ...]]:
    """Run by the server's administrator, or by whoever opens the file."""
    where = make_url(url)
    if where.drivername.startswith("sqlite"):
        return in_file(url, sql)
    server: Server = request.getfixturevalue("postgresql" if where.drivername.startswith("postgresql") else "mariadb")
    return server.execute(sql, where.database)


async def before_it_runs_a_statement(driver: Any) -> None:
    await driver.execute("INSERT INTO college (id) VALUES (1)")
    await driver.prepare("SELECT 1")
    await asyncio.Event().wait()


async def before_the_next_row(driver: Any) -> None:
    async def rows() -> AsyncIterator[Row]:
        yield (1,)
        await asyncio.Event().wait()

    await driver.copy_records_to_table("college", records=rows(), columns=["id"])


async def locked_once(link: Link) -> None:
    while True:
        with suppress(Busy):
            async with gates.locked(link, 0.2):
                return
        await asyncio.sleep(0.1)


class TestFence:
    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO college (id, name) VALUES (5, 'New')",
            "UPDATE college SET name = 'Changed'",
            "DELETE FROM college",
            "DELETE FROM mentor",
        ],
    )
    def test_refuses_everybody(self, database_url: str, request: pytest.FixtureRequest, sql: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link:
                await put(link, college, id=1, name="Science")
                await put(link, mentor, id=1, college_id=1)
                await log(link)
                await leave(link)
                with pytest.raises(Exception, match="takes no writes now"):
                    raw(database_url, request, sql)
                assert await log(link) == []
                assert await look(link, sa.select(college)) == [(1, "Science")]
                assert len(await look(link, sa.select(mentor))) == 1

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql")
    @pytest.mark.parametrize(
        "sql",
        [
            "SET session_replication_role = replica; INSERT INTO college (id) VALUES (5)",
            "TRUNCATE college CASCADE",
            "INSERT INTO college (id) VALUES (1) ON CONFLICT DO NOTHING",
            "WITH new AS (INSERT INTO college (id) VALUES (5) RETURNING id) SELECT * FROM new",
        ],
    )
    def test_refuses_a_superuser(self, database_url: str, postgresql: PostgreSQL, sql: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link:
                await leave(link)
                with pytest.raises(Exception, match="takes no writes now"):
                    postgresql.script(sql, str(make_url(database_url).database))

        in_a_loop(scenario)

    @pytest.mark.engines("sqlite", "mariadb")
    def test_refuses_what_would_replace(self, database_url: str, request: pytest.FixtureRequest) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link:
                await put(link, college, id=1, name="Science")
                await leave(link)
                with pytest.raises(Exception, match="takes no writes now"):
                    raw(database_url, request, "REPLACE INTO college (id, name) VALUES (1, 'Arts')")

        in_a_loop(scenario)

    def test_is_an_error_of_its_own(self, database_url: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link, linked(database_url) as other:
                await leave(link)
                with pytest.raises(Moved, match=REFUSAL):
                    await put(other, college, id=1)

        in_a_loop(scenario)

    def test_waits_for_writers_in_flight_and_then_lets_them_be(self, database_url: str) -> None:
        async def scenario() -> list[Row]:
            async with logging(database_url) as link, linked(database_url) as writer:
                await writer.session.held.begin()
                await writer.session.run(Statement(sa.insert(college).values(id=1)))
                with pytest.raises(Busy):
                    async with gates.locked(link, 0.2) as locked:
                        await link.switching.hold_writes(locked.session, tables, 0.2)
                await writer.session.run(Statement(sa.insert(college).values(id=2)))
                await writer.session.held.commit()
                await leave(link)
                return await look(link, sa.select(college.c.id).order_by(college.c.id))

        assert in_a_loop(scenario) == [(1,), (2,)]

    @pytest.mark.engines("postgresql")
    def test_waits_for_a_vacuum_before_writers_have_to_wait(self, database_url: str) -> None:
        async def scenario() -> None:
            async with (
                logging(database_url) as link,
                linked(database_url) as vacuum,
                linked(database_url) as writer,
            ):
                await vacuum.session.held.begin()
                await vacuum.session.held.execute("LOCK TABLE college IN SHARE UPDATE EXCLUSIVE MODE")
                settling = asyncio.create_task(capture.settle(link, tables))
                while not await writer.session.held.fetch(WAITS_FOR_A_LOCK, ()):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await put(writer, college, id=1)
                assert not settling.done()
                await vacuum.session.held.rollback()
                await settling

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql")
    @pytest.mark.parametrize("hang", [before_it_runs_a_statement, before_the_next_row])
    def test_ends_who_hangs_in_the_middle_of_a_request(
        self, hang: Callable[[Any], Awaitable[None]], database_url: str
    ) -> None:
        async def scenario() -> list[Row]:
            async with logging(database_url) as link, linked(database_url) as other:
                await other.switching.lock_gate(other.session, 1.0)
                alchemy = other.session.held.alchemy
                hanging = asyncio.ensure_future(hang((await alchemy.get_raw_connection()).driver_connection))
                try:
                    async with asyncio.timeout(30):
                        await locked_once(link)
                finally:
                    hanging.cancel()
                    await asyncio.wait({hanging})
                return await look(link, sa.select(college.c.id))

        assert in_a_loop(scenario) == []

    @pytest.mark.engines("postgresql")
    def test_leaves_a_coordinator_alone_that_is_at_work(self, database_url: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link, linked(database_url) as other, gates.locked(other):
                working = asyncio.create_task(other.session.held.execute(f"SELECT pg_sleep({COORDINATOR_SILENCE + 1})"))
                await asyncio.sleep(COORDINATOR_SILENCE + 0.5)
                with pytest.raises(Busy):
                    async with gates.locked(link, 0.2):
                        pass
                await working

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_holds_writes_back_while_reads_go_on(self, database_url: str) -> None:
        async def scenario() -> None:
            async with logging(database_url) as link, linked(database_url) as writer, linked(database_url) as reader:
                async with gates.locked(link) as locked:
                    await link.switching.hold_writes(locked.session, tables, 1.0)
                    writing = asyncio.create_task(put(writer, college, id=1))
                    assert await look(reader, sa.select(college)) == []
                    assert not writing.done()
                    await link.switching.fence(locked.session, tables)
                    await locked.put(LEFT)
                with pytest.raises(Moved):
                    await writing

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql")
    def test_locks_what_writers_take_last_last(self, database_url: str) -> None:
        """The trail, which every unit of work leaves in the end."""
        trail = PENDING.name

        async def scenario() -> None:
            async with logging(database_url) as link, linked(database_url) as writer:
                await writer.session.held.begin()
                await writer.session.run(Statement(sa.insert(college).values(id=1)))
                async with gates.locked(link) as locked:
                    holding = asyncio.create_task(
                        link.switching.hold_writes(locked.session, [PENDING, *tables], SECONDS)
                    )
                    while not await writer.session.held.fetch(WAITS_FOR_A_LOCK, ()):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)
                    async with asyncio.timeout(SECONDS / 2):
                        await writer.session.held.execute(f"LOCK TABLE {trail} IN ROW EXCLUSIVE MODE")
                        await writer.session.held.commit()
                        await holding

        in_a_loop(scenario)

    def test_that_is_not_committed_lets_writes_through(self, database_url: str) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                with pytest.raises(LookupError):
                    await change_of_mind(link)
                await put(link, college, id=1)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,))]

    def test_can_be_opened_again(self, database_url: str) -> None:
        async def scenario() -> Entries:
            async with logging(database_url) as link:
                await leave(link)
                async with gates.locked(link) as locked:
                    await link.switching.unfence(locked.session, tables)
                    await locked.put(msgspec.structs.replace(LOGGING, phase=Phase.RETAINING))
                await put(link, college, id=1)
                return await log(link)

        assert in_a_loop(scenario) == [("college", (1,))]


async def fill(link: Link, rows: dict[sa.Table, Sequence[Row]]) -> None:
    async with gates.locked(link, turn=TURN) as locked:
        await link.switching.begin_fill(locked.session)
        for table, given in rows.items():
            await locked.session.run(Statement(sa.delete(table)))
            await link.switching.bulk_insert(locked.session, table, list(table.columns), given)
        await link.switching.end_fill(locked.session)


class TestFill:
    def test_passes_the_fence_and_the_log(self, database_url: str) -> None:
        moment = dt.datetime(2026, 11, 22, 15, 30, tzinfo=dt.UTC)
        given: list[Row] = [("a", moment, uuid.uuid4(), dt.date(2026, 1, 31), True, None)]

        async def scenario() -> None:
            async with logging(database_url) as link, linked(database_url) as other:
                await put(link, college, id=1, name="Science")
                await leave(link, msgspec.structs.replace(LOGGING, phase=Phase.FILLING))
                await log(link)
                await fill(link, {college: [(2, "Arts"), (3, None)], stamp: given})
                assert await log(link) == []
                assert await look(other, sa.select(college).order_by(college.c.id)) == [(2, "Arts"), (3, None)]
                assert [tuple(row) for row in await look(other, sa.select(stamp))] == given
                with pytest.raises(Moved):
                    await put(other, college, id=4)

        in_a_loop(scenario)

    def test_puts_children_before_parents(self, database_url: str) -> None:
        """Foreign keys hold for everybody else, and in the end are what they were."""

        async def scenario() -> set[tuple[str, ...]]:
            async with migrated(database_url) as link, linked(database_url) as other:
                before = schema(database_url)
                await link.switching.ignore_foreign_keys(link.session)
                async with gates.locked(link, turn=TURN) as locked:
                    await link.switching.loosen(locked.session, tables)
                await fill(link, {mentor: [(1, 2, 1), (2, None, 1)], course: [(1, 1)], college: [(1, "Science")]})
                async with gates.locked(link, turn=TURN) as locked:
                    await link.switching.tighten(locked.session, tables)
                with pytest.raises(Conflict):
                    await put(other, course, id=5, college_id=5)
                async with link.alone() as session:
                    await link.switching.validate(session, tables)
                return before

        assert in_a_loop(scenario) == schema(database_url)


class TestSequences:
    def test_go_on_where_the_others_were(self, database_url: str) -> None:
        async def scenario() -> None:
            async with migrated(database_url) as link:
                counted = [college, stamp]
                assert await sequences(link, counted) == {"college": 0}
                assert await inserted(link) == 1
                assert await inserted(link) == 2
                await run(link, sa.delete(college))
                assert await sequences(link, counted) == {"college": 2}
                await raised(link, counted, {"college": 41})
                assert await sequences(link, counted) == {"college": 41}
                await raised(link, counted, {"college": 7})
                assert await inserted(link) == 42

        in_a_loop(scenario)


async def sequences(link: Link, tables: Sequence[sa.Table]) -> dict[str, int]:
    async with link.alone() as session:
        return await link.switching.read_sequences(session, tables)


async def raised(link: Link, tables: Sequence[sa.Table], highest: dict[str, int]) -> None:
    async with link.alone() as session:
        await link.switching.raise_sequences(session, tables, highest)


async def inserted(link: Link) -> int:
    async with link.transaction() as session:
        return await session.insert(Statement(sa.insert(college).values(bound(college, {"name": None}))), name=None)

"""`manage.py switchdb`."""

import re
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from sqlalchemy import make_url

from project import registry
from project.database.errors import DatabaseError
from project.settings import load
from project.transfer import copying, pages
from tests.commands import manage, managed, report
from tests.coordinators import Coordinator, coordinating
from tests.processes import ROOT, until
from tests.rosters import as_csv, students
from tests.schemas import schema
from tests.servers import MariaDB, PostgreSQL, in_a_loop
from tests.terminals import terminal
from tests.units import Desk, opened

NewDatabase = Callable[[str], str]

ROWS = 40
LONG = 5_000_000
"""Bytes of an answer that is kept: more than is read at once."""


class Pair:
    """A service's database, with rows, and an empty one that it may move to as `other`."""

    def __init__(self, source: str, target: str, folder: Path) -> None:
        self.source = source
        self.target = target
        self.settings = {"DATABASE_URL": source, "DATABASE_URL_OTHER": target, "LOG_LEVEL": "ERROR"}
        self._folder = folder
        managed(source, "migrate")
        self.add(ROWS)

    def switchdb(self, *arguments: str, **settings: str) -> Result:
        return manage(self.source, "switchdb", *arguments, **{**self.settings, **settings})

    def moved(self, *arguments: str) -> Any:
        """The report of what must come about."""
        result = self.switchdb(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return report(result)

    def refusal(self, *arguments: str, **settings: str) -> str:
        """Why it does nothing. The source is as it was, down to its triggers, and takes writes."""
        before = schema(self.source), dump(self.source)
        result = self.switchdb(*arguments, **settings)
        assert result.exit_code == 1, result.output
        assert (schema(self.source), dump(self.source)) == before
        self.add(1)
        return result.stderr.splitlines()[-1].removeprefix("Error: ")

    def add(self, count: int) -> None:
        """Rows, to the database that the service uses."""
        file = self._folder / "rows.csv"
        file.write_bytes(as_csv(students(count)))
        managed(self.source, "loaddata", str(file), **self.settings)

    def dumped(self) -> str:
        """From the database that the service uses."""
        return managed(self.source, "dumpdata", **self.settings)


@pytest.fixture
def pair(new_database: NewDatabase, tmp_path: Path) -> Callable[[str, str], Pair]:
    return lambda source, target: Pair(new_database(source), new_database(target), tmp_path)


def look(url: str, sql: str) -> list[tuple[Any, ...]]:
    """In that very database, whatever it says of another."""

    async def scenario() -> list[tuple[Any, ...]]:
        async with opened(url) as database:
            rows = await database.read(Desk, lambda desk: desk.look(sa.text(sql)))
            return [tuple(row) for row in rows]

    return in_a_loop(scenario)


def change(url: str, *statements: str) -> None:
    """In that very database, by its own client."""

    async def scenario() -> None:
        async with opened(url) as database, database.connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)

    in_a_loop(scenario)


def dump(url: str) -> list[tuple[Any, ...]]:
    """The students in that very database."""
    return look(url, "SELECT id, name, department, cgpa, created_at FROM students ORDER BY id")


def phase(url: str) -> str:
    return str(look(url, "SELECT phase FROM _gate")[0][0])


def moved_to(told: Any) -> dict[str, int]:
    """The rows of each table that a report has."""
    return {each["name"]: each["rows"] for each in told["tables"]}


DIRECTIONS = [
    ("sqlite", "postgresql"),
    ("postgresql", "mariadb"),
    ("mariadb", "sqlite"),
    ("sqlite", "mariadb"),
    ("mariadb", "postgresql"),
    ("postgresql", "sqlite"),
]
INSERT = (
    "INSERT INTO students (name, department, cgpa, name_folded, created_at, updated_at) "
    "SELECT name, department, cgpa, name_folded, created_at, updated_at FROM students WHERE id = 1"
)


class TestSwitch:
    @pytest.mark.parametrize(("source", "target"), DIRECTIONS)
    def test_moves_every_row_and_comes_back_with_what_has_changed(
        self, pair: Callable[[str, str], Pair], source: str, target: str
    ) -> None:
        both = pair(source, target)
        keep_an_answer(both.source)
        change(both.source, f"DELETE FROM students WHERE id >= {ROWS - 1}")
        before, answers = both.dumped(), look(both.source, "SELECT * FROM idempotency_keys")

        told = both.moved("other")
        assert both.dumped() == before
        assert look(both.target, "SELECT scope, body FROM idempotency_keys") == [(row[0], row[5]) for row in answers]
        assert list(told) == [
            "switch_id", "state", "from", "to", "tables", "rows", "seconds", "pause_ms", "findings",
        ]  # fmt: skip
        assert told["state"] == "done"
        assert (told["from"]["alias"], told["to"]["alias"]) == ("default", "other")
        moved = moved_to(told)
        assert (moved["idempotency_keys"], moved["students"]) == (1, ROWS - 2)
        assert set(moved) == {table.name for table in registry.tables(load({}).installed_apps)}
        assert told["rows"] == sum(moved.values()) > ROWS - 1
        assert told["pause_ms"] > 0
        assert told["findings"] == []
        assert told["switch_id"] == look(both.source, "SELECT switch FROM _gate")[0][0]
        assert told["switch_id"] == look(both.target, "SELECT switch FROM _gate")[0][0]

        with pytest.raises(DatabaseError):
            change(both.source, INSERT)
        change(both.target, INSERT)
        assert max(row[0] for row in dump(both.target)) > ROWS  # as ids are not given out twice
        change(both.target, "UPDATE students SET cgpa = 1 WHERE id = 2", "DELETE FROM students WHERE id = 3")
        after = both.dumped()

        back = both.moved("--back")
        assert both.dumped() == after
        assert back["rows"] == 3
        assert moved_to(back)["students"] == ROWS - 2
        assert [phase(both.source), phase(both.target)] == ["retaining", "moved"]
        with pytest.raises(DatabaseError):
            change(both.target, INSERT)

    def test_returns_where_the_target_is_named_that_was_left_last(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        both.moved("other")
        change(both.target, INSERT)
        assert both.moved("default", "--plan")["rows"] == 1
        assert both.moved("default")["rows"] == 1
        assert both.moved("other")["rows"] == 0

    def test_tells_people_what_it_came_to(self, pair: Callable[[str, str], Pair]) -> None:
        result = pair("sqlite", "sqlite").switchdb("other")
        assert result.exit_code == 0
        assert f"students\t{ROWS}\t" in result.stdout
        assert re.search(r"^\d+ rows went from default \(SQLite\) to other \(SQLite\)", result.stdout, re.MULTILINE)
        assert result.stderr.splitlines()[0] == "step=TAKE"
        assert result.stderr.splitlines()[-1] == "step=OPEN"

    def test_tells_people_when_nothing_moves(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        both.moved("other")
        result = both.switchdb("--resume")
        assert result.exit_code == 0
        assert result.stdout == "The service has moved to other already: nothing is left to resume.\n"
        result = both.switchdb("--complete")
        assert result.exit_code == 0
        assert result.stdout == "The way back is given up: other logs no more for it.\n"

    def test_shows_who_watches_how_far_it_has_come(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        with terminal(
            [sys.executable, "manage.py", "switchdb", "other"], ROOT, both.settings | {"TERM": "xterm"}
        ) as shown:
            told = shown.rest()
        assert "Verifying" in told
        assert "rows went from default (SQLite) to other (SQLite)" in told
        assert "step=" not in told

    def test_says_what_it_waits_for(self, tmp_path: Path, new_database: NewDatabase) -> None:
        source = f"sqlite:///{tmp_path}/source.sqlite3"
        managed(source, "migrate")
        settings = {"DATABASE_URL": source, "DATABASE_URL_OTHER": new_database("sqlite")}
        with closing(sqlite3.connect(tmp_path / "source.sqlite3", isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")
            with coordinating(settings, "other") as coordinator:
                until(lambda: "Waiting for a write that is under way" in coordinator.told, "what it waits for")
                busy.execute("COMMIT")
                assert coordinator.wait() == 0, coordinator.told

    def test_moves_a_service_without_rows(self, new_database: NewDatabase) -> None:
        source, target = new_database("sqlite"), new_database("sqlite")
        managed(source, "migrate")
        managed(source, "switchdb", "other", DATABASE_URL_OTHER=target)
        assert [phase(source), phase(target)] == ["moved", "retaining"]


def keep_an_answer(url: str) -> None:
    async def scenario() -> None:
        async with opened(url) as database:
            values = {
                "scope": "POST /students", "key": "some", "fingerprint": "f", "status": 201, "headers": "{}",
                "body": b"\0\xff" * (LONG // 2), "created_at": "2026-01-31 09:30:00",
            }  # fmt: skip
            columns = ", ".join(f'"{name}"' if database.dialect.name != "mysql" else f"`{name}`" for name in values)
            markers = ", ".join(f":{name}" for name in values)
            if database.dialect.name == "sqlite":
                values["created_at"] = "2026-01-31T09:30:00.000000Z"
            if database.dialect.name == "postgresql":
                markers = markers.replace(":created_at", "'2026-01-31 09:30:00Z'")
                del values["created_at"]
            await database.write(
                Desk,
                lambda desk: desk.change(
                    sa.text(f"INSERT INTO idempotency_keys ({columns}) VALUES ({markers})"), **values
                ),
            )

    in_a_loop(scenario)


class TestRefusal:
    def test_of_a_target_that_is_not_empty(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        managed(both.target, "migrate")
        change(both.target, "INSERT INTO students VALUES (1, 'A', 'B', 1, 'a', '2026-01-31', '2026-01-31')")
        assert both.refusal("other").startswith("The database other is not empty: table students has rows.")

    def test_of_a_target_that_a_newer_version_made(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        managed(both.target, "migrate")
        change(both.target, "UPDATE alembic_version SET version_num = '9999_later'")
        assert "a newer version of the service made it" in both.refusal("other")

    def test_of_a_target_whose_tables_are_somebody_elses(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        change(both.target, "CREATE TABLE students (id INTEGER PRIMARY KEY, name TEXT)")
        assert "tables that no migration made: students (id, name)" in both.refusal("other")

    @pytest.mark.parametrize(("of", "alias"), [("source", "default"), ("target", "other")])
    def test_of_tables_that_were_changed_by_hand(self, pair: Callable[[str, str], Pair], of: str, alias: str) -> None:
        both = pair("sqlite", "sqlite")
        managed(both.target, "migrate")
        change(getattr(both, of), "ALTER TABLE students ADD COLUMN notes TEXT")
        told = both.refusal("other")
        assert told.startswith(f"The tables of {alias} are not what the migrations made, it would take: ")
        assert "remove column students.notes" in told

    def test_of_the_database_that_the_service_uses(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        assert both.refusal("default") == "The service uses default already."
        assert both.refusal("other", DATABASE_URL_OTHER=both.source) == "The service uses other already."

    @pytest.mark.parametrize("arguments", [(), ("--plan",)])
    def test_of_a_third_one_while_the_way_back_is_open(
        self, pair: Callable[[str, str], Pair], new_database: NewDatabase, arguments: tuple[str, ...]
    ) -> None:
        both = pair("sqlite", "sqlite")
        both.moved("other")
        result = both.switchdb("third", *arguments, DATABASE_URL_THIRD=new_database("sqlite"))
        assert result.exit_code == 1
        assert "The way back of the last switch is still open" in result.stderr

    def test_of_a_copy_of_its_file(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        change(both.source, "DELETE FROM students")
        change(both.source, "PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(str(make_url(both.source).database), str(make_url(both.target).database))
        assert "is the same database as default, or a copy of its file" in both.refusal("other")

    def test_of_a_target_that_cannot_be_reached(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
        assert "cannot be reached" in both.refusal("other", DATABASE_URL_OTHER=nowhere)

    def test_where_the_user_may_not_create_triggers(
        self, pair: Callable[[str, str], Pair], postgresql: PostgreSQL
    ) -> None:
        both = pair("postgresql", "sqlite")
        url = make_url(both.source)
        role = f"guest_{url.database}"
        postgresql.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'guest'")
        postgresql.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", url.database)
        guest = url.set(username=role, password="guest").render_as_string(hide_password=False)
        told = both.refusal("other", DATABASE_URL=guest)
        assert "may not put triggers on the table" in told
        assert "Nothing has changed" in told

    def test_where_a_mariadb_user_may_not_create_triggers(
        self, pair: Callable[[str, str], Pair], mariadb: MariaDB
    ) -> None:
        both = pair("mariadb", "sqlite")
        url = make_url(both.source)
        mariadb.execute("CREATE USER IF NOT EXISTS guest@'%' IDENTIFIED BY 'guest'")
        mariadb.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {url.database}.* TO guest@'%'")
        guest = url.set(username="guest", password="guest").render_as_string(hide_password=False)
        told = both.refusal("other", DATABASE_URL=guest)
        assert "may not put triggers on the table" in told
        assert "Nothing has changed" in told

    def test_of_a_target_that_is_full(self, pair: Callable[[str, str], Pair]) -> None:
        """While more of the source was read than has been written."""
        both = pair("sqlite", "postgresql")
        more = pages.ROWS * (copying.AHEAD + 2)
        both.add(more)
        managed(both.target, "migrate")
        change(both.target, IS_FULL, BEFORE_INSERT.format("is_full"))
        assert "no room left on its disk. Nothing has changed" in both.refusal("other")
        assert phase(both.target) == "idle"
        change(both.target, "DROP TRIGGER is_full ON students")
        assert moved_to(both.moved("other"))["students"] == ROWS + more + 1

    def test_of_a_second_one_while_one_is_under_way(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        with in_step(both) as first:
            switch = look(both.source, "SELECT switch FROM _gate")[0][0]
            result = both.switchdb("other")
            assert result.exit_code == 1
            assert f"Switch {switch} is under way here (following)" in result.stderr
            result = both.switchdb("--back")
            assert result.exit_code == 1
            assert f"Switch {switch} is under way here (following)" in result.stderr
            assert first.process.poll() is None

    @pytest.mark.parametrize("order", ["--resume", "--abort", "--cutover", "--back", "--complete"])
    def test_of_what_there_is_not(self, pair: Callable[[str, str], Pair], order: str) -> None:
        both = pair("sqlite", "sqlite")
        assert both.refusal(order).startswith(("No switch is under way", "There is no way back"))

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("other", "--resume"),
            ("--abort", "--back"),
            ("--plan",),
            ("other", "--max-pause=soon"),
            ("--cutover", "--keep-copying"),
            ("--complete", "--keep-copying"),
        ],
    )
    def test_of_orders_that_make_no_sense(self, pair: Callable[[str, str], Pair], arguments: tuple[str, ...]) -> None:
        assert pair("sqlite", "sqlite").switchdb(*arguments).exit_code == 2


BEFORE_INSERT = "CREATE TRIGGER {0} BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION {0}()"
IS_FULL = """
CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$
"""
WAITS = """
CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$
"""


WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'"
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"


@contextmanager
def in_step(both: Pair, *arguments: str) -> Iterator[Coordinator]:
    """One that keeps copying, with all rows copied."""
    with coordinating(both.settings, *(arguments or ("other",)), "--keep-copying") as coordinator:
        until(
            lambda: "is in step with" in coordinator.told or coordinator.process.poll() is not None, "it to be in step"
        )
        assert "is in step with" in coordinator.told, coordinator.told
        yield coordinator


class TestKeepCopying:
    def test_carries_changes_over_until_the_cutover(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "postgresql")
        with in_step(both) as first:
            both.add(7)
            until(lambda: len(dump(both.target)) == ROWS + 7, "the rows to be carried over")
            assert phase(both.source) == "following"
            with pytest.raises(DatabaseError):
                change(both.target, INSERT)
            assert both.moved("--cutover")["state"] == "done"
            assert first.wait() == 0
        assert phase(both.target) == "retaining"
        assert len(dump(both.target)) == ROWS + 7

    def test_goes_on_after_ctrl_c(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        with in_step(both) as first:
            first.process.send_signal(signal.SIGINT)
            assert first.wait() == 0
        both.add(3)
        with in_step(both, "--resume") as second:
            until(lambda: len(dump(both.target)) == ROWS + 3, "the rows to be carried over")
            second.process.send_signal(signal.SIGTERM)
            assert second.wait() == 0
        assert both.moved("--resume")["state"] == "done"
        assert len(dump(both.target)) == ROWS + 3
        assert phase(both.target) == "retaining"

    def test_goes_on_where_a_cutover_was_interrupted(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        interrupted(both, "other")
        with in_step(both, "--resume") as first:
            both.add(3)
            until(lambda: len(dump(both.target)) == ROWS + 3, "the rows to be carried over")
            assert phase(both.source) == "preparing"
            assert both.moved("--cutover")["state"] == "done"
            assert first.wait() == 0
            assert "the switch goes on" in first.told
        assert phase(both.target) == "retaining"

    def test_says_when_somebody_else_has_aborted_it(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "sqlite")
        with in_step(both) as first:
            assert both.moved("--abort")["state"] == "aborted"
            assert first.wait() == 0
            assert "Aborted: default is as it was." in first.told
        assert phase(both.source) == "idle"


class TestInterruption:
    def test_can_be_resumed_or_aborted(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "postgresql")
        managed(both.target, "migrate")
        before = [schema(both.source), schema(both.target), dump(both.source)]
        told = interrupted(both, "other")
        assert told.endswith("`switchdb --resume` goes on from here, `switchdb --abort` takes everything back.")
        assert phase(both.source) == "preparing"
        assert both.moved("--abort")["state"] == "aborted"
        assert [schema(both.source), schema(both.target), dump(both.source)] == before
        assert [phase(both.source), phase(both.target)] == ["idle", "idle"]
        assert dump(both.target) == []
        assert look(both.source, "SELECT * FROM _changes") == []

        interrupted(both, "other")
        both.add(1)
        assert both.moved("--resume")["state"] == "done"
        assert len(dump(both.target)) == ROWS + 1

    def test_need_not_wait_for_the_end_of_a_step(
        self, pair: Callable[[str, str], Pair], postgresql: PostgreSQL
    ) -> None:
        both = pair("sqlite", "postgresql")
        managed(both.target, "migrate")
        change(both.target, WAITS, BEFORE_INSERT.format("waits"))
        with coordinating(both.settings, "other") as coordinator:
            assert coordinator.at("COPY"), coordinator.told
            until(lambda: postgresql.execute(WAITING.format(make_url(both.target).database)), "it to copy")
            coordinator.process.send_signal(signal.SIGINT)
            until(lambda: "Stopping after this step" in coordinator.told, "it to say what it does")
            coordinator.process.send_signal(signal.SIGINT)
            assert coordinator.wait() == 1
            assert coordinator.lines[-1].startswith("Error: Stopped.")
        assert phase(both.source) == "copying"
        postgresql.execute(HANG_UP.format(make_url(both.target).database))
        assert both.moved("--abort")["state"] == "aborted"
        assert [phase(both.source), phase(both.target)] == ["idle", "idle"]

    def test_of_the_way_back_can_be_aborted(self, pair: Callable[[str, str], Pair]) -> None:
        both = pair("sqlite", "postgresql")
        both.moved("other")
        both.add(1)
        interrupted(both, "--back")
        both.add(1)
        assert both.moved("--abort")["state"] == "aborted"
        assert [phase(both.source), phase(both.target)] == ["moved", "retaining"]
        both.add(1)
        told = both.moved("--back")
        assert moved_to(told)["students"] == ROWS + 3
        assert len(dump(both.source)) == ROWS + 3


def interrupted(both: Pair, *arguments: str) -> str:
    """What it says at last after Ctrl-C, while it waited for a server that does not answer."""
    active = both.target if arguments == ("--back",) else both.source
    change(
        active,
        "DELETE FROM _servers",
        "INSERT INTO _servers (id, name, state, started_at) VALUES ('1', 'silent', 'here', '2026-01-31 00:00:00')",
    )
    with coordinating(both.settings, *arguments) as coordinator:
        assert coordinator.at("PREPARE"), coordinator.told
        coordinator.process.send_signal(signal.SIGINT)
        assert coordinator.wait() == 1
        return coordinator.lines[-1]


class TestAbsence:
    def test_of_the_target_for_good_leaves_no_trace_in_the_source(
        self, pair: Callable[[str, str], Pair], postgresql: PostgreSQL
    ) -> None:
        both = pair("sqlite", "postgresql")
        name = make_url(both.target).database
        managed(both.target, "migrate")
        change(both.target, WAITS, BEFORE_INSERT.format("waits"))
        before = schema(both.source), dump(both.source)
        with coordinating(both.settings, "other") as coordinator:
            assert coordinator.at("COPY"), coordinator.told
            until(lambda: postgresql.execute(WAITING.format(name)), "it to copy")
            postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            postgresql.execute(HANG_UP.format(name))
            both.add(1)
            assert coordinator.wait() == 1
        assert "Nothing has changed: the service goes on with default." in coordinator.lines[-1]
        assert (schema(both.source), dump(both.source)[:-1]) == before
        assert phase(both.source) == "idle"

        postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        assert phase(both.target) == "filling"
        change(both.target, "DROP TRIGGER waits ON students")
        assert moved_to(both.moved("other"))["students"] == ROWS + 1
        assert len(dump(both.target)) == ROWS + 1

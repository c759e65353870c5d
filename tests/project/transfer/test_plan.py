"""`switchdb TARGET --plan`: every row that would not arrive is named, and nothing is touched."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from project.transfer.plan import Plan, make_plan
from tests import units
from tests.commands import manage, managed, report
from tests.schemas import schema
from tests.servers import MariaDB, PostgreSQL, Server
from tests.trees import Tree

NewDatabase = Callable[[str], str]
Plant = Callable[[str, Sequence[str]], None]

NOW = "2026-01-31T09:30:00.123456Z"
STUDENT = {"name": "'Ananya'", "department": "'CSE'", "cgpa": "8.9", "name_folded": "'ananya'"}
KEYED = {
    "scope": "'POST /students'", "key": "'k'", "fingerprint": "'f'", "status": "201", "headers": "'{}'", "body": "x''"
}  # fmt: skip

CASELESS = {
    "sqlite": (
        "NOCASE",
        (
            "DROP TABLE idempotency_keys",
            """
            CREATE TABLE idempotency_keys (
                scope VARCHAR(200) NOT NULL, key VARCHAR(255) COLLATE NOCASE NOT NULL, fingerprint VARCHAR(64) NOT NULL,
                status INTEGER NOT NULL, headers VARCHAR(4000) NOT NULL, body BLOB NOT NULL,
                created_at DATETIME NOT NULL, PRIMARY KEY (scope, key)
            )
            """,
        ),
    ),
    "mariadb": (
        "utf8mb4_general_ci",
        ("ALTER TABLE idempotency_keys MODIFY `key` VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL",),
    ),
}
"""How somebody makes a table that takes two cases of a letter for the same, by the collation that does."""


def student(number: int, time: str, **values: str) -> str:
    """An INSERT of a row that is as it should be but for these values, in SQL; `time` is one."""
    row = {"id": str(number), **STUDENT, "created_at": time, "updated_at": time, **values}
    return f"INSERT INTO students ({', '.join(row)}) VALUES ({', '.join(row.values())})"


def keyed(key: str, time: str, **values: str) -> str:
    row = {**KEYED, "key": f"'{key}'", "created_at": time, **values}
    names = ", ".join(f'"{name}"' for name in row)
    return f"INSERT INTO idempotency_keys ({names}) VALUES ({', '.join(row.values())})"


@pytest.fixture
def plant(request: pytest.FixtureRequest) -> Plant:
    """Run statements behind the service's back, as the server's administrator."""

    def run(url: str, statements: Sequence[str]) -> None:
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
                connection.executescript(f"PRAGMA ignore_check_constraints = ON; {'; '.join(statements)}")
            return
        server: Server = request.getfixturevalue("postgresql" if url.startswith("postgres") else "mariadb")
        database = url.rpartition("/")[2]
        for statement in statements:
            server.execute(statement, database)

    return run


def planned(source: str, target: str) -> tuple[int, Any]:
    result = manage(source, "switchdb", "there", "--plan", "--json", DATABASE_URL_THERE=target)
    return result.exit_code, report(result)


def found(source: str, target: str) -> set[tuple[str, str, str | None, str]]:
    """The findings of a plan that has some."""
    exit_code, plan = planned(source, target)
    assert exit_code == 1
    return {(each["table"], each["key"], each["column"], each["reason"]) for each in plan["findings"]}


class TestFindings:
    @pytest.mark.engines("sqlite")
    def test_name_what_sqlite_let_in(self, new_database: NewDatabase, plant: Plant) -> None:
        source, target = new_database("sqlite"), new_database("postgresql")
        managed(source, "migrate")
        time = f"'{NOW}'"
        plant(
            source,
            [
                student(1, time),
                student(2, time, name="CAST(x'410042' AS TEXT)"),
                student(3, time, name="CAST(x'eda080' AS TEXT)"),
                student(4, time, name="CAST(x'ff41' AS TEXT)"),
                student(5, time, name="printf('%.*c', 201, 'x')"),
                student(6, time, cgpa="'high'"),
                student(7, time, cgpa="11.5"),
                student(8, time, cgpa="9e999"),
                student(9, time, department="x'41'"),
                student(10, "'yesterday'"),
                student(11, time, updated_at="'2026-01-31 09:30:00'"),
                student(12, "'0000-00-00T00:00:00.000000Z'"),
                student(13, time, created_at="1769851800"),
                keyed("good", time),
                keyed("text", time, status="'created'"),
                keyed("wide", time, status="3000000000"),
                keyed("half", time, status="201.5"),
            ],
        )  # fmt: skip
        no_time = "which is no time in the years 1 to 9999"
        rule = "breaks the rule cgpa >= 0 AND cgpa <= 10"
        assert found(source, target) == {
            ("students", "2", "name", "has the character NUL"),
            ("students", "3", "name", "has half of a surrogate pair"),
            ("students", "4", "name", "is not text in UTF-8"),
            ("students", "5", "name", "has 201 characters, of which the column holds 200"),
            ("students", "6", "cgpa", "is 'high', which is no floating-point number"),
            ("students", "6", "cgpa", rule),
            ("students", "7", "cgpa", rule),
            ("students", "8", "cgpa", rule),
            ("students", "9", "department", "is a row of bytes, which is no text"),
            ("students", "10", "created_at", f"is 'yesterday', {no_time}"),
            ("students", "10", "updated_at", f"is 'yesterday', {no_time}"),
            (
                "students", "11", "updated_at",
                "is '2026-01-31 09:30:00', a time that is not written like 2026-01-31T09:30:00.123456Z",
            ),
            ("students", "12", "created_at", f"is '0000-00-00T00:00:00.000000Z', {no_time}"),
            ("students", "12", "updated_at", f"is '0000-00-00T00:00:00.000000Z', {no_time}"),
            ("students", "13", "created_at", f"is 1769851800, {no_time}"),
            ("idempotency_keys", "POST /students/text", "status", "is 'created', which is no integer"),
            (
                "idempotency_keys", "POST /students/wide", "status",
                "is 3000000000, of which the column holds -2147483648 to 2147483647",
            ),
            ("idempotency_keys", "POST /students/half", "status", "is 201.5, which is no integer"),
        }  # fmt: skip

    @pytest.mark.engines("sqlite")
    def test_name_numbers_that_the_target_has_not(
        self, new_database: NewDatabase, plant: Plant, mariadb: MariaDB
    ) -> None:
        source = new_database("sqlite")
        managed(source, "migrate")
        plant(source, [student(1, f"'{NOW}'", cgpa="9e999")])
        assert ("students", "1", "cgpa", "is inf, which MySQL/MariaDB cannot hold") in found(
            source, new_database("mariadb")
        )

    def test_name_what_postgresql_let_in(self, new_database: NewDatabase, plant: Plant, postgresql: PostgreSQL) -> None:
        source, target = new_database("postgresql"), new_database("sqlite")
        managed(source, "migrate")
        time = f"'{NOW}'"
        plant(
            source,
            [
                "ALTER TABLE students DROP CONSTRAINT ck_students_cgpa_range",
                student(1, time),
                student(2, time, cgpa="'-0.0'"),
                student(3, time, cgpa="'NaN'"),
                student(4, time, cgpa="'Infinity'"),
                student(5, "'infinity'"),
                student(6, time, updated_at="'0044-03-15 12:00:00Z BC'"),
                student(7, time, updated_at="'12026-01-31 09:30:00Z'"),
                "ALTER TABLE students ADD CONSTRAINT ck_students_cgpa_range CHECK (cgpa IS NOT NULL)",
            ],
        )
        no_time = "which is no time in the years 1 to 9999"
        rule = "breaks the rule cgpa >= 0 AND cgpa <= 10"
        assert found(source, target) == {
            ("students", "2", "cgpa", "is -0.0, which SQLite cannot hold"),
            ("students", "3", "cgpa", "is nan, which SQLite cannot hold"),
            ("students", "3", "cgpa", rule),
            ("students", "4", "cgpa", rule),
            ("students", "5", "created_at", f"is 'infinity', {no_time}"),
            ("students", "5", "updated_at", f"is 'infinity', {no_time}"),
            ("students", "6", "updated_at", f"is '0044-03-15 12:00:00+00 BC', {no_time}"),
            ("students", "7", "updated_at", f"is '12026-01-31 09:30:00+00', {no_time}"),
        }

    def test_name_what_mariadb_let_in(self, new_database: NewDatabase, plant: Plant, mariadb: MariaDB) -> None:
        source, target = new_database("mariadb"), new_database("postgresql")
        managed(source, "migrate")
        time = f"'{NOW[:-1]}'"
        lax = "SET STATEMENT sql_mode = '', check_constraint_checks = 0 FOR"
        plant(
            source,
            [
                student(1, time),
                student(2, time, name="'A\\0B'"),
                f"{lax} " + student(3, time, updated_at="'0000-00-00'"),
                f"{lax} " + student(4, time, cgpa="-1"),
            ],
        )
        assert found(source, target) == {
            ("students", "2", "name", "has the character NUL"),
            (
                "students", "3", "updated_at",
                "is '0000-00-00T00:00:00.000000Z', which is no time in the years 1 to 9999",
            ),
            ("students", "4", "cgpa", "breaks the rule cgpa >= 0 AND cgpa <= 10"),
        }  # fmt: skip

    def test_name_rows_that_are_too_large_for_the_target(self, new_database: NewDatabase, plant: Plant) -> None:
        source = new_database("sqlite")
        managed(source, "migrate")
        plant(source, [keyed("large", f"'{NOW}'", body="zeroblob(9000000)"), keyed("small", f"'{NOW}'")])
        ((table, key, column, reason),) = found(source, new_database("mariadb"))
        assert (table, key, column) == ("idempotency_keys", "POST /students/large", None)
        assert reason.startswith("has 9,000,")
        assert planned(source, new_database("postgresql"))[0] == 0


class TestKeys:
    """Equal under the collation of a target that somebody has made otherwise than the migrations."""

    @pytest.mark.engines("sqlite", "mariadb")
    def test_are_named_with_the_collation(self, engine: str, new_database: NewDatabase, plant: Plant) -> None:
        source, target = new_database("sqlite"), new_database(engine)
        managed(source, "migrate")
        managed(target, "migrate")
        collation, statements = CASELESS[engine]
        plant(target, statements)
        plant(source, [keyed(key, f"'{NOW}'") for key in ("Key", "kEy", "other")])
        reason = f"is equal to that of another row in the target, which compares scope, key by {collation}"
        assert found(source, target) == {
            ("idempotency_keys", "POST /students/Key", None, reason),
            ("idempotency_keys", "POST /students/kEy", None, reason),
        }


class TestOtherTables:
    """What the tables of another app may hold."""

    def test_orphans_are_named(self, engine: str, new_database: NewDatabase, plant: Plant) -> None:
        source = new_database(engine)
        book = "INSERT INTO book (id, shelf_id, title, price) VALUES"
        statements = {
            "sqlite": [f"{book} (1, NULL, 'a', 1), (2, 7, 'b', 1)"],
            "postgresql": [
                "ALTER TABLE book DISABLE TRIGGER ALL",
                f"{book} (1, NULL, 'a', 1), (2, 7, 'b', 1)",
            ],
            "mysql": [f"SET STATEMENT foreign_key_checks = 0 FOR {book} (1, NULL, 'a', 1), (2, 7, 'b', 1)"],
        }

        async def scenario() -> Plan:
            async with units.furnished(source) as database:
                plant(source, statements[database.dialect.name])
            return await self.plan(source, new_database("sqlite"), units.metadata)

        (finding,) = asyncio.run(scenario()).findings.kept
        assert (finding.table, finding.key, finding.column) == ("book", "2", "shelf_id")
        assert finding.reason == "refers to a row of shelf that is not there"

    @pytest.mark.engines("sqlite")
    def test_every_type_of_column_is_looked_at(self, new_database: NewDatabase, plant: Plant) -> None:
        source, target = new_database("sqlite"), new_database("postgresql")

        async def scenario() -> Plan:
            async with units.opened(source) as database, database.connect() as connection:
                await connection.run_sync(units.various.create_all)
            row = "1, 'draft', '2026-01-31', 12.34, '0123456789abcdef0123456789abcdef'"
            dear = "'dear'"
            insert = "INSERT INTO page (id, is_public, kind, day, price, reference) VALUES"
            plant(
                source,
                [
                    f"{insert} (1, {row})",
                    f"{insert} (2, {row.replace('1', '2', 1)})",
                    f"{insert} (3, {row.replace('draft', 'lost')})",
                    f"{insert} (4, {row.replace('2026-01-31', 'Sunday')})",
                    f"{insert} (5, {row.replace('12.34', '12345.67')})",
                    f"{insert} (6, {row.replace('12.34', dear)})",
                    f"{insert} (7, {row.replace('0123456789abcdef', 'z')})",
                    "UPDATE page SET title = printf('%.*c', 1000, 'x') WHERE id = 1",
                    "UPDATE page SET title = replace(printf('%.*c', 1000, 'x'), 'x', '👩') WHERE id = 2",
                ],
            )
            return await self.plan(source, target, units.various)

        kept = asyncio.run(scenario()).findings.kept
        assert {(each.key, each.column, each.reason) for each in kept} == {
            ("2", "is_public", "is 2, which is neither true nor false"),
            ("2", None, "has 4,000 bytes in the index on title, which holds 2,704"),
            ("3", "kind", "is 'lost', which is none of its values"),
            ("4", "day", "is 'Sunday', which is no date"),
            ("5", "price", "is 12345.67, which does not fit NUMERIC(6, 2)"),
            ("6", "price", "is 'dear', which is no Decimal"),
            ("7", "reference", "is 'zz', which is no UUID"),
        }

    @staticmethod
    async def plan(source: str, target: str, metadata: sa.MetaData) -> Plan:
        async with units.linked(source) as here, units.linked(target) as there:
            return await make_plan(here, there.dialect, there, metadata.sorted_tables)


class TestPlan:
    def test_counts_the_rows_and_touches_nothing(
        self, engine: str, new_database: NewDatabase, database_url: str
    ) -> None:
        target = new_database({"sqlite": "mariadb", "mariadb": "postgresql"}.get(engine, "sqlite"))
        managed(database_url, "migrate")
        managed(database_url, "loaddata", "apps/students/sample.csv")
        before = schema(database_url)
        empty = None if target.startswith("sqlite") else schema(target)
        exit_code, plan = planned(database_url, target)
        assert exit_code == 0
        assert plan["state"] == "planned"
        assert (plan["switch_id"], plan["pause_ms"], plan["findings"]) == (None, None, [])
        assert plan["from"]["alias"] == "default"
        assert plan["to"]["alias"] == "there"
        assert plan["rows"] == sum(table["rows"] for table in plan["tables"])
        assert {"name": "students", "rows": 50, "checksum": None} in plan["tables"]
        assert plan["seconds"] > 0
        assert schema(database_url) == before
        if empty is None:
            assert not Path(target.removeprefix("sqlite:///")).exists()
        else:
            assert schema(target) == empty

    @pytest.mark.engines("sqlite")
    def test_keeps_the_first_findings_of_very_many(self, new_database: NewDatabase, plant: Plant) -> None:
        source = new_database("sqlite")
        managed(source, "migrate")
        columns = "id, name, department, cgpa, name_folded, created_at, updated_at"
        insert = f"INSERT INTO students ({columns}) SELECT value, '', 'CSE', 'high', '', '{NOW}', '{NOW}' FROM n"
        plant(
            source,
            [f"WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < 3000) {insert}"],
        )
        target = new_database("postgresql")
        exit_code, plan = planned(source, target)
        assert exit_code == 1
        assert 1000 <= len(plan["findings"]) < 1100
        shown = manage(source, "switchdb", "there", "--plan", DATABASE_URL_THERE=target).output
        assert "These are the first of 6,000." in shown  # which are no numbers, and break the rule

    @pytest.mark.engines("sqlite")
    def test_is_the_first_step_of_a_switch(self, new_database: NewDatabase, plant: Plant) -> None:
        source, target = new_database("sqlite"), new_database("postgresql")
        managed(source, "migrate")
        plant(source, [student(1, f"'{NOW}'", name="CAST(x'410042' AS TEXT)")])
        before, empty = schema(source), schema(target)
        result = manage(source, "switchdb", "there", DATABASE_URL_THERE=target)
        assert result.exit_code == 1
        assert "students\t1\tname\thas the character NUL" in result.output
        assert schema(source) == before
        assert schema(target) == empty

    @pytest.mark.engines("sqlite")
    def test_refuses_what_could_not_begin(self, new_database: NewDatabase) -> None:
        source, target = new_database("sqlite"), new_database("postgresql")
        managed(source, "migrate")
        managed(target, "migrate")
        managed(target, "loaddata", "apps/students/sample.csv")
        for url, sentence in {
            target: "The database there is not empty: table ",
            source: "The service uses there already.",
            target.replace("registrar_", "nobodys_"): "There is no database of the name that the URL gives",
        }.items():
            result = manage(source, "switchdb", "there", "--plan", DATABASE_URL_THERE=url)
            assert result.exit_code == 1
            assert sentence in result.output


class TestTarget:
    def test_that_nobody_knows_is_refused_with_those_that_there_are(self, tmp_path: Path) -> None:
        result = manage("sqlite:///nowhere", "switchdb", "archive", DATABASE_URL_SPARE="sqlite:///spare")
        assert result.exit_code == 1
        assert "There is no database 'archive': the settings name default, spare." in result.output

    def test_given_as_a_url_is_kept_in_the_settings_for_the_owner_alone(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        kept = "# ours\nLOG_LEVEL=WARNING\nSECRET_KEY='it''s'"
        (tree / ".env").write_text(kept)
        (tree / ".env").chmod(0o644)
        tree.managed("migrate")
        url = f"sqlite:///{tmp_path}/it's.sqlite3"
        tree.managed("switchdb", url, "--plan")
        assert (tree / ".env").read_text() == kept
        tree.managed("switchdb", url)
        assert (tree / ".env").read_text().startswith(f"{kept}\nDATABASE_URL_SQLITE=")
        assert (tree / ".env").stat().st_mode & 0o777 == 0o600
        assert [path.name for path in tree.root.glob(".env*")] == [".env"]
        listed = tree.managed("databases")
        assert "default\tSQLite" in listed
        assert "sqlite\tSQLite" in listed

    def test_whose_password_is_wrong_is_refused_without_showing_it(
        self, new_database: NewDatabase, tmp_path: Path
    ) -> None:
        tree = Tree(tmp_path)
        tree.managed("migrate")
        url = new_database("postgresql").replace("p%40ss", "s3cret%40")
        done = tree.manage("switchdb", url)
        assert done.returncode == 1
        assert "s3cret" not in done.stdout + done.stderr
        assert "refuses the user or the password" in done.stderr

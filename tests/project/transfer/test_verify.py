"""`switchdb --verify TARGET`: two databases are compared row by row, and those that differ are named."""

import asyncio
import datetime as dt
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa

from project.transfer.report import TableSum
from project.transfer.verify import sums
from tests import units
from tests.commands import manage, managed, report
from tests.filling import NOW, filled, students, unsaid
from tests.memory import Weighed

NewDatabase = Callable[[str], str]

OTHER = {"sqlite": "postgresql", "postgresql": "mariadb", "mariadb": "sqlite", "mysql": "sqlite"}
ROWS = 5000
MANY = 1_000_000
MOST_MEMORY = 200 * 2**20


def change(url: str, *clauses: sa.Executable) -> None:
    async def work(desk: units.Desk) -> None:
        for clause in clauses:
            await desk.change(clause)

    async def scenario() -> None:
        async with units.opened(url) as database:
            await database.write(units.Desk, work)
            await unsaid(database)

    asyncio.run(scenario())


def differences(count: int) -> tuple[Sequence[sa.Executable], list[dict[str, Any]]]:
    """One changed, one missing and one extra row among so many, and how they are to be named."""
    changed, missing, extra = count // 3, count // 2, count + 7
    row = {"name": "Zoë", "department": "CSE", "cgpa": 1.5, "name_folded": "zoë"}
    row |= {"created_at": NOW, "updated_at": NOW}
    clauses = [
        sa.update(students).where(students.c.id == changed).values(name=students.c.name.concat(" ")),
        sa.delete(students).where(students.c.id == missing),
        sa.insert(students).values(id=extra, **row),
    ]
    return clauses, [
        {"table": "students", "key": str(changed), "column": "name"},
        {"table": "students", "key": str(missing), "column": None, "reason": "is missing in the target"},
        {"table": "students", "key": str(extra), "column": None, "reason": "is in the target only"},
    ]


class TestVerify:
    def test_names_exactly_the_rows_that_differ(self, engine: str, new_database: NewDatabase) -> None:
        source, target = filled(new_database(engine), ROWS), filled(new_database(OTHER[engine]), ROWS)
        one, other = [
            report(manage(here, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=there))
            for here, there in ((source, target), (target, source))
        ]
        assert one["findings"] == other["findings"] == []
        assert one["tables"] == other["tables"]
        assert {each["name"]: each["rows"] for each in one["tables"]}["students"] == ROWS
        assert all(len(each["checksum"]) == 32 for each in one["tables"])
        assert "hold the same" in managed(source, "switchdb", "there", "--verify", DATABASE_URL_THERE=target)
        clauses, expected = differences(ROWS)
        change(target, *clauses)
        result = manage(source, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=target)
        assert result.exit_code == 1
        found = report(result)
        assert [each | wanted for each, wanted in zip(found["findings"], expected, strict=True)] == found["findings"]
        assert found["findings"][0]["reason"].startswith("is '")
        shown = manage(source, "switchdb", "there", "--verify", DATABASE_URL_THERE=target)
        assert f"students\t{ROWS // 2}\t\tis missing in the target" in shown.output
        assert shown.exit_code == 1

    @pytest.mark.engines("sqlite")
    def test_sees_the_least_differences(self, new_database: NewDatabase) -> None:
        source, target = filled(new_database("sqlite"), 100), filled(new_database("postgresql"), 100)
        grade = students.c.cgpa
        change(
            source,
            sa.update(students).where(students.c.id == 1).values(cgpa=0.1),
            sa.update(students).where(students.c.id == 2).values(department="e\u0301"),
            sa.update(students).where(students.c.id == 3).values(cgpa=0.0),
            sa.update(students).where(students.c.id == 4).values(updated_at=NOW),
        )
        change(
            target,
            sa.update(students).where(students.c.id == 1).values(cgpa=0.1 + 2**-56),
            sa.update(students).where(students.c.id == 2).values(department="é"),
            sa.update(students).where(students.c.id == 3).values(cgpa=sa.cast(sa.literal_column("'-0.0'"), grade.type)),
            sa.update(students).where(students.c.id == 4).values(updated_at=NOW + dt.timedelta(microseconds=1)),
        )
        found = report(manage(source, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=target))
        assert [(each["key"], each["column"]) for each in found["findings"]] == [
            ("1", "cgpa"),
            ("2", "department"),
            ("4", "updated_at"),
        ]

    @pytest.mark.engines("sqlite")
    def test_compares_what_should_not_be_there_at_all(self, new_database: NewDatabase) -> None:
        source, target = filled(new_database("sqlite"), 10), filled(new_database("mariadb"), 10)
        change(
            source,
            sa.text("UPDATE students SET name = CAST(x'ff' AS TEXT), updated_at = 'yesterday' WHERE id = 3"),
            sa.text("UPDATE students SET department = x'41' WHERE id = 4"),
        )
        found = report(manage(source, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=target))
        assert [(each["key"], each["column"]) for each in found["findings"]] == [
            ("3", "name"),
            ("3", "updated_at"),
            ("4", "department"),
        ]

    @pytest.mark.engines("sqlite")
    def test_counts_more_differences_than_it_names(self, new_database: NewDatabase) -> None:
        source, target = filled(new_database("sqlite"), ROWS), new_database("postgresql")
        managed(target, "migrate")
        found = report(manage(source, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=target))
        assert len(found["findings"]) == 1000
        shown = manage(source, "switchdb", "there", "--verify", DATABASE_URL_THERE=target).output
        assert "These are the first of 5,000." in shown

    @pytest.mark.engines("sqlite")
    def test_refuses_a_database_without_tables(self, new_database: NewDatabase) -> None:
        source = filled(new_database("sqlite"), 1)
        for engine in ("sqlite", "postgresql"):
            result = manage(source, "switchdb", "there", "--verify", DATABASE_URL_THERE=new_database(engine))
            assert result.exit_code == 1
            assert "The database there is not migrated: there is nothing to compare." in result.output


class TestSums:
    def test_are_equal_for_columns_of_every_type(self, engine: str, new_database: NewDatabase) -> None:
        rows: list[dict[str, Any]] = [
            {
                "id": 1, "title": "e\u0301 👩‍🎓 ", "is_public": True, "price": Decimal("12.50"),
                "day": dt.date(2026, 1, 31), "kind": "final", "reference": uuid.UUID(int=7),
                "tags": {"b": [1], "a": None},
            },
            {
                "id": 2, "title": None, "is_public": False, "price": None,
                "day": None, "kind": None, "reference": None, "tags": ["ä", 0.1, True],
            },
            {
                "id": 3, "title": "", "is_public": False, "price": Decimal("-0.00"),
                "day": dt.date(1, 1, 1), "kind": "draft", "reference": uuid.UUID(int=2**128 - 1), "tags": {},
            },
        ]  # fmt: skip

        async def summed(url: str) -> list[TableSum]:
            async with units.opened(url) as database, database.connect() as connection:
                await connection.run_sync(units.various.create_all)
                await connection.execute(sa.insert(units.page), rows)
            async with units.linked(url) as link, link.snapshot() as session:
                return await sums(session, [units.page])

        one, other = [asyncio.run(summed(new_database(name))) for name in (engine, OTHER[engine])]
        assert one == other
        assert one[0].rows == len(rows)


@pytest.mark.big
class TestManyRows:
    def test_are_compared_and_planned_at_constant_memory(self, engine: str, new_database: NewDatabase) -> None:
        source, target = filled(new_database(engine), MANY), filled(new_database(OTHER[engine]), MANY)
        clauses, expected = differences(MANY)
        change(target, *clauses)
        code, found, memory = measured(source, "switchdb", "there", "--verify", "--json", DATABASE_URL_THERE=target)
        assert code == 1
        assert [each | wanted for each, wanted in zip(found["findings"], expected, strict=True)] == found["findings"]
        assert memory < MOST_MEMORY
        empty = new_database(OTHER[engine])
        code, found, memory = measured(source, "switchdb", "there", "--plan", "--json", DATABASE_URL_THERE=empty)
        assert code == 0
        assert {each["name"]: each["rows"] for each in found["tables"]}["students"] == MANY
        assert memory < MOST_MEMORY


def measured(source: str, *arguments: str, **environment: str) -> tuple[int, Any, int]:
    """What a command in a process of its own exits with and prints, and the most bytes that it had resident."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    with Weighed(
        *arguments,
        env={**inherited, "DATABASE_URL": source, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        output, _ = process.communicate()
    return process.returncode, json.loads(output), process.peak()

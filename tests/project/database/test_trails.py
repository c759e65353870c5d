import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from apps.accounts.models import Token, User
from apps.accounts.services import UserService
from apps.students.models import Student
from apps.students.schemas import StudentCreate, StudentUpdate
from apps.students.services import StudentService
from project.callers import Caller
from project.database import migrations
from project.database.statements import Statement
from project.database.trails import MOST_DETAILS, MOST_VALUE
from project.idempotency import IdempotencyKey
from tests.servers import in_a_loop
from tests.trail import Entry, entries, left_by, pending
from tests.units import Desk, opened

ANANYA = StudentCreate("Ananya", "CSE", 8.9)
STUDENTS: Any = Student.__table__
NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
ROW: dict[str, Any] = {"department": "CSE", "cgpa": 8.9, "created_at": NOW, "updated_at": NOW}
USERS: Any = User.__table__
TOKENS: Any = Token.__table__
KEYS: Any = IdempotencyKey.__table__
USER = {"username": "ananya", "password": "$argon2id$secret", "role": "viewer", "is_active": True}


def tells(entry: Entry) -> dict[str, Any]:
    """What it says was done."""
    return {name: entry[name] for name in ("action", "record", "key", "changes", "counts", "keys") if entry.get(name)}


class TestService:
    def test_leaves_who_did_what_from_where_and_when(self, database_url: str) -> None:
        caller = Caller(
            channel="api", role="editor", user_id=3, name="bob", token_id=7, address="203.0.113.7", request_id="abc"
        )
        before = dt.datetime.now(dt.UTC)
        [entry] = left_by(database_url, (StudentService, lambda s: s.create(ANANYA)), caller=caller)
        assert (entry["actor"], entry["actor_id"], entry["token_id"]) == ("bob", 3, 7)
        assert (entry["channel"], entry["address"], entry["request_id"]) == ("api", "203.0.113.7", "abc")
        assert before <= entry["created_at"] <= entry["updated_at"] <= dt.datetime.now(dt.UTC)

    def test_that_works_for_nobody_says_so(self, database_url: str) -> None:
        [entry] = left_by(database_url, (StudentService, lambda s: s.create(ANANYA)))
        assert (entry["actor"], entry["actor_id"], entry["channel"]) == ("", None, "service")

    def test_leaves_what_was_before_and_after(self, database_url: str) -> None:
        async def live(students: StudentService) -> None:
            student = await students.create(ANANYA)
            await students.update(StudentUpdate(name="Zoë", department="CSE"), student.id)
            await students.update(StudentUpdate(cgpa=9.5), student.id)
            await students.delete(student.id)

        created, renamed, graded, deleted = map(tells, left_by(database_url, (StudentService, live)))
        record = {"record": "students.student", "key": created["key"]}
        assert int(created["key"])
        new = {"name": [None, "Ananya"], "department": [None, "CSE"], "cgpa": [None, 8.9]}
        assert created == {"action": "create", **record, "changes": new}
        assert renamed == {"action": "update", **record, "changes": {"name": ["Ananya", "Zoë"]}}
        assert graded == {"action": "update", **record, "changes": {"cgpa": [8.9, 9.5]}}
        old = {"name": ["Zoë", None], "department": ["CSE", None], "cgpa": [9.5, None]}
        assert deleted == {"action": "delete", **record, "changes": old}

    def test_that_creates_many_leaves_one_entry_with_their_keys(self, database_url: str) -> None:
        made: list[int] = []

        async def create(students: StudentService) -> None:
            made[:] = [student.id for student in await students.create_many([ANANYA] * 3)]

        [entry] = left_by(database_url, (StudentService, create))
        counts = {"students.student": {"create": 3}}
        keys = f"{made[0]}-{made[-1]}"
        assert tells(entry) == {"action": "create", "record": "students.student", "counts": counts, "keys": keys}

    def test_that_fails_leaves_nothing(self, database_url: str) -> None:
        async def fail(students: StudentService) -> None:
            await students.create(ANANYA)
            await students.repository.session.settle()
            raise KeyError

        with pytest.raises(KeyError):
            left_by(database_url, (StudentService, fail))
        assert left_by(database_url) == []

    def test_that_changes_nothing_leaves_nothing(self, database_url: str) -> None:
        async def create(students: StudentService) -> None:
            student = await students.create(ANANYA)
            await students.update(StudentUpdate(), student.id)

        [entry] = left_by(database_url, (StudentService, create))
        assert entry["action"] == "create"

    def test_keeps_secrets_to_itself(self, database_url: str) -> None:
        async def live(users: UserService) -> None:
            user = await users.create(dict(USER))
            await users.update({"password": "$argon2id$other"}, user.id)
            await users.repository.session.run(Statement(sa.delete(USERS)))

        found = left_by(database_url, (UserService, live))
        assert "argon2" not in str(found)
        assert found[0]["changes"]["password"] == [None, "(secret)"]
        assert found[1]["changes"] == {"password": ["(secret)", "(secret)"]}


class TestSession:
    """Whatever way a service takes to the database."""

    def test_objects_of_the_orm_leave_an_entry_each(self, database_url: str) -> None:
        async def live(students: StudentService) -> None:
            session = students.repository.session
            first, second = Student(name="Ananya", **ROW), Student(name="Zoë", **ROW)
            session.add_all([first, second])
            await session.flush()
            first.name = "Łukasz"
            await session.delete(second)

        *created, renamed, deleted = map(tells, left_by(database_url, (StudentService, live)))
        assert [entry["changes"]["name"] for entry in created] == [[None, "Ananya"], [None, "Zoë"]]
        assert renamed["changes"] == {"name": ["Ananya", "Łukasz"]}
        assert deleted["changes"]["name"] == ["Zoë", None]
        assert [renamed["key"], deleted["key"]] == [entry["key"] for entry in created]

    @pytest.mark.parametrize(
        ("statement", "counts"),
        [
            (sa.insert(STUDENTS).values(name="Zoë", name_folded="zoë", **ROW), {"create": 1}),
            (sa.update(STUDENTS).values(cgpa=1.0), {"update": 2}),
            (sa.update(Student).values(cgpa=1.0), {"update": 2}),
            (sa.delete(STUDENTS), {"delete": 2}),
            (sa.delete(Student).where(Student.name == "Ananya"), {"delete": 2}),
            (sa.text("UPDATE students SET cgpa = 1"), {"update": 2}),
            (sa.text("DELETE FROM students"), {"delete": 2}),
        ],
        ids=["insert", "update", "update of a model", "delete", "delete of a model", "text", "text of a delete"],
    )
    @pytest.mark.parametrize("way", ["run", "execute"])
    def test_a_statement_leaves_its_counts(
        self, database_url: str, statement: Any, counts: dict[str, int], way: str
    ) -> None:
        async def empty(desk: Desk) -> None:
            await desk.session.run(Statement(sa.delete(STUDENTS)))

        async def run(students: StudentService) -> None:
            session = students.repository.session
            await (session.run(Statement(statement)) if way == "run" else session.execute(statement))

        two = (StudentService, lambda students: students.create_many([ANANYA] * 2))
        *_, entry = left_by(database_url, (Desk, empty), two, (StudentService, run))
        [action] = counts
        assert tells(entry) == {
            "action": action,
            "record": "students.student",
            "counts": {"students.student": counts},
        }

    def test_what_touches_nothing_leaves_nothing(self, database_url: str) -> None:
        async def run(desk: Desk) -> None:
            await desk.session.run(Statement(sa.delete(STUDENTS).where(STUDENTS.c.id == 0)))
            await desk.session.execute(sa.update(STUDENTS).where(STUDENTS.c.id == 0).values(cgpa=1.0))
            await desk.session.rows(Statement(sa.select(STUDENTS)))

        assert left_by(database_url, (Desk, run)) == []

    def test_several_kinds_in_bulk_are_one_entry_under_the_name_given(self, database_url: str) -> None:
        async def fill(students: StudentService) -> None:
            await students.create_many([ANANYA] * 2)
            await students.repository.session.service(UserService).create({**USER, "username": "zoe"})

        async def clear(desk: Desk) -> None:
            desk.session.trail.name("flush")
            for table in (TOKENS, USERS, STUDENTS):
                await desk.session.run(Statement(sa.delete(table)))

        [entry] = left_by(database_url, (StudentService, fill), (Desk, clear))[-1:]
        assert entry["action"] == "flush"
        assert entry["record"] == ""
        assert entry["counts"]["students.student"]["delete"] >= 2
        assert entry["counts"]["accounts.user"]["delete"] >= 1

    def test_tables_and_columns_that_say_so_leave_nothing(self, database_url: str) -> None:
        async def run(desk: Desk) -> None:
            await desk.session.run(Statement(sa.delete(KEYS)))
            await desk.session.run(Statement(sa.update(TOKENS).values(last_used_at=sa.bindparam("now"))), now=NOW)

        assert left_by(database_url, (Desk, run)) == []

    def test_outside_units_of_work_leaves_entries_too(self, database_url: str) -> None:
        async def scenario() -> list[Entry]:
            async with opened(database_url) as database:
                await migrations.migrate(database)
                before = len(await entries(database))
                async with database.session() as session:
                    session.add(Student(name="Ananya", **ROW))
                    await session.commit()
                    session.add(Student(name="Zoë", **ROW))
                    await session.flush()
                    await session.rollback()
                return (await entries(database))[before:]

        [entry] = in_a_loop(scenario)
        assert entry["changes"]["name"] == [None, "Ananya"]

    def test_that_nobody_gave_a_trail_may_not_write(self, database_url: str) -> None:
        async def scenario() -> None:
            async with opened(database_url) as database:
                await migrations.migrate(database)
                async with AsyncSession(database.engine) as session:
                    session.add(Student(name="Ananya", **ROW))
                    with pytest.raises(RuntimeError):
                        await session.flush()

        in_a_loop(scenario)


class TestEntry:
    def test_has_room_for_what_is_too_long(self, database_url: str) -> None:
        async def note(desk: Desk) -> None:
            desk.session.trail.note("update", "clubs.club", 1, {"motto": (None, "x" * 300)})
            fields = {f"field {number}": ("é" * MOST_VALUE, "\x01" * MOST_VALUE) for number in range(100)}
            desk.session.trail.note("update", "clubs.club", 2, fields)
            desk.session.trail.created_many(STUDENTS, range(1, 20_001, 2))

        first, second, third = left_by(database_url, (Desk, note))
        assert first["changes"] == {"motto": [None, "x" * (MOST_VALUE - 1) + "…"]}
        assert second["truncated"] is True
        assert second["changes"]
        assert third["counts"] == {"students.student": {"create": 10_000}}
        assert third["keys"].startswith("1, 3, 5, ")
        assert third["keys"].endswith(", …")
        assert len(third["keys"]) < MOST_DETAILS

    def test_waits_until_it_is_sealed(self, database_url: str) -> None:
        async def scenario() -> None:
            async with opened(database_url) as database:
                await migrations.migrate(database)
                await entries(database)
                await database.write(StudentService, lambda students: students.create(ANANYA))
                assert await pending(database) == 1
                await entries(database)
                assert await pending(database) == 0

        in_a_loop(scenario)

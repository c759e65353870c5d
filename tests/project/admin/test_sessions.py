"""What the library is given for a session: it reads, and cannot write past the services."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from adminsite import RefusedError

from apps.accounts.guards import Accounts
from apps.students import schemas
from apps.students.models import Student
from apps.students.services import StudentService
from project.admin.sessions import RecordSession, Rules, Source
from project.database import Database, migrations
from project.settings import load
from tests.servers import in_a_loop
from tests.units import opened

VALUES = {"name": "Straße", "department": "CSE", "cgpa": 8.9}


def awaited(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine, run to its end."""

    @functools.wraps(test)
    def run(*arguments: Any, **fixtures: Any) -> None:
        in_a_loop(lambda: test(*arguments, **fixtures))

    return run


@asynccontextmanager
async def session_on(url: str) -> AsyncIterator[RecordSession]:
    async with opened(url) as database:
        await migrations.migrate(database)
        accounts = Accounts(database, load({"DATABASE_URL": url}))
        source = Source(database, accounts)
        source.rules[Student] = Rules(StudentService, schemas.StudentCreate, schemas.StudentUpdate)
        try:
            async with source.session() as session:
                assert isinstance(session, RecordSession)
                yield session
        finally:
            await accounts.close()


async def created(session: RecordSession, **values: Any) -> Student:
    student = Student(**{**VALUES, **values})
    async with session.transaction():
        await session.add(student)
    return student


async def found(session: RecordSession, key: int) -> Student | None:
    return await session.get(Student, key)


class TestRecordSession:
    @awaited
    async def test_creates_by_the_service(self, database_url: str) -> None:
        async with session_on(database_url) as session:
            student = await created(session)
            kept = await found(session, student.id)
            assert kept is not None
            assert (kept.name, kept.name_folded, kept.cgpa) == ("Straße", "strasse", 8.9)
            assert kept.updated_at == kept.created_at == student.created_at

    @awaited
    async def test_writes_what_was_changed_and_leaves_what_others_changed(self, database_url: str) -> None:
        async with session_on(database_url) as session:
            key = (await created(session)).id
            student = await found(session, key)
            assert student is not None
            await change_elsewhere(session, key, department="Law")
            async with session.transaction():
                student.name = "Other"
            kept = await found(session, key)
            assert kept is not None
            assert (kept.name, kept.name_folded, kept.department) == ("Other", "other", "Law")
            assert kept.updated_at > kept.created_at

    @awaited
    async def test_keeps_all_or_nothing(self, database_url: str) -> None:
        async with session_on(database_url) as session:
            keys = [(await created(session)).id for _ in range(2)]
            first, second = [await found(session, key) for key in keys]
            assert first is not None
            assert second is not None
            with pytest.raises(RefusedError, match="at most 10"):
                async with session.transaction():
                    first.name, second.cgpa = "Other", 10.5
            assert [student.name for key in keys if (student := await found(session, key))] == ["Straße", "Straße"]

    @pytest.mark.parametrize("change", [{"created_at": None}, {"id": 7}, {"cgpa": float("nan")}, {"name": "\0"}])
    @awaited
    async def test_changes_nothing_that_the_api_would_not(self, database_url: str, change: dict[str, Any]) -> None:
        async with session_on(database_url) as session:
            key = (await created(session)).id
            student = await found(session, key)
            for name, value in change.items():
                setattr(student, name, value)
            with pytest.raises(RefusedError):
                await session.commit()
            kept = await found(session, key)
            assert kept is not None
            assert kept.created_at == kept.updated_at

    @awaited
    async def test_deletes_by_the_service(self, database_url: str) -> None:
        async with session_on(database_url) as session:
            student = await created(session)
            async with session.transaction():
                await session.delete(student)
            assert await found(session, student.id) is None
            with pytest.raises(RefusedError, match=f"There is no student {student.id}"):
                async with session.transaction():
                    await session.delete(student)

    @pytest.mark.parametrize(
        "statement",
        [
            sa.update(Student).values(cgpa=0.0),
            sa.delete(Student),
            sa.insert(Student).values(name="x"),
            sa.text("DELETE FROM students"),
        ],
        ids=["update", "delete", "insert", "text"],
    )
    @awaited
    async def test_runs_no_statement_that_writes(self, database_url: str, statement: Any) -> None:
        async with session_on(database_url) as session:
            student = await created(session)
            for run in (session.execute, session.scalars, session.scalar):
                with pytest.raises(TypeError, match="services then write"):
                    await run(statement)
            with pytest.raises(TypeError):
                await session.run(lambda plain: plain.execute(statement))
            assert await found(session, student.id) is not None


async def change_elsewhere(session: RecordSession, key: int, **values: Any) -> None:
    database: Database = session.source.active
    await database.write(StudentService, lambda students: students.update(values, key))

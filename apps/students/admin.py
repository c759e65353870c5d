"""Students at the admin site."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import sqlalchemy as sa

from apps.students import schemas
from apps.students.models import Student
from apps.students.repositories import StudentRepository
from apps.students.services import StudentService, containing
from project.admin import (
    Bars,
    Between,
    Chart,
    Field,
    Input,
    OneOf,
    Period,
    RecentRecords,
    RecordSession,
    RecordView,
    Remembered,
    Selection,
    Widget,
    action,
)

MOST_DEPARTMENTS = 8
"""What a chart has room for."""


@Remembered
async def departments(session: RecordSession) -> Sequence[tuple[str, int]]:
    """Each department and how many students it has, the largest first."""
    return await session.ask(StudentService, lambda students: students.departments())


@Remembered
async def grades(session: RecordSession) -> Sequence[tuple[str, int]]:
    counts = await session.ask(StudentService, lambda students: students.grades())
    return [(f"{lower} to {lower + 1}", count) for lower, count in enumerate(counts)]


async def largest_departments(session: RecordSession) -> Sequence[tuple[str, int]]:
    return (await departments(session))[:MOST_DEPARTMENTS]


class StudentView(RecordView[Student]):
    service = StudentService
    creates = schemas.StudentCreate
    updates = schemas.StudentUpdate

    name = "students"
    record_title = "{name}"
    fields = (
        Student.name,
        Student.department,
        Field(Student.cgpa, label="CGPA"),
        Field(Student.id, label="ID"),
        Field(Student.created_at, label="Created", hidden_in_list=True),
        Field(Student.updated_at, label="Changed"),
    )
    fields_default_sort = ("-id",)
    searchable_fields = (Student.name,)
    list_filters = (
        OneOf(Student.department, departments),
        Between(Student.cgpa, label="CGPA"),
        Period("updated_at", label="Changed"),
    )
    cards: ClassVar[Sequence[Widget]] = (
        Bars("Students per department", largest_departments),
        Chart("Students per CGPA", grades),
        RecentRecords("Students that changed last", "students", sort="-updated_at", value="department", limit=6),
    )

    def matching(self, term: str) -> sa.ColumnElement[bool]:
        return StudentRepository.filters["q"](Student, sa.literal(containing(term)))

    @action("Move to a department", permission="edit")
    async def move(
        self, selection: Selection[Student], *, department: Annotated[str, Input(label="Department")]
    ) -> str:
        students = await self.chosen(selection)
        for student in students:
            student.department = department
        return f"{len(students):,} moved to {department}."

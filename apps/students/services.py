"""The rules of students' records."""

import datetime as dt
from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import msgspec

from apps.students import schemas
from apps.students.models import Student
from apps.students.repositories import StudentRepository
from project.database.statements import Row
from project.services import Service

BINS = 10


class StudentService(Service[Student, StudentRepository, schemas.Student]):
    repository_type = StudentRepository
    schema = schemas.Student

    async def export(self, filters: dict[str, Any], sort: str) -> AsyncIterator[list[Row]]:
        """The fields of `schemas.Student` of every student that the filters let through; only inside a snapshot."""
        async for rows in self.repository.all_where(self.schema.__struct_fields__, filters, sort):
            yield rows

    async def statistics(self, filters: dict[str, Any]) -> list[schemas.DepartmentStatistics]:
        """By department, in order of its name. Exact until the mean is rounded once, so that every database agrees."""
        departments: dict[str, _Tally] = {}
        for department, cgpa, count in await self.repository.grades(filters):
            departments.setdefault(department, _Tally()).add(cgpa, count)
        return [tally.statistics(department) for department, tally in sorted(departments.items())]


class _Tally:
    """The grades of one department, in ascending order."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = Fraction()
        self.min = self.max = 0.0
        self.histogram = [0] * BINS

    def add(self, cgpa: float, count: int) -> None:
        if not self.count:
            self.min = self.max = cgpa
        self.min, self.max = min(self.min, cgpa), max(self.max, cgpa)
        self.count += count
        self.sum += Fraction(cgpa) * count
        self.histogram[min(int(cgpa), BINS - 1)] += count

    def statistics(self, department: str) -> schemas.DepartmentStatistics:
        return schemas.DepartmentStatistics(
            department, self.count, float(self.sum / self.count), self.min, self.max, self.histogram
        )


def conditions(query: schemas.StudentFilters) -> dict[str, Any]:
    """The filters of a query in the words of the repository. Raises ValueError for a moment without a time zone."""
    found: dict[str, Any] = {}
    if query.department:
        found["department"] = tuple(sorted(set(query.department)))
    for name in ("cgpa_min", "cgpa_max"):
        if (value := getattr(query, name)) is not msgspec.UNSET:
            found[name] = value + 0.0
    if query.updated_after is not msgspec.UNSET:
        moment = dt.datetime.fromisoformat(query.updated_after)
        if moment.tzinfo is None:
            raise ValueError("a time zone is missing")
        found["updated_after"] = moment.astimezone(dt.UTC)
    if query.q is not msgspec.UNSET:
        folded = query.q.casefold().replace("/", "//").replace("%", "/%").replace("_", "/_")
        found["q"] = f"%{folded}%"
    return found

"""The rules of students' records."""

import datetime as dt
from collections.abc import AsyncIterator
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
    record = schemas.StudentRecord

    async def export(self, filters: dict[str, Any], sort: str) -> AsyncIterator[list[Row]]:
        """The fields of `schemas.Student` of every student that the filters let through; only inside a snapshot."""
        async for rows in self.repository.all_where(self.schema.__struct_fields__, filters, sort):
            yield rows

    async def statistics(self, filters: dict[str, Any]) -> list[schemas.DepartmentStatistics]:
        """By department, in order of its name; only inside a snapshot.

        However many different grades there are, they come and are summed up some at a time.
        """
        tallies: dict[str, _Tally] = {}
        async for rows in self.repository.counts_by(("department", "cgpa"), filters):
            for department, cgpa, count in rows:
                tally = tallies.get(department)
                if tally is None:
                    tally = tallies[department] = _Tally(cgpa)
                tally.add(cgpa, count)
        return [tally.statistics(department) for department, tally in tallies.items()]

    async def departments(self) -> list[tuple[str, int]]:
        """Each department and how many students it has, the largest first."""
        return sorted(await self.repository.departments(), key=lambda pair: (-pair[1], pair[0]))

    async def grades(self) -> list[int]:
        """How many students have a cgpa of 0 to 1, 1 to 2 ... 9 to 10."""
        counts = dict(await self.repository.grades(BINS))
        return [counts.get(lower, 0) for lower in range(BINS)]


class _Tally:
    """The grades of one department, in ascending order.

    Their sum is exact, an integer of the smallest unit that doubles have: every database agrees on the mean, and it is
    rounded once.
    """

    UNIT = 1074
    """The smallest double above zero is 2 to the power of -1074."""

    def __init__(self, lowest: float) -> None:
        self.count = self.sum = 0
        self.min = self.max = lowest
        self.histogram = [0] * BINS

    def add(self, cgpa: float, count: int) -> None:
        numerator, denominator = cgpa.as_integer_ratio()  # whose denominator is a power of two
        self.count += count
        self.sum += numerator * count << self.UNIT + 1 - denominator.bit_length()
        self.max = cgpa
        self.histogram[min(int(cgpa), BINS - 1)] += count

    def statistics(self, department: str) -> schemas.DepartmentStatistics:
        mean = self.sum / (self.count << self.UNIT)
        return schemas.DepartmentStatistics(department, self.count, mean, self.min, self.max, self.histogram)


def conditions(query: schemas.StudentFilters) -> dict[str, Any]:
    """The filters of a query in the words of the repository. Raises OverflowError for a moment that UTC lacks."""
    found: dict[str, Any] = {}
    if query.department:
        found["department"] = tuple(sorted(set(query.department)))
    for name in ("cgpa_min", "cgpa_max"):
        if (value := getattr(query, name)) is not msgspec.UNSET:
            found[name] = value + 0.0
    if query.updated_after is not msgspec.UNSET:
        found["updated_after"] = query.updated_after.astimezone(dt.UTC)
    if query.q is not msgspec.UNSET:
        found["q"] = containing(query.q)
    return found


def containing(part: str) -> str:
    """What the filter `q` matches names with that have this part, whatever its case."""
    folded = part.casefold().replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{folded}%"

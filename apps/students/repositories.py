"""How students are found."""

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import sqlalchemy as sa

from apps.students.models import Student
from project.database.statements import Statement
from project.database.types import Timestamp
from project.repositories import Repository

Condition = Callable[[type[Any], sa.BindParameter[Any]], sa.ColumnElement[bool]]


class StudentRepository(Repository[Student]):
    model_type = Student
    filters: ClassVar[dict[str, Condition]] = {
        "department": lambda model, value: model.department == value,
        "cgpa_min": lambda model, value: model.cgpa >= value,
        "cgpa_max": lambda model, value: model.cgpa <= value,
        "updated_after": lambda model, value: model.updated_at > sa.type_coerce(value, Timestamp()),
        "q": lambda model, value: model.name_folded.like(value, escape="/"),
    }

    async def departments(self) -> list[tuple[str, int]]:
        """Each department and how many students it has."""
        return [(department, count) for department, count in await self.session.rows(_DEPARTMENTS)]

    async def grades(self, bins: int) -> list[tuple[int, int]]:
        """Each whole number that a cgpa begins with, but for the highest, and how many students have one."""
        return [(int(lower), count) for lower, count in await self.session.rows(_grades(bins))]


_DEPARTMENTS = Statement(sa.select(Student.department, sa.func.count()).group_by(Student.department))


@cache
def _grades(bins: int) -> Statement:
    lower = sa.case(*((Student.cgpa < upper, upper - 1) for upper in range(1, bins)), else_=bins - 1)
    return Statement(sa.select(lower.label("lower"), sa.func.count()).group_by(sa.text("lower")))

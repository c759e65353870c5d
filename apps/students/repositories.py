"""How students are found."""

from collections.abc import Callable
from typing import Any, ClassVar

import sqlalchemy as sa

from apps.students.models import Student
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

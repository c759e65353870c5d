"""The students' table."""

from typing import Any

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column, validates

from project.database.types import Text
from project.models import Record


class Student(Record):
    __tablename__ = "students"
    __table_args__: Any = (
        CheckConstraint("cgpa >= 0 AND cgpa <= 10", name="cgpa_range"),
        # Each order that clients may ask for, alone and within one department: what keeps every page at one price.
        Index(None, "name", "id"),
        Index(None, "department", "id"),
        Index(None, "cgpa", "id"),
        Index(None, "created_at", "id"),
        Index(None, "updated_at", "id"),
        Index(None, "department", "name", "id"),
        Index(None, "department", "cgpa", "id"),
        Index(None, "department", "created_at", "id"),
        Index(None, "department", "updated_at", "id"),
    )

    name: Mapped[str] = mapped_column(Text(200))
    department: Mapped[str] = mapped_column(Text(100))
    cgpa: Mapped[float]
    name_folded: Mapped[str] = mapped_column(Text(600), info={"derived": True})
    """The name as it is searched: case folding makes at most three characters of one."""

    @validates("name")
    def _fold(self, key: str, name: str) -> str:
        self.name_folded = name.casefold()
        return name

    @validates("cgpa")
    def _without_negative_zero(self, key: str, cgpa: float) -> float:
        return cgpa + 0.0

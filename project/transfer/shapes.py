"""How the rows of the apps' tables stand in files."""

import datetime as dt
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Any, Optional

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from project import registry
from project.database.types import Text
from project.models import Base
from project.transfer.stages import python_type

NO_NUL = Meta(pattern=r"^[^\u0000]*\Z", extra={"refusal": "must hold no NUL, which databases cannot keep"})
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1


class Shape:
    """What a file has of one model's rows. Columns derived from others are left out, and made anew from them.

    As a line of JSON a row is `{"model": "students.student", "pk": 1, "fields": {...}}`, with a list of several keys.
    """

    def __init__(self, label: str, model: type[Base], record: type[msgspec.Struct] | None) -> None:
        """`record` is the struct of the app's imports: its rules hold for the columns that it names."""
        self.label = label
        self.model = model
        self.record = record
        self.table: sa.Table = model.__table__  # type: ignore[assignment]
        self.keys: list[sa.Column[Any]] = list(self.table.primary_key)
        others = [c for c in self.table.columns if not c.primary_key and not c.info.get("derived")]
        self.others = sorted(others, key=lambda column: column.nullable is True)
        self.columns = [*self.keys, *self.others]
        rules = {} if record is None else {field.name: field.type for field in msgspec.structs.fields(record)}
        self._types = {c.key: rules[c.key] if rules.get(c.key, Any) is not Any else _type_of(c) for c in self.columns}

    @cached_property
    def fields(self) -> type[msgspec.Struct]:
        return self.struct(self.others)

    @cached_property
    def line(self) -> type[msgspec.Struct]:
        kinds = tuple(self._types[column.key] for column in self.keys)
        key = kinds[0] if len(kinds) == 1 else tuple[kinds]  # type: ignore[valid-type]
        members = [("model", str), ("pk", key), ("fields", self.fields)]
        return msgspec.defstruct("Line", members, forbid_unknown_fields=True)

    def as_line(self, row: Sequence[Any]) -> msgspec.Struct:
        """The line of a row of `columns`."""
        split = len(self.keys)
        key = row[0] if split == 1 else tuple(row[:split])
        return self.line(self.label, key, self.fields(*row[split:]))

    def as_row(self, line: Any) -> tuple[Any, ...]:
        """The row of `columns` that stands in a line."""
        key = (line.pk,) if len(self.keys) == 1 else line.pk
        return (*key, *msgspec.structs.astuple(line.fields))

    def struct(self, columns: Sequence[sa.Column[Any]]) -> type[msgspec.Struct]:
        """Those columns side by side, NULL where one that may be is left out; they stand after the others."""
        members = [
            (c.key, Optional[self._types[c.key]], None) if c.nullable else (c.key, self._types[c.key])  # noqa: UP045
            for c in columns
        ]
        return msgspec.defstruct("Fields", members, forbid_unknown_fields=True)


def shapes_of(apps: Sequence[str]) -> dict[str, Shape]:
    """The shapes of the apps' models by their labels, parents before the rows that refer to them."""
    records = {
        service.repository_type.model_type: getattr(service, "record", None) for service in registry.services(apps)
    }
    return {label: Shape(label, model, records.get(model)) for label, model in registry.models(apps).items()}


def _type_of(column: sa.Column[Any]) -> Any:
    kind = python_type(column)
    if kind is int:
        return Annotated[int, Meta(ge=1 if column.primary_key else LEAST_INTEGER, le=MOST_INTEGER)]
    if kind is dt.datetime:
        return Annotated[dt.datetime, Meta(tz=True)]
    if isinstance(column.type, Text):
        return Annotated[str, Meta(max_length=column.type.length), NO_NUL]
    return kind

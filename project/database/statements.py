"""Statements written in SQLAlchemy's expression language, compiled once a dialect, then executed by the driver itself.

Compiling a statement and SQLAlchemy's result machinery cost several times what a point read costs in the driver; a
service that answers thousands of them a second should pay for neither twice.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import Executable

from project.database import dialects
from project.database.metadata import metadata
from project.database.types import Timestamp

Row = Sequence[Any]
Processor = Callable[[Any], Any]
Reader = Callable[[Sequence[Any]], Sequence[Any]]


class Target(NamedTuple):
    """A table whose changes are audited, and what a statement does to its rows."""

    table: sa.Table
    action: str


_ACTIONS: dict[type[Any], str] = {sa.Insert: "create", sa.Update: "update", sa.Delete: "delete"}
_WRITTEN = re.compile(r"\s*(insert\s+into|replace\s+into|update|delete\s+from)\s+[\"`]?(\w+)", re.IGNORECASE)


def is_audited(table: Any) -> bool:
    return isinstance(table, sa.Table) and table.metadata is metadata and not table.info.get("unaudited")


def target_of(clause: Any) -> Target | None:
    """None for a statement that changes nothing, or nothing that is audited."""
    if isinstance(clause, sa.TextClause):
        written = _WRITTEN.match(clause.text)
        table = metadata.tables.get(written[2]) if written else None
        verb = {"u": "update", "d": "delete"}.get(written[1][0].lower(), "create") if written else ""
        return Target(table, verb) if table is not None and is_audited(table) else None
    for kind, action in _ACTIONS.items():
        if isinstance(clause, kind) and is_audited(clause.table):
            return None if action == "update" and _is_unaudited(clause) else Target(clause.table, action)
    return None


def _is_unaudited(update: Any) -> bool:
    """Whether it sets nothing but columns that are not audited."""
    given = [getattr(column, "key", column) for column in update._values or ()]
    return bool(given) and all(update.table.c[key].info.get("unaudited") for key in given)


class Statement:
    """A statement with named `bindparam`s.

    With `times_as_text`, timestamps come back as RFC 3339 text, ready for JSON, instead of datetimes.
    """

    def __init__(self, clause: Executable, *, times_as_text: bool = False) -> None:
        self.clause = clause
        self.times_as_text = times_as_text
        self.target = target_of(clause)
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: Dialect) -> "Compiled":
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = Compiled(self, dialect)
        return found


class Compiled:
    """The text of a statement on one dialect, and how its values are turned into the driver's and back."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        # What stands in an IN is known by now: as many parameters as there are values.
        options = {"render_postcompile": True}
        compiler = statement.clause.compile(dialect=dialect, compile_kwargs=options)  # type: ignore[attr-defined]
        assert isinstance(compiler, SQLCompiler)
        self.sql = str(compiler)
        self._names: list[str] = list(compiler.positiontup or ())
        self._defaults = {name: value for name, value in compiler.params.items() if value is not None}
        self._binders: list[tuple[str, Processor]] = [
            (name, processor)
            for name, processor in compiler._bind_processors.items()
            if callable(processor) and name in compiler.params
        ]
        self._getter = operator.itemgetter(*self._names) if len(self._names) > 1 else None
        self._readers = [
            (position, reader)
            for position, column in enumerate(compiler._result_columns)
            if (reader := _reader(column.type, dialect, statement.times_as_text)) is not None
        ]

    def parameters(self, values: Mapping[str, Any]) -> Sequence[Any]:
        if self._defaults:
            values = {**self._defaults, **values}
        if self._binders:
            values = {**values, **{name: bind(values[name]) for name, bind in self._binders}}
        return self._getter(values) if self._getter else [values[name] for name in self._names]

    def parameters_of(self, rows: Iterable[Mapping[str, Any]], same: Mapping[str, Any]) -> list[Sequence[Any]]:
        """Like `parameters` for each row; what is the same for all of them is turned into the driver's values once."""
        constant = {**self._defaults, **same}
        constant.update((name, bind(same[name])) for name, bind in self._binders if name in same)
        binders = [(name, bind) for name, bind in self._binders if name not in same]
        found: list[Sequence[Any]] = []
        for row in rows:
            values = {**constant, **row}
            for name, bind in binders:
                values[name] = bind(values[name])
            found.append(self._getter(values) if self._getter else [values[name] for name in self._names])
        return found

    def rows(self, rows: Sequence[Row]) -> list[Row]:
        if not self._readers or not rows:
            return rows if isinstance(rows, list) else list(rows)
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for position, read in self._readers:
            columns[position] = read(columns[position])
        return list(zip(*columns, strict=True))


def _reader(column_type: Any, dialect: Dialect, times_as_text: bool) -> Reader | None:
    """Makes a column's Python values of the driver's, all at once; None where they are that already."""
    if times_as_text and isinstance(column_type, Timestamp):
        return dialects.named(dialect.name).times_from_driver_to_text
    process = result_processor(column_type, dialect)
    return None if process is None else lambda values: list(map(process, values))


def result_processor(column_type: Any, dialect: Dialect) -> Processor | None:
    """Makes a Python value of the driver's; None where it is that already."""
    if isinstance(column_type, sa.Float) and not column_type.asdecimal:
        return None  # every driver gives floats
    processor: Processor | None = column_type.dialect_impl(dialect).result_processor(
        dialect, dialects.named(dialect.name).type_code(column_type)
    )
    return processor

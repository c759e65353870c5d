"""Which rows would not arrive at another database, or would change: found before anything is touched."""

import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from project.database.contents import Limits
from project.database.dialects import Dialect
from project.database.links import Link
from project.database.sessions import Session
from project.database.statements import Row, result_processor
from project.transfer.canonical import key_of, key_text, raw_pieces, raw_rows, readable
from project.transfer.collisions import find_collisions
from project.transfer.report import Finding, Findings, TableSum
from project.transfer.rules import Rule, rule_of

COPYING = 4.0
"""How many times as long as looking at the rows it takes to copy and compare them, roughly."""


class Plan(msgspec.Struct):
    tables: list[TableSum]
    rows: int
    seconds: float
    """That it may take to copy them all."""
    findings: Findings


async def make_plan(
    source: Link,
    dialect: Dialect,
    target: Link | None,
    tables: Sequence[sa.Table],
    tell: Callable[[int], Any] = lambda done: None,
) -> Plan:
    """For a target of that dialect; None is a file that is not there yet.

    Reads every row at one moment, at constant memory. `tell` is told how many were read so far. Raises DatabaseError.
    """
    began = time.monotonic()
    limits = dialect.contents.usual_limits
    if target is not None:
        async with target.alone() as session:
            limits = await dialect.contents.limits(session)
    findings = Findings()
    found: list[TableSum] = []
    async with source.snapshot() as session:
        source.dialect.contents.read_anything(session)
        for table in tables:
            before = sum(each.rows for each in found)
            survey = _Survey(session, table, limits, dialect.title, findings)
            async for done in survey.look():
                tell(before + done)
            found.append(TableSum(str(table.name), survey.rows, None))
            if target is not None:
                await find_collisions(session, target, table, findings)
    rows = sum(each.rows for each in found)
    return Plan(found, rows, (time.monotonic() - began) * COPYING, findings)


class _Survey:
    """Of one table's rows."""

    def __init__(self, session: Session, table: sa.Table, limits: Limits, target: str, findings: Findings) -> None:
        self.rows = 0
        self._session = session
        self._table = table
        self._limits = limits
        self._target = target
        self._findings = findings
        self._key = key_of(table)
        self._rules = [
            (
                place,
                column,
                rule_of(column, result_processor(column.type, session.held.alchemy.dialect), limits, target),
            )
            for place, column in enumerate(table.columns)
        ]
        self._sizes = list(_sizes(table, limits))

    async def look(self) -> AsyncIterator[int]:
        """How many rows were looked at so far."""
        for reference in self._table.foreign_key_constraints:
            reason = f"refers to a row of {reference.referred_table.name} that is not there"
            await self._add_all(_is_orphan(reference), list(reference.columns), reason)
        for constraint in self._table.constraints:
            if isinstance(constraint, sa.CheckConstraint):
                text = str(constraint.sqltext.compile(compile_kwargs={"literal_binds": True}))
                columns = [column for column in self._table.columns if re.search(rf"\b{column.name}\b", text)]
                await self._add_all(sa.literal_column(f"NOT ({text})", sa.Boolean), columns, f"breaks the rule {text}")
        async for rows in raw_pieces(self._session, self._table):
            self._examine(rows)
            self.rows += len(rows)
            yield self.rows

    async def _add_all(self, condition: sa.ColumnElement[bool], columns: Sequence[sa.Column[Any]], reason: str) -> None:
        """A finding about each row of which that is true."""
        keys = sa.select(*(readable(self._session, column) for column in self._table.primary_key))
        name = str(columns[0].name) if len(columns) == 1 else None
        async for found in raw_rows(self._session, keys.where(condition)):
            for key in found:
                self._findings.add(Finding(str(self._table.name), key_text(key), name, reason))

    def _examine(self, rows: Sequence[Row]) -> None:
        """Column by column, and only those row by row that do not keep their rule as a whole."""
        found: dict[int, list[Finding]] = {}
        for (place, column, rule), every in zip(self._rules, zip(*rows, strict=True), strict=True):
            values = [value for value in every if value is not None] if column.nullable else every
            if values and not rule.all_keep(values):
                self._examine_column(rows, place, column, rule, found)
        for size_of, most, reason in self._sizes:
            for number, row in enumerate(rows):
                if (size := size_of(row)) > most:
                    finding = Finding(str(self._table.name), key_text(self._key(row)), None, reason.format(size, most))
                    found.setdefault(number, []).append(finding)
        for number in sorted(found):
            self._findings.add(*found[number])

    def _examine_column(
        self, rows: Sequence[Row], place: int, column: sa.Column[Any], rule: Rule, found: dict[int, list[Finding]]
    ) -> None:
        for number, row in enumerate(rows):
            value = row[place]
            if value is None:
                reason = None if column.nullable else "is NULL, which the column does not hold"
            else:
                reason = rule.broken_by(value)
            if reason is not None:
                finding = Finding(str(self._table.name), key_text(self._key(row)), str(column.name), reason)
                found.setdefault(number, []).append(finding)


def _is_orphan(constraint: sa.ForeignKeyConstraint) -> sa.ColumnElement[bool]:
    parent = constraint.referred_table.alias("_parent")
    pairs = [(element.parent, parent.c[element.column.name]) for element in constraint.elements]
    is_parent = sa.and_(*(child == referred for child, referred in pairs))
    return sa.and_(*(child.is_not(None) for child, _ in pairs), ~sa.exists().where(is_parent))


Size = tuple[Callable[[Row], int], int, str]
"""Of a row, in bytes; the most that it may be; what to say of one that is more."""


def _sizes(table: sa.Table, limits: Limits) -> list[Size]:
    """What has to be measured: most tables have no room for rows that are too large."""
    columns = list(table.columns)
    found: list[Size] = []

    def measure(measured: Sequence[sa.Column[Any]], most: int, reason: str) -> None:
        if sum(map(_most_bytes, measured)) > most:
            places = [columns.index(column) for column in measured]
            found.append((lambda row: sum(_bytes(row[place]) for place in places), most, reason))

    measure(columns, limits.row_bytes, "has {:,} bytes, of which the target holds {:,}")
    if limits.key_bytes is not None:
        indexed = [list(index.columns) for index in table.indexes]
        unique = [list(each.columns) for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
        for key in (list(table.primary_key), *unique, *indexed):
            names = ", ".join(column.name for column in key)
            measure(key, limits.key_bytes, f"has {{:,}} bytes in the index on {names}, which holds {{:,}}")
    return found


def _most_bytes(column: sa.Column[Any]) -> float:
    kind = column.type
    if isinstance(kind, sa.TypeDecorator):
        kind = kind.impl_instance
    if isinstance(kind, sa.String):
        return float("inf") if kind.length is None else 4 * kind.length
    return float("inf") if isinstance(kind, sa.LargeBinary | sa.JSON) else 16


def _bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    return len(value) if isinstance(value, bytes) else 8

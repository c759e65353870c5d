"""The files that rows are loaded from: JSON Lines, CSV, or somebody else's database, each known by how it begins."""

import codecs
import contextlib
import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import sqlalchemy as sa

from project.database import dialects
from project.database.dialects import DatabaseFile
from project.dto import decode
from project.faults import faults
from project.models import Base
from project.problems import FieldError, InvalidBody
from project.transfer.imports import columns_of
from project.transfer.records import BATCH, BLOCK, Batch, read_csv, read_json_lines
from project.transfer.shapes import Shape

STANDARD_INPUT = "-"

Item = tuple[str, tuple[Any, ...]]
"""The label of a model, and the values of one of its rows."""


class SourceError(Exception):
    """The file as a whole cannot be loaded; the message says why."""


class Source(NamedTuple):
    """The rows of a file."""

    place: str
    """What the number of a record counts: a `line`, or the `id` of a row."""
    columns: Mapping[str, Sequence[sa.Column[Any]]]
    """Those that the rows have values for, by the labels of their models."""
    batches: Iterator[Batch[Item]]
    left_out: Sequence[str] = ()
    """The names of tables that no app has."""


@contextlib.contextmanager
def open_source(path: str, shapes: Mapping[str, Shape]) -> Iterator[Source]:
    """The file of that path, or standard input. Raises SourceError, here or when the rows are read."""
    with contextlib.ExitStack() as held:
        if path == STANDARD_INPUT:
            standard_input: Any = sys.stdin.buffer
            yield _of_text(io.BufferedReader(standard_input, BLOCK), "Standard input", shapes)
            return
        database = _database(Path(path))
        if database is None:
            yield _of_text(held.enter_context(io.BufferedReader(io.FileIO(path), BLOCK)), path, shapes)
        else:
            yield _of_database(held.enter_context(contextlib.closing(database)), path, shapes)


def _database(path: Path) -> DatabaseFile | None:
    if not path.is_file():
        return None  # a pipe, of which each byte comes once
    found = (dialect.open_file(path) for dialect in dialects.all_dialects().values())
    return next(filter(None, found), None)


def _of_text(file: io.BufferedReader, name: str, shapes: Mapping[str, Shape]) -> Source:
    head = file.peek()
    if not head:
        raise SourceError(f"{name} is empty: there is nothing to load.")
    if b"\0" in head:
        raise SourceError(f"{name} is neither JSON Lines nor CSV in UTF-8, nor a database file that can be read here.")
    match head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]:
        case b"{":
            return _of_json_lines(file, shapes)
        case b"[":
            raise SourceError(f"{name} is one JSON list: put each record on a line of its own, as dumpdata does.")
    return _of_csv(file, head, shapes)


class _Head(msgspec.Struct):
    model: str


def _of_json_lines(file: BinaryIO, shapes: Mapping[str, Shape]) -> Source:
    model_of = msgspec.json.Decoder(_Head).decode

    def parse(line: bytes) -> Item:
        try:
            label = model_of(line).model
        except (msgspec.MsgspecError, RecursionError):
            label = decode(line, _Head).model
        shape = shapes.get(label)
        if shape is None:
            raise InvalidBody(errors=[FieldError("/model", f"is no model of the apps, which are {', '.join(shapes)}")])
        return label, shape.as_row(decode(line, shape.line))

    columns = {label: shape.columns for label, shape in shapes.items()}
    return Source("line", columns, read_json_lines(file, parse))


def _of_csv(file: BinaryIO, head: bytes, shapes: Mapping[str, Shape]) -> Source:
    """As an import: rows get new ids. The header tells which model they are of."""
    header: set[str] = set()
    with contextlib.suppress(csv.Error):  # read_csv says what is wrong with it
        header.update(next(csv.reader([head.partition(b"\n")[0].decode(errors="replace")]), []))
    taken = {label: shape.record for label, shape in shapes.items() if shape.record is not None}
    if not taken:
        raise SourceError("No app takes CSV: its service says what a `record` is.")
    label = max(taken, key=lambda label: len(header.intersection(taken[label].__struct_fields__)))
    names = columns_of(taken[label])
    columns = {column.key: column for column in shapes[label].columns}

    def batches() -> Iterator[Batch[Item]]:
        for batch in read_csv(file, taken[label]):
            rows = [(line, (label, tuple(getattr(record, name) for name in names))) for line, record in batch.accepted]
            yield Batch(rows, batch.refused, batch.faults)

    return Source("line", {label: [columns[name] for name in names]}, batches())


def _of_database(file: DatabaseFile, name: str, shapes: Mapping[str, Shape]) -> Source:
    there = file.columns()
    columns = {
        label: _shared_columns(shape, there[shape.table.name])
        for label, shape in shapes.items()
        if shape.table.name in there
    }
    if not columns:
        wanted = ", ".join(shape.table.name for shape in shapes.values())
        raise SourceError(f"{name} has none of the apps' tables, which are {wanted}.")

    def batches() -> Iterator[Batch[Item]]:
        for label, shared in columns.items():
            names = [column.key for column in shared]
            rows = file.rows(shapes[label].table.name, names)
            convert = partial(msgspec.convert, type=shapes[label].struct(shared))
            while some := list(islice(rows, BATCH)):
                batch: Batch[Item] = Batch()
                for row in some:
                    values = dict(zip(names, row, strict=True))
                    try:
                        batch.accepted.append((row[0], (label, msgspec.structs.astuple(convert(values)))))
                    except msgspec.ValidationError:
                        batch.refuse(row[0], faults(values, shapes[label].struct(shared)))
                yield batch

    ours = {*Base.metadata.tables, "alembic_version"}
    return Source("id", columns, batches(), sorted(there.keys() - ours))


def _shared_columns(shape: Shape, there: Sequence[str]) -> list[sa.Column[Any]]:
    """Those that a table of that shape has in the file. Only the times may be missing, and what may be NULL."""
    missing = [c.key for c in shape.columns if c.key not in there and not c.nullable and c.key not in TIMES]
    unknown = [name for name in there if name not in shape.table.c]
    if missing:
        raise SourceError(f"Table {shape.table.name} of the file lacks {', '.join(missing)}.")
    if unknown:
        raise SourceError(f"Table {shape.table.name} has no column for {', '.join(unknown)}, which the file's has.")
    return [column for column in shape.columns if column.key in there]


TIMES = frozenset({"created_at", "updated_at"})
"""Rows that come without them are from now."""

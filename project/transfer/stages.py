"""Where rows wait between being read and being written: in order, on disk."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Optional

import msgspec
import sqlalchemy as sa

Row = tuple[Any, ...]
"""The line of the file that it was read from, then its values."""


class Stage:
    """Rows of tables, given by the columns that each row has values for. It may be iterated more than once."""

    def __init__(self, file: BinaryIO, columns: Mapping[str, Sequence[sa.Column[Any]]]) -> None:
        self.count = 0
        self._file = file
        self._encode = msgspec.msgpack.Encoder().encode
        self._split = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw]).decode
        self._decode = {table: msgspec.msgpack.Decoder(_rows_of(found)).decode for table, found in columns.items()}

    def put(self, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        data = self._encode((table, rows))
        self._file.write(len(data).to_bytes(8, "big"))
        self._file.write(data)
        self.count += len(rows)

    def __iter__(self) -> Iterator[tuple[str, list[Row]]]:
        """The tables and rows as they were put in."""
        self._file.seek(0)
        while length := self._file.read(8):
            table, rows = self._split(self._file.read(int.from_bytes(length, "big")))
            yield table, self._decode[table](rows)


def python_type(column: sa.Column[Any]) -> Any:
    """What its values are, without their rules."""
    kind = column.type
    if isinstance(kind, sa.TypeDecorator) and kind.python_type is object:
        kind = kind.impl_instance
    return kind.python_type


def _rows_of(columns: Sequence[sa.Column[Any]]) -> Any:
    kinds: list[Any] = [int]
    for column in columns:
        kind = python_type(column)
        kinds.append(Optional[kind] if column.nullable else kind)  # noqa: UP045 - the types are values here
    return list[tuple[tuple(kinds)]]  # type: ignore[misc]

"""What the apps hold, as it is at one moment, in a file."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, BinaryIO, Literal

import msgspec
import sqlalchemy as sa

from project.database import Database
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.transfer.exports import Encode, encode_csv
from project.transfer.shapes import Shape

Form = Literal["jsonl", "csv"]


async def dump(
    database: Database, shapes: Sequence[Shape], form: Form, file: BinaryIO, report: Callable[[int], Any]
) -> None:
    """Fill the file with the rows of those shapes; a CSV can hold one. `report` is told how many are written so far."""

    async def work(tables: Tables) -> None:
        file.seek(0)
        file.truncate()
        written = 0
        for shape in shapes:
            head, encode = _encoding(shape, form)
            file.write(head)
            async for rows in tables.rows(shape):
                file.write(encode(rows))
                written += len(rows)
                report(written)

    await database.snapshot(Tables, work)


class Tables:
    """The rows of any table, at the moment of a snapshot."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def rows(self, shape: Shape) -> AsyncIterator[list[Row]]:
        """The shape's columns, times as text, in order of the keys."""
        select = sa.select(*shape.columns).order_by(*shape.keys)
        async for rows in self._session.chunks(Statement(select, times_as_text=True)):
            yield rows


def _encoding(shape: Shape, form: Form) -> tuple[bytes, Encode]:
    """What stands before the rows, and what makes bytes of them."""
    if form == "csv":
        return encode_csv([[column.key for column in shape.columns]]), encode_csv
    encode = msgspec.json.Encoder().encode_lines
    return b"", lambda rows: encode(map(shape.as_line, rows))

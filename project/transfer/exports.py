"""Rows as files: CSV and JSON Lines, in chunks of rows."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import starmap
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from project.database import Database
from project.database.statements import Row
from project.services import Service

S = TypeVar("S", bound=Service[Any, Any, Any])

Encode = Callable[[Iterable[Row]], bytes]


class Format(NamedTuple):
    """A way to write rows whose values are those of a struct's fields."""

    media_type: str
    head: Callable[[Sequence[str]], bytes]
    """What stands before the first row, given the names of the fields."""
    encoder: Callable[[type[Any]], Encode]


def encode_csv(rows: Iterable[Row]) -> bytes:
    """RFC 4180 in UTF-8, but for its line ends: LF alone, as JSON Lines has it and every tool takes it.

    Numbers are the shortest text that reads as the same double. Text that a spreadsheet would take for a formula is
    left as it is: this is data, and whoever reads it back wants what was written.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _json_lines_encoder(struct: type[Any]) -> Encode:
    encode = msgspec.json.Encoder().encode_lines
    return lambda rows: encode(starmap(struct, rows))


FORMATS = {
    "csv": Format("text/csv; header=present", lambda names: encode_csv([names]), lambda struct: encode_csv),
    "jsonl": Format("application/x-ndjson", lambda names: b"", _json_lines_encoder),
}


async def export_rows(
    database: Database,
    service: type[S],
    rows: Callable[[S], AsyncIterator[Sequence[Row]]],
    form: Format,
    file: BinaryIO,
) -> None:
    """Fill the file with rows of the service's `schema`, as they are at one moment.

    A client that is sent the whole file later keeps no snapshot open, and sees no failure of the database half-way.
    """
    encode = form.encoder(service.schema)

    def append(chunk: Sequence[Row]) -> None:
        file.write(encode(chunk))

    async def work(source: S) -> None:
        file.seek(0)
        file.truncate()
        file.write(form.head(service.schema.__struct_fields__))
        async for chunk in rows(source):
            await asyncio.to_thread(append, chunk)

    await database.snapshot(service, work)

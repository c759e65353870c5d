"""Records in files: CSV and JSON Lines into structs, each refusal with its line, at constant memory.

Reading is work for a processor, not for an event loop: each step of these generators takes some milliseconds of it.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, BinaryIO, Generic, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from project.faults import escape, faults
from project.problems import MOST_ERRORS, FieldError, InvalidBody, Malformed, Problem, TooLarge

T = TypeVar("T")

MOST_LINE = 1024 * 1024
"""Bytes of a line, its end not counted."""
MOST_POINTER = 200
"""Characters of it that are reported: the name of a field that nobody knows may be as long as a line."""
BLOCK = 256 * 1024
BATCH = 1000
"""Records that are read in one step."""


class RecordFault(msgspec.Struct, frozen=True):
    """What is wrong with a record that was refused."""

    line: Annotated[int, Meta(ge=1, description="The first line of the record; the header of a CSV is line 1.")]
    pointer: Annotated[str, Meta(description="JSON pointer to the field, empty for the whole.", examples=["/cgpa"])]
    detail: Annotated[str, Meta(description="What is wrong with it.", examples=["must be at most 10"])]


class Batch(msgspec.Struct, Generic[T]):
    """Records that follow each other: those that are valid, each with its line, and what is wrong with the others."""

    accepted: list[tuple[int, T]] = []
    refused: int = 0
    faults: list[RecordFault] = []

    def refuse(self, line: int, found: Sequence[FieldError]) -> None:
        self.refused += 1
        self.faults.extend(RecordFault(line, fault.pointer[:MOST_POINTER], fault.detail) for fault in found)

    def is_full(self) -> bool:
        return len(self.accepted) + self.refused >= BATCH


def read_json_lines(file: BinaryIO, parse: Callable[[bytes], T]) -> Iterator[Batch[T]]:
    """The records of lines of JSON; empty lines are none. `parse` raises Problem for one that is not valid.

    Raises Malformed for text that is not UTF-8, TooLarge for a line over MOST_LINE.
    """
    for first, block in _blocks(file):
        batch: Batch[T] = Batch()
        for line, text in enumerate(block.split(b"\n"), first):
            if not text or text.isspace():
                continue
            if batch.is_full():
                yield batch
                batch = Batch()
            try:
                batch.accepted.append((line, parse(text)))
            except Problem as problem:
                batch.refuse(line, problem.errors or [FieldError("", problem.detail)])
        yield batch


def read_csv(file: BinaryIO, shape: type[T]) -> Iterator[Batch[T]]:
    """The records of comma-separated values (RFC 4180) as that struct; empty lines are none.

    The first line names the struct's fields, in any order: all that it requires, and others that it knows. Fields whose
    type is Any are passed over. Numbers are written as in JSON.

    Raises InvalidBody for another header, Malformed for text that is not UTF-8, TooLarge for a record over MOST_LINE.
    """
    lines = _CSVLines(file)
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise InvalidBody(f"The first line, which has to name the columns, {_sentence(error)}.") from error
    columns = _columns(header, shape)
    batch: Batch[T] = Batch()
    while True:
        if batch.is_full():
            yield batch
            batch = Batch()
        line = rows.line_num + 1
        lines.begin_record()
        try:
            row = next(rows, None)
        except csv.Error as error:
            batch.refuse(line, [FieldError("", _sentence(error))])
            continue
        if row is None:
            break
        if len(row) == len(header):
            values = {name: read(row[index]) if read else row[index] for index, name, read in columns}
            try:
                batch.accepted.append((line, msgspec.convert(values, shape)))
            except msgspec.ValidationError:
                batch.refuse(line, faults(values, shape))
        elif row:
            batch.refuse(line, [FieldError("", f"has {len(row)} fields, but the header has {len(header)}")])
    yield batch


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Whole lines of UTF-8, some at a time, and the number of the first of them."""
    line = 1
    rest = b""
    while piece := file.read(BLOCK):
        if line == 1 and not rest:
            piece = piece.removeprefix(codecs.BOM_UTF8)
        end = piece.rfind(b"\n") + 1
        if len(rest) + (piece.find(b"\n") if end else len(piece)) > MOST_LINE:
            raise TooLarge(f"Line {line} is longer than {MOST_LINE // 1024} KiB.")
        if not end:
            rest += piece
            continue
        block = rest + piece[:end]
        rest = piece[end:]
        yield line, _checked(block, line)
        line += block.count(b"\n")
    if rest:
        yield line, _checked(rest, line)


def _checked(block: bytes, line: int) -> bytes:
    try:
        block.decode()
    except UnicodeDecodeError as error:
        line += block.count(b"\n", 0, error.start)
        raise Malformed(f"Line {line} is not UTF-8: save the file as UTF-8 and send it again.") from error
    return block


class _CSVLines:
    """The lines of a file, each with its end. Raises TooLarge where quotes make one record of too many of them."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = self._read(file)
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def begin_record(self) -> None:
        self._length = 0

    def _read(self, file: BinaryIO) -> Iterator[str]:
        for line, block in _blocks(file):
            self._length += len(block)
            if self._length > MOST_LINE + 2 * BLOCK:
                raise TooLarge(f"Quotes that are open in line {line} make a record over {MOST_LINE // 1024} KiB.")
            yield from io.StringIO(block.decode(), newline="\n")


_Reader = Callable[[str], Any]


def _columns(header: list[str], shape: type[Any]) -> list[tuple[int, str, _Reader | None]]:
    """For each column that counts: its place, its name, and what reads its text, unless it is to be text."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(shape)}
    unknown = islice((name for name in header if name not in fields), MOST_ERRORS)
    found = [FieldError(f"/{escape(name)}"[:MOST_POINTER], "is no column here") for name in unknown]
    found += [FieldError(f"/{name}", "stands twice in the header") for name in fields if header.count(name) > 1]
    found += [
        FieldError(f"/{name}", "is missing from the header")
        for name, field in fields.items()
        if field.required and name not in header
    ]
    if found:
        required = ",".join(name for name, field in fields.items() if field.required)
        raise InvalidBody(f"The first line has to name the columns, such as {required}.", errors=found)
    return [
        (index, name, _NUMBERS.get(_bare(fields[name].type)))
        for index, name in enumerate(header)
        if fields[name].type is not Any
    ]


def _bare(kind: Any) -> Any:
    """The type without its notes, and without the alternative that it is absent."""
    while (inner := get_args(kind)) and get_origin(kind) is not list:
        kind = inner[0]
    return kind


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)


def _float(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text) else text


def _int(text: str) -> int | str:
    return int(text) if _INTEGER.fullmatch(text) else text


_NUMBERS: dict[Any, _Reader] = {float: _float, int: _int}


def _sentence(error: csv.Error) -> str:
    """The csv module speaks to programmers."""
    text = str(error)
    if "unexpected end" in text:
        return "opens a quote that is never closed"
    if "expected after" in text:
        return 'goes on after a closing quote: inside quotes, a quote is written twice, ""'
    if "new-line" in text:
        return "has a carriage return outside quotes: lines end in LF or CRLF"
    if "field limit" in text:
        return f"has a field over {csv.field_size_limit()} characters"
    return f"is not CSV: {text}"

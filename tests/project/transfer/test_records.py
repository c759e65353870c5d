from collections.abc import Iterator
from functools import partial
from io import BytesIO

import msgspec
import pytest

from project.dto import decode
from project.transfer.records import BATCH, Batch, read_csv, read_json_lines


class Book(msgspec.Struct):
    title: str


def as_csv(line: bytes) -> Iterator[Batch[Book]]:
    return read_csv(BytesIO(b"title\n" + line * 3 * BATCH), Book)


def as_json_lines(line: bytes) -> Iterator[Batch[Book]]:
    return read_json_lines(BytesIO(line * 3 * BATCH), partial(decode, shape=Book))


@pytest.mark.parametrize(
    "batches",
    [as_csv(b'"a"b\n'), as_csv(b"a,b\n"), as_csv(b"a\n"), as_json_lines(b"{}\n"), as_json_lines(b'{"title": "a"}\n')],
    ids=["no CSV", "too many fields", "CSV", "no title", "JSON"],
)
def test_records_come_a_bounded_number_at_a_time_whatever_is_wrong_with_them(batches: Iterator[Batch[Book]]) -> None:
    sizes = [len(batch.accepted) + batch.refused for batch in batches]
    assert max(sizes) == BATCH
    assert sum(sizes) == 3 * BATCH

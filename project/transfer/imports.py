"""Imports over HTTP: a file of any size becomes rows, and a report says what became of each record."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, BinaryIO

import msgspec
from litestar import Request
from msgspec import Meta

from project.database import Database
from project.database.errors import Unavailable
from project.dto import decode
from project.idempotency import Answer, Claim, answer_once
from project.problems import UnsupportedMedia
from project.services import Service
from project.transfer.records import Batch, RecordFault, read_csv, read_json_lines
from project.transfer.spools import spool
from project.transfer.stages import Row, Stage

MOST_FAULTS = 1000
UNIT = 8000
"""Rows that are written at once where other writers may come in between.

They take SQLite a fifth of a second. Fewer would be no kinder: each writes the index pages that it touched to disk,
and a thousand rows touch nearly as many as eight thousand do.
"""

Count = Annotated[int, Meta(ge=0, examples=[1])]


class ImportOptions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    dry_run: Annotated[bool, Meta(description="Only report what would happen.")] = False
    atomic: Annotated[bool, Meta(description="Keep none if one is refused.")] = False


class ImportReport(msgspec.Struct):
    """What an import did, or with `dry_run` would do."""

    created: Count
    refused: Count
    dry_run: bool
    atomic: bool
    errors: Annotated[list[RecordFault], Meta(max_length=MOST_FAULTS, description="The first 1,000 errors.")]
    errors_truncated: Annotated[bool, Meta(description="Whether there were more.")]

    def refuse(self, records: int, faults: Sequence[RecordFault]) -> None:
        self.refused += records
        room = MOST_FAULTS - len(self.errors)
        self.errors.extend(faults[:room])
        self.errors_truncated = self.errors_truncated or len(faults) > room


def records_of(request: Request[Any, Any, Any], body: BinaryIO, shape: type[Any]) -> Iterator[Batch[Any]]:
    """The records in the body, which its media type says how to read. Raises UnsupportedMedia."""
    media, options = request.content_type
    if options.get("charset", "utf-8").lower() in ("utf-8", "utf8"):
        if media == "text/csv":
            return read_csv(body, shape)
        if media == "application/x-ndjson":
            return read_json_lines(body, partial(decode, shape=shape))
    raise UnsupportedMedia(
        "Send CSV with Content-Type: text/csv, or JSON Lines with Content-Type: application/x-ndjson, both in UTF-8: "
        "curl --data-binary @FILE -H 'Content-Type: text/csv'."
    )


async def import_records(
    database: Database,
    service: type[Service[Any, Any, Any]],
    records: Iterator[Batch[Any]],
    options: ImportOptions,
    claimed: Claim | None,
) -> Answer:
    """Insert what is valid of records as the service's `record` struct has them.

    All is read before any is written: no other write waits for the reading, and what is wrong with the file as a whole
    comes to light while there is nothing to take back.
    """
    names = columns_of(service.record)
    model = service.repository_type.model_type
    table = model.__tablename__
    report = ImportReport(0, 0, options.dry_run, options.atomic, [], False)
    with spool() as file:
        stage = Stage(file, {table: [model.__table__.c[name] for name in names]})
        while await asyncio.to_thread(_read_some, records, names, stage, table, report):
            pass
        is_kept = not (options.atomic and report.refused)
        report.created = stage.count if is_kept else 0
        is_written = is_kept and not options.dry_run

        if claimed is not None or (options.atomic and is_written):

            async def unit(target: Service[Any, Any, Any]) -> Answer:
                """One transaction, however long it takes: a part must not be seen without the rest, nor without the
                answer that a repetition of the request is going to get."""
                if is_written:
                    await _write(names, stage, target)
                return _answer(report)

            return await answer_once(database, service, claimed, unit)
        if is_written:
            await _write_in_turns(database, service, stage, names, report)
        return _answer(report)


def columns_of(record: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a record that are kept: a field of type Any may be in a file, and is passed over."""
    return tuple(field.name for field in msgspec.structs.fields(record) if field.type is not Any)


def _read_some(
    records: Iterator[Batch[Any]], names: Sequence[str], stage: Stage, table: str, report: ImportReport
) -> bool:
    """Whether there was anything left to read."""
    batch = next(records, None)
    if batch is None:
        return False
    report.refuse(batch.refused, batch.faults)
    stage.put(table, [(line, *(getattr(record, name) for name in names)) for line, record in batch.accepted])
    return True


async def _write_in_turns(
    database: Database, service: type[Service[Any, Any, Any]], stage: Stage, names: Sequence[str], report: ImportReport
) -> None:
    """Some rows at a time, each time a unit of work, so that other writes come in between.

    Where the database fails after some were kept, the report says so, and an error would not.
    """
    kept = 0
    for unit in _units(stage):
        try:
            await database.write(service, partial(_write, names, unit))
        except Unavailable as error:
            if not kept:
                raise
            line = unit[0][1][0][0]
            report.refuse(report.created - kept, [RecordFault(line, "", f"not kept, nor any after it: {error}")])
            report.created = kept
            return
        kept += sum(len(rows) for _, rows in unit)


def _units(stage: Stage) -> Iterator[list[tuple[str, list[Row]]]]:
    unit: list[tuple[str, list[Row]]] = []
    for table, rows in stage:
        unit.append((table, rows))
        if sum(len(rows) for _, rows in unit) >= UNIT:
            yield unit
            unit = []
    if unit:
        yield unit


async def _write(
    names: Sequence[str], staged: Iterable[tuple[str, Sequence[Row]]], target: Service[Any, Any, Any]
) -> None:
    target.repository.session.trail.name("import")
    for _, rows in staged:
        await target.repository.add_blindly([dict(zip(names, row[1:], strict=True)) for row in rows])


def _answer(report: ImportReport) -> Answer:
    return Answer(200, msgspec.json.encode(report), {})

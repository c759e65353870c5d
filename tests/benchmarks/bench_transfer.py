"""What an import and an export reach of the raw driver: `python -m tests.benchmarks.bench_transfer`.

The same rows, in turns, each import into a database of its own: through the service, as one request with a CSV file;
and by the driver alone, which is handed rows that are valid already (`executemany`; on PostgreSQL COPY), and gives rows
that are then written as CSV or JSON Lines. Both have the same core, the same indexes and the same durability.
"""

import asyncio
import csv
import datetime as dt
import io
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import starmap
from pathlib import Path
from typing import Any, Protocol

import asyncmy
import asyncpg
import click
import msgspec
from asyncmy.cursors import SSCursor
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from apps.students.schemas import Student
from project.database import migrations
from tests.servers import in_a_loop
from tests.units import opened

from .data import as_csv, students
from .databases import ENGINES, databases, engine_option
from .processes import Cores, Failure
from .report import Machine, Spread, describe_machine, json_option, new_console, show_machine, spread, write_json
from .service import Served, on_core, serving

TOGETHER = 10_000
"""Rows that a driver is given at once, and that it gives."""
WRITTEN = ("name", "department", "cgpa", "name_folded", "created_at", "updated_at")
READ = ", ".join(Student.__struct_fields__)
NOW = dt.datetime(2026, 1, 31, 9, 30, 0, 123456, dt.UTC)
MOST_SECONDS = 3600
PIECE = 256 * 1024

Rows = Sequence[tuple[Any, ...]]


class Figure(msgspec.Struct, frozen=True):
    """Seconds; `share` is what the driver alone took over what the service took, by round."""

    engine: str
    what: str
    service: Spread
    driver: Spread
    share: Spread
    peak: int
    """The most bytes that the service had in memory."""


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    rows: int
    rounds: int
    figures: list[Figure]


@click.command()
@engine_option
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@json_option
def main(engines: tuple[str, ...], rows: int, rounds: int, json_file: Path | None) -> None:
    """Compare imports and exports with what the driver alone does."""
    progress = Console(stderr=True)
    figures: list[Figure] = []
    with databases() as (folder, created):
        machine = describe_machine(folder)
        roster = students(rows)
        file = as_csv(roster)
        valid = [(*student, student.name.casefold()) for student in roster]
        for engine in engines or ENGINES:
            took: dict[str, tuple[list[float], list[float]]] = {}
            peaks: dict[str, int] = {}
            for round_number in range(1, rounds + 1):
                progress.print(f"{engine}: round {round_number}", style="dim")
                urls = created.create(engine), created.create(engine)
                try:
                    play(engine, folder, urls, file, valid, took, peaks)
                except Failure as failure:
                    raise click.ClickException(f"{engine}: {failure}") from None
            figures += _figures(engine, took, peaks)
    report = Report(machine, rows, rounds, figures)
    show(report, new_console())
    write_json(report, json_file)


def play(
    engine: str,
    folder: Path,
    urls: tuple[str, str],
    file: bytes,
    valid: Rows,
    took: dict[str, tuple[list[float], list[float]]],
    peaks: dict[str, int],
) -> None:
    """One round of all: import, and export in both formats."""
    cores = Cores()

    def note(what: str, service: float, driver: float) -> None:
        both = took.setdefault(what, ([], []))
        both[0].append(service)
        both[1].append(driver)

    for url in urls:
        in_a_loop(lambda url=url: _migrate(url))  # type: ignore[misc]
    through, alone = urls
    driver = DRIVERS[engine](alone)
    with serving(through, folder, [cores.server]) as served:
        with on_core(cores.load):
            service = _measured(served, peaks, "import", lambda: import_csv(served, file, len(valid)))
        with on_core(cores.server):
            note("import", service, in_a_loop(lambda: _timed_import(driver, valid)))
        for form, encode in (("csv", encode_csv), ("jsonl", encode_json_lines)):
            what = f"export {form}"
            with on_core(cores.load):
                service = _measured(served, peaks, what, lambda form=form: export(served, form, len(valid)))  # type: ignore[misc]
            with on_core(cores.server):
                raw = in_a_loop(lambda encode=encode: _timed_export(driver, encode))  # type: ignore[misc]
            note(what, service, raw)


def _measured(served: Served, peaks: dict[str, int], what: str, work: Callable[[], None]) -> float:
    served.forget_peak()
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    peaks[what] = max(peaks.get(what, 0), served.peak())
    return took


def import_csv(served: Served, file: bytes, count: int) -> None:
    pieces = (file[start : start + PIECE] for start in range(0, len(file), PIECE))
    with served.client() as client:
        answer = client.post("/students/import", content=pieces, headers={"Content-Type": "text/csv"})
    if answer.status_code != 200 or answer.json()["created"] != count:
        raise Failure(f"the import answered {answer.status_code}: {answer.text[:200]}")


def export(served: Served, form: str, count: int) -> None:
    lines = 0
    with served.client() as client, client.stream("GET", f"/students/export?format={form}") as answer:
        for piece in answer.iter_raw(PIECE):
            lines += piece.count(b"\n")
    if lines != count + (form == "csv"):
        raise Failure(f"the export has {lines} lines")


async def _migrate(url: str) -> None:
    async with opened(url) as database:
        await migrations.migrate(database)


async def _timed_import(driver: "Driver", valid: Rows) -> float:
    rows = [(*row, driver.now, driver.now) for row in valid]
    async with asyncio.timeout(MOST_SECONDS):
        began = time.perf_counter()
        await driver.insert(rows)
        return time.perf_counter() - began


async def _timed_export(driver: "Driver", encode: Callable[[Iterable[Any]], bytes]) -> float:
    with tempfile.TemporaryFile() as file:
        async with asyncio.timeout(MOST_SECONDS):
            began = time.perf_counter()
            async for rows in driver.select():
                file.write(encode(rows))
            file.flush()
            return time.perf_counter() - began


def encode_csv(rows: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def encode_json_lines(rows: Iterable[Any]) -> bytes:
    return _encoder.encode_lines(starmap(Student, rows))


_encoder = msgspec.json.Encoder()


class Driver(Protocol):
    """`now` is a moment as the driver takes it."""

    now: Any

    def __init__(self, url: str) -> None: ...
    async def insert(self, rows: Rows) -> None:
        """All in one transaction."""
        ...

    def select(self) -> AsyncIterator[Sequence[Any]]: ...


class SQLite:
    now = "2026-01-31T09:30:00.123456Z"

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite:///")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "cache_size = -16384", "wal_autocheckpoint = 4000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    async def insert(self, rows: Rows) -> None:
        values = ", ".join("?" * len(WRITTEN))
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(f"INSERT INTO students ({', '.join(WRITTEN)}) VALUES ({values})", rows)
            connection.execute("COMMIT")

    async def select(self) -> AsyncIterator[Sequence[Any]]:
        with closing(self._connect()) as connection:
            cursor = connection.execute(f"SELECT {READ} FROM students ORDER BY id")
            while rows := cursor.fetchmany(TOGETHER):
                yield rows


class PostgreSQL:
    now = NOW

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def insert(self, rows: Rows) -> None:
        connection = await asyncpg.connect(self._url)
        await connection.copy_records_to_table("students", records=rows, columns=list(WRITTEN))
        await connection.close()

    async def select(self) -> AsyncIterator[Sequence[Any]]:
        connection = await asyncpg.connect(self._url)
        async with connection.transaction():
            cursor = await connection.cursor(f"SELECT {READ} FROM students ORDER BY id")
            while rows := await cursor.fetch(TOGETHER):
                yield rows
        await connection.close()


class MariaDB:
    now = NOW.replace(tzinfo=None)

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    async def _connect(self) -> Any:
        url = self._url
        return await asyncmy.connect(
            host=url.host, port=url.port, user=url.username, database=url.database, charset="utf8mb4"
        )

    async def insert(self, rows: Rows) -> None:
        connection = await self._connect()
        values = ", ".join(["%s"] * len(WRITTEN))
        async with connection.cursor() as cursor:
            for start in range(0, len(rows), TOGETHER):
                insert = f"INSERT INTO students ({', '.join(WRITTEN)}) VALUES ({values})"
                await cursor.executemany(insert, rows[start : start + TOGETHER])
        await connection.commit()
        connection.close()

    async def select(self) -> AsyncIterator[Sequence[Any]]:
        connection = await self._connect()
        async with connection.cursor(SSCursor) as cursor:
            await cursor.execute(f"SELECT {READ} FROM students ORDER BY id")
            while rows := await cursor.fetchmany(TOGETHER):
                yield rows
        connection.close()


DRIVERS: dict[str, type[Driver]] = {"sqlite": SQLite, "postgresql": PostgreSQL, "mariadb": MariaDB}


def _figures(engine: str, took: dict[str, tuple[list[float], list[float]]], peaks: dict[str, int]) -> Iterator[Figure]:
    for what, (service, driver) in took.items():
        share = [its / ours for ours, its in zip(service, driver, strict=True)]
        yield Figure(engine, what, spread(service), spread(driver), spread(share), peaks[what])


def show(report: Report, console: Console) -> None:
    show_machine(report.machine, console)
    console.print(
        f"{report.rows:,} rows, {report.rounds} rounds; medians (lowest-highest round); the share is what the service"
        " reaches of the driver's speed"
    )
    table = Table()
    table.add_column("engine")
    table.add_column("")
    for heading in ("service s", "rows/s", "driver s", "rows/s", "share", "peak MiB"):
        table.add_column(heading, justify="right")
    for it in report.figures:
        share = f"{it.share.median:.2f} ({it.share.low:.2f}-{it.share.high:.2f})"
        speeds = [(f"{found.median:.2f}", f"{report.rows / found.median:,.0f}") for found in (it.service, it.driver)]
        table.add_row(it.engine, it.what, *speeds[0], *speeds[1], share, f"{it.peak / 2**20:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()

"""How long a switch takes, and what clients feel of it: `python -m tests.benchmarks.bench_switch`.

Each direction has a source with that many rows, a service of two workers, and clients that create, replace, change with
If-Match, delete, send batches and repeat requests under their keys, before, during and after the switch. In the end the
target itself is asked for every row, and each write that was answered has to be in it once.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich.console import Console
from rich.table import Table

from tests.filling import filled
from tests.load import Load, Student
from tests.memory import Weighed
from tests.processes import ROOT, Service, running

from .databases import ENGINES, databases
from .processes import Failure
from .report import Machine, describe_machine, json_option

DIRECTIONS = tuple(f"{source}-{target}" for source in ENGINES for target in ENGINES if source != target)
SLOWEST = 1.0
"""Seconds that a write may take while the service moves."""
ADOPTED = 400
"""Rows that are there before, and that clients change while they are copied."""
PAUSE = ("FENCE", "LAST_READ", "COMMIT_TARGET", "COMMIT_SOURCE", "SEE", "OPEN")
"""The steps during which writes wait."""
WRITES = 500
"""That have to be answered before the switch, and after it."""
MOST_FAILURES = 20
"""That are reported of one run."""


class Leg(msgspec.Struct, frozen=True):
    """One run of the command, there or back, and the load that it was under."""

    rows: int
    """Copied, and caught up with."""
    seconds: float
    copied_rows_per_second: float | None
    """None on the way back, on which nothing is copied."""
    pause_ms: float
    pause_steps_ms: dict[str, float]
    """What the pause consists of: milliseconds from the beginning of each of its steps to that of the next."""
    slowest_ms: float
    """Of the writes that were under way between the fence and the command's end."""
    slowest_ever_ms: float
    """Of all of them, those included that came while rows were copied and compared."""
    writes: int
    memory: int
    """Bytes that the command had resident at most."""
    failures: list[str]
    """Requests that failed, writes that are not there once, and a command that did not end well."""


class Result(msgspec.Struct, frozen=True):
    direction: str
    rows: int
    there: Leg | None = None
    back: Leg | None = None
    failure: str | None = None

    @property
    def failures(self) -> list[str]:
        legs = [leg for leg in (self.there, self.back) if leg is not None]
        return [*([self.failure] if self.failure else []), *(failure for leg in legs for failure in leg.failures)]


class Plan(msgspec.Struct, frozen=True):
    rows: int
    clients: int
    think: float


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    plan: Plan
    results: list[Result]


@click.command()
@click.option(
    "--direction", "directions", type=click.Choice(DIRECTIONS), multiple=True, help="Repeatable; all by default."
)
@click.option("--rows", type=click.IntRange(ADOPTED), default=10_000, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=8, show_default=True)
@click.option("--think", type=click.FloatRange(0), default=0.01, show_default=True, help="Seconds of a client.")
@json_option
def main(directions: tuple[str, ...], rows: int, clients: int, think: float, json_file: Path | None) -> None:
    """Switch a service under load from each database to each other, and back.

    Exits with 1 when a request failed, a write took a second, or a write that was answered is not in the target once.
    """
    plan = Plan(rows, clients, think)
    progress = Console(stderr=True)
    with databases() as (folder, created):
        results = []
        for direction in directions or DIRECTIONS:
            progress.print(f"{direction}: {rows:,} rows", style="dim")
            source, target = (created.create(engine) for engine in direction.split("-"))
            try:
                results.append(measure(plan, direction, source, target))
            except Failure as failure:
                results.append(Result(direction, rows, failure=str(failure)))
        report = Report(describe_machine(folder), plan, results)
    console = Console()
    if not console.is_terminal:
        console.width = 160
    show(report, console)
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    sys.exit(1 if any(result.failures for result in results) else 0)


def measure(plan: Plan, direction: str, source: str, target: str) -> Result:
    """There under one load, and back under another."""
    filled(source, plan.rows)
    with running(source, "--workers=2", LOG_LEVEL="WARNING", DATABASE_URL_THERE=target) as service:
        there = _leg(plan, service, {"DATABASE_URL": source, "DATABASE_URL_THERE": target}, ["there"], target)
        if there.failures:
            return Result(direction, plan.rows, there)
        back = _leg(plan, service, {"DATABASE_URL": source, "DATABASE_URL_THERE": target}, ["--back"], source)
    return Result(direction, plan.rows, there, back)


def _leg(plan: Plan, service: Service, environment: dict[str, str], arguments: list[str], end: str) -> Leg:
    load = Load([service.url], plan.clients, plan.think, [*_some_students(service, plan.rows)])
    with load:
        load.wait_for(WRITES)
        moved = _switch(environment, arguments)
        if not moved.failure:
            load.wait_for(WRITES)
    broken = [f"{load.broken} requests were never answered"] if load.broken else []
    failures = [*load.failures, *load.refused, *broken, *([moved.failure] if moved.failure else [])]
    slowest = load.slowest(moved.fenced_at, moved.ended_at).seconds if not moved.failure else 0.0
    if slowest >= SLOWEST:
        failures.append(f"a write took {slowest:.1f} s")
    if not moved.failure:
        failures += load.differences(_dumped(end))
    return Leg(
        rows=moved.rows,
        seconds=moved.seconds,
        copied_rows_per_second=moved.rate,
        pause_ms=moved.pause_ms,
        pause_steps_ms=moved.pause_steps_ms,
        slowest_ms=slowest * 1000,
        slowest_ever_ms=load.slowest().seconds * 1000,
        writes=len(load.took),
        memory=moved.memory,
        failures=failures[:MOST_FAILURES],
    )


def _some_students(service: Service, rows: int) -> Iterator[Student]:
    """Spread over all of them; those that are not there any more are passed over."""
    with service.client() as client:
        for number in range(ADOPTED):
            answer = client.get(f"/students/{1 + number * rows // ADOPTED}")
            if answer.status_code == 200:
                yield answer.json()


class _Switch(NamedTuple):
    rows: int = 0
    seconds: float = 0.0
    rate: float | None = None
    pause_ms: float = 0.0
    pause_steps_ms: dict[str, float] = {}  # noqa: RUF012
    memory: int = 0
    fenced_at: float = 0.0
    ended_at: float = 0.0
    failure: str = ""


def _switch(environment: dict[str, str], arguments: list[str]) -> _Switch:
    """Runs the command; times are those of `time.monotonic`."""
    began: list[tuple[str, float]] = []
    said: list[str] = []
    with Weighed(
        "switchdb",
        *arguments,
        "--json",
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stderr:
            word, _, step = line.decode().strip().partition("step=")
            if step:
                began.append((step, time.monotonic()))
            else:
                said.append(word)
        output = process.stdout.read()
    ended = time.monotonic()
    if process.returncode != 0:
        return _Switch(failure=f"switchdb {' '.join(arguments)} failed: {' '.join(said[-2:])} {output.decode()}")
    report = json.loads(output)
    copied = sum(table["rows"] for table in report["tables"])
    first = dict(reversed(began))
    return _Switch(
        rows=report["rows"],
        seconds=report["seconds"],
        rate=copied / (first["COPIED"] - first["SNAPSHOT"]) if "COPIED" in first else None,
        pause_ms=report["pause_ms"],
        pause_steps_ms=_steps(dict(began), report["pause_ms"]),
        memory=process.peak(),
        fenced_at=first["FENCE"],
        ended_at=ended,
    )


def _steps(began: dict[str, float], pause_ms: float) -> dict[str, float]:
    """Of the attempt that came about, where there were several. The last one ends with the pause, not with a step."""
    times = [began[step] * 1000 for step in PAUSE]
    ends = [*times[1:], times[0] + pause_ms]
    return {step: end - start for step, start, end in zip(PAUSE, times, ends, strict=True)}


def _dumped(url: str) -> Iterator[Student]:
    """Every student that is in a database, whoever serves it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump"
        subprocess.run(
            [sys.executable, "manage.py", "dumpdata", "students", f"--output={path}"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            check=True,
            capture_output=True,
        )
        with path.open("rb") as file:
            for line in file:
                row = json.loads(line)
                yield {"id": row["pk"], **row["fields"]}


def show(report: Report, console: Console) -> None:
    machine, plan = report.machine, report.plan
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python};"
        f" a 4 KiB write reaches the disk in {machine.sync_microseconds:.0f} us"
    )
    console.print(f"{plan.rows:,} rows, {plan.clients} clients that think for {plan.think * 1000:g} ms, 2 workers")
    table = Table()
    for heading in ("direction", "", "rows moved", "seconds", "rows/s copied", "pause ms", "slowest write ms"):
        table.add_column(heading, justify="left" if heading in ("direction", "") else "right")
    for heading in ("while copying", "writes", "MiB", "failures"):
        table.add_column(heading, justify="right")
    for result in report.results:
        for name, leg in (("there", result.there), ("back", result.back)):
            if leg is not None:
                table.add_row(result.direction if name == "there" else "", name, *_cells(leg))
    console.print(table)
    for result in report.results:
        for failure in result.failures:
            console.print(f"{result.direction}: {failure}", style="red", markup=False)


def _cells(leg: Leg) -> Iterator[str]:
    yield f"{leg.rows:,}"
    yield f"{leg.seconds:,.1f}"
    yield "" if leg.copied_rows_per_second is None else f"{leg.copied_rows_per_second:,.0f}"
    yield f"{leg.pause_ms:,.0f}"
    yield f"{leg.slowest_ms:,.0f}"
    yield f"{leg.slowest_ever_ms:,.0f}"
    yield f"{leg.writes:,}"
    yield f"{leg.memory / 2**20:.0f}"
    yield f"{len(leg.failures)}"


if __name__ == "__main__":
    main()

"""Whether those who read wait for who searches a million rows: `python -m tests.benchmarks.bench_stalls`.

A service of one worker on one core. A client reads one student after the other, first alone and then while another has
the same worker search all names, or sum up all grades, again and again.
"""

import itertools
import statistics
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from tests.filling import filled

from .databases import ENGINES, databases, engine_option
from .processes import Cores, Failure
from .report import Machine, describe_machine, json_option, new_console, show_machine, write_json
from .service import Caller, Served, on_core, serving

SLOW = {
    "search": "/students?q=nobody+is+called+so",
    "search and count": "/students?q=ananya&count=true",
    "statistics": "/students/statistics",
}
FEWEST = 200
"""Reads from which on the hundredth slowest says something."""


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds."""

    reads: int
    p50: float
    p99: float
    slowest: float


class Figure(msgspec.Struct, frozen=True):
    """`answers` are those to the slow request, by status."""

    engine: str
    slow: str
    alone: Latency
    beside: Latency
    answers: dict[int, int]


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    rows: int
    figures: list[Figure]


@click.command()
@engine_option
@click.option("--rows", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--times", type=click.IntRange(1), default=10, show_default=True, help="Slow requests of each kind.")
@click.option("--reads", type=click.IntRange(FEWEST), default=5000, show_default=True, help="While nothing else is.")
@json_option
def main(engines: tuple[str, ...], rows: int, times: int, reads: int, json_file: Path | None) -> None:
    """Measure reads beside searches and statistics. Exits with 1 when a read failed."""
    progress = Console(stderr=True)
    figures: list[Figure] = []
    with databases() as (folder, created):
        machine = describe_machine(folder)
        for engine in engines or ENGINES:
            progress.print(f"{engine}: filling in {rows:,} rows", style="dim")
            url = filled(created.create(engine), rows)
            try:
                figures += measure(engine, url, folder, rows, times, reads)
            except Failure as failure:
                raise click.ClickException(f"{engine}: {failure}") from None
    report = Report(machine, rows, figures)
    show(report, new_console())
    write_json(report, json_file)


def measure(engine: str, url: str, folder: Path, rows: int, times: int, reads: int) -> Iterator[Figure]:
    cores = Cores()
    paths = itertools.cycle(f"/students/{1 + number * 7919 % rows}" for number in range(rows))
    with serving(url, folder, [cores.server]) as served, on_core(cores.load):
        caller = Caller(served.port)
        for name, slow in SLOW.items():
            read_while(caller, paths, _so_often(FEWEST))
            alone = read_while(caller, paths, _so_often(reads))
            answers: Counter[int] = Counter()
            asking = threading.Thread(target=_ask, args=(served, slow, times, answers))
            asking.start()
            try:
                beside = read_while(caller, paths, asking.is_alive)
            finally:
                asking.join()
            yield Figure(engine, name, alone, beside, dict(answers))
        caller.close()


def _ask(served: Served, path: str, times: int, answers: Counter[int]) -> None:
    with served.client() as client:
        answers.update(client.get(path).status_code for _ in range(times))


def _so_often(times: int) -> Callable[[], bool]:
    left = iter(range(times))
    return lambda: next(left, None) is not None


def read_while(caller: Caller, paths: Iterator[str], goes_on: Callable[[], bool]) -> Latency:
    found = [caller.get(next(paths))[0] / 1000]
    while goes_on():
        found.append(caller.get(next(paths))[0] / 1000)
    cuts = statistics.quantiles(found, n=100) if len(found) > 1 else found * 100
    return Latency(len(found), cuts[49], cuts[98], max(found))


def show(report: Report, console: Console) -> None:
    show_machine(report.machine, console)
    console.print(f"{report.rows:,} rows, one worker; reads of one student, one after the other, in milliseconds")
    table = Table()
    for heading in ("engine", "beside"):
        table.add_column(heading)
    for heading in ("reads", "p50", "p99", "slowest", "p50 / alone", "p99 / alone", "slow requests"):
        table.add_column(heading, justify="right")
    for it in report.figures:
        for name, latency in (("nothing", it.alone), (it.slow, it.beside)):
            is_alone = latency is it.alone
            table.add_row(
                it.engine,
                name,
                f"{latency.reads:,}",
                *(f"{value:.2f}" for value in (latency.p50, latency.p99, latency.slowest)),
                "" if is_alone else f"{latency.p50 / it.alone.p50:.2f}",
                "" if is_alone else f"{latency.p99 / it.alone.p99:.2f}",
                "" if is_alone else ", ".join(f"{count} x {status}" for status, count in sorted(it.answers.items())),
            )
    console.print(table)


if __name__ == "__main__":
    main()

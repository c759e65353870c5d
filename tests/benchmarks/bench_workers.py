"""What a second worker gives to those who read: `python -m tests.benchmarks.bench_workers`.

One worker and two serve the same database in turns. On a machine of two cores the load generator has to share them
with the workers, so two workers cannot be seen to be twice as fast there. What can be seen is whether a request costs
them more CPU than it costs one alone, and whether they share the requests evenly: from these two follows what they give
where cores are free for both.
"""

import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from tests.filling import filled

from .databases import ENGINES, databases, engine_option
from .load import Sample, run_wrk
from .processes import Cores, Failure
from .report import Machine, Spread, describe_machine, json_option, new_console, show_machine, spread, write_json
from .service import Served, serving

ROWS = 10_000
WORKERS = (1, 2)
PATHS = {"get": [f"/students/{number}" for number in range(1, ROWS + 1)], "page": ["/students?limit=20"]}


class Run(msgspec.Struct, frozen=True):
    """Microseconds of CPU for each answer; `busiest` is the share of the worker that did the most."""

    workers: int
    sample: Sample
    server: float
    generator: float
    busiest: float


class Figure(msgspec.Struct, frozen=True):
    engine: str
    route: str
    ratio: Spread
    """Of requests/s, two workers to one, by round: as measured here."""
    free: Spread
    """The same where both workers have a core of their own: by what a request costs them and how they share."""
    runs: list[Run]

    def median(self, workers: int, value: Callable[[Run], float]) -> float:
        return statistics.median(value(run) for run in self.runs if run.workers == workers)


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    rounds: int
    seconds: int
    connections: int
    figures: list[Figure]


@click.command()
@engine_option
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=3, show_default=True, help="Length of one run.")
@click.option("--connections", type=click.IntRange(1), default=32, show_default=True)
@json_option
def main(engines: tuple[str, ...], rounds: int, seconds: int, connections: int, json_file: Path | None) -> None:
    """Compare two workers with one. Exits with 1 when an answer was an error."""
    progress = Console(stderr=True)
    figures: list[Figure] = []
    with databases() as (folder, created):
        machine = describe_machine(folder)
        for engine in engines or ENGINES:
            progress.print(f"{engine}", style="dim")
            url = filled(created.create(engine), ROWS)
            try:
                figures += [compare(engine, route, url, folder, rounds, seconds, connections) for route in PATHS]
            except Failure as failure:
                raise click.ClickException(f"{engine}: {failure}") from None
    report = Report(machine, rounds, seconds, connections, figures)
    show(report, new_console())
    write_json(report, json_file)
    sys.exit(0 if all(run.sample.valid for figure in figures for run in figure.runs) else 1)


def compare(engine: str, route: str, url: str, folder: Path, rounds: int, seconds: int, connections: int) -> Figure:
    cores, load = _cores()
    requests = folder / f"{engine}-{route}"
    requests.write_text("".join(f"GET {path}\n" for path in PATHS[route]))
    runs: dict[int, list[Run]] = {workers: [] for workers in WORKERS}
    with serving(url, folder, cores, 1) as one, serving(url, folder, cores, 2) as two:
        for round_number in range(rounds + 1):  # the first one warms up, and is forgotten
            for workers, served in zip(WORKERS, (one, two), strict=True):
                run = _run(workers, served, requests, load, seconds, connections, round_number)
                if round_number:
                    runs[workers].append(run)
    pairs = list(zip(runs[1], runs[2], strict=True))
    return Figure(
        engine,
        route,
        spread([two.sample.rate / one.sample.rate for one, two in pairs]),
        spread([one.server / two.server / two.busiest for one, two in pairs]),
        [*runs[1], *runs[2]],
    )


def _cores() -> tuple[list[int], str]:
    """Those of the workers, and those of the load generator: others, where there are any."""
    cores = Cores()
    every = cores.every
    own = [core for core in every[:-2] if core != cores.database] or every
    return every[-2:], ",".join(map(str, own))


def _run(workers: int, served: Served, requests: Path, load: str, seconds: int, connections: int, seed: int) -> Run:
    before, began = served.cpu_seconds(), _of_children()
    sample = run_wrk(served.port, requests, core=load, seconds=seconds, connections=connections, seed=seed)
    generator = _of_children() - began
    used = [now - before.get(pid, 0) for pid, now in served.cpu_seconds().items()]
    if not sample.answers:
        raise Failure("nothing was answered")
    each = 1e6 / sample.answers
    return Run(workers, sample, sum(used) * each, generator * each, max(used) / sum(used))


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(report: Report, console: Console) -> None:
    show_machine(report.machine, console)
    console.print(
        f"{report.connections} connections, {ROWS:,} rows, {report.rounds} rounds of {report.seconds} s; medians"
        " (lowest-highest round); CPU in microseconds for each answer"
    )
    if report.machine.cores < 4:
        console.print(
            f"With {report.machine.cores} cores the load generator, and the database if it is a server, run on the same"
            " cores as the workers: the ratio that is measured is less than two workers can do. The one for free cores"
            " follows from the CPU that a request costs one worker and each of two, and from how evenly they share."
        )
    table = Table()
    table.add_column("engine")
    table.add_column("route")
    for heading in ("1 worker/s", "2 workers/s", "ratio here", "CPU of 1", "CPU of 2", "wrk", "busiest", "free cores"):
        table.add_column(heading, justify="right")
    for it in report.figures:
        table.add_row(
            it.engine,
            it.route,
            *(f"{it.median(workers, lambda run: run.sample.rate):,.0f}" for workers in WORKERS),
            f"{it.ratio.median:.2f} ({it.ratio.low:.2f}-{it.ratio.high:.2f})",
            *(f"{it.median(workers, lambda run: run.server):.0f}" for workers in WORKERS),
            f"{it.median(2, lambda run: run.generator):.0f}",
            f"{it.median(2, lambda run: run.busiest):.0%}",
            f"{it.free.median:.2f} ({it.free.low:.2f}-{it.free.high:.2f})",
        )
    console.print(table)


if __name__ == "__main__":
    main()

"""Samples to medians, ratios paired by round, and tables."""

import os
import platform
import statistics
import time
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from .lineup import OURS
from .runner import ROWS, Plan, Result


class Spread(msgspec.Struct, frozen=True):
    median: float
    low: float
    high: float


class Figure(msgspec.Struct, frozen=True):
    """One line; microseconds, resident bytes. `ratio` is our requests/s over the contender's, by round."""

    engine: str
    route: str
    contender: str
    rate: Spread | None
    ratio: Spread | None
    p50: float | None
    p99: float | None
    memory: int
    void: int


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    system: str
    python: str
    sync_microseconds: float


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    rows: int
    plan: Plan
    figures: list[Figure]
    results: list[Result]

    @property
    def complete(self) -> bool:
        return not any(figure.void for figure in self.figures) and not any(it.failure for it in self.results)


def describe_machine(folder: Path) -> Machine:
    processor = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return Machine(
        processor=processor,
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sync_microseconds=_sync_time(folder / "sync"),
    )


def summarize(plan: Plan, results: list[Result], machine: Machine) -> Report:
    figures = []
    for engine in plan.engines:
        here = {it.contender: it for it in results if it.engine == engine}
        ours = here.get(OURS)
        for route in plan.routes:
            figures += [_figure(route, it, ours) for it in here.values() if route in it.samples]
    return Report(machine, ROWS, plan, figures, results)


def new_console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = 140
    return console


def show_machine(machine: Machine, console: Console) -> None:
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.system}, Python {machine.python};"
        f" a 4 KiB write reaches the disk in {machine.sync_microseconds:.0f} us"
    )


json_option = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every figure here."
)


def write_json(report: msgspec.Struct, file: Path | None) -> None:
    if file:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(report)))


def show(report: Report, console: Console) -> None:
    plan = report.plan
    show_machine(report.machine, console)
    console.print(
        f"one server on one core, {plan.connections} connections, {report.rows:,} rows,"
        f" {plan.rounds} rounds of {plan.seconds} s; medians (lowest-highest round)"
    )
    logs: dict[str, list[str]] = {}
    for name, what in {result.contender: result.logs for result in report.results}.items():
        logs.setdefault(what, []).append(name)
    console.print(
        "logged of each request: " + "; ".join(f"{what} ({', '.join(names)})" for what, names in logs.items())
    )
    for engine in plan.engines:
        figures = [it for it in report.figures if it.engine == engine]
        if figures:
            console.print(_table(engine, figures))
    for result in report.results:
        if result.failure:
            console.print(f"{result.engine}: {result.contender}: {result.failure}", style="red", markup=False)


def _table(engine: str, figures: list[Figure]) -> Table:
    table = Table(title=engine, title_justify="left")
    table.add_column("route")
    table.add_column("contender", no_wrap=True)
    for heading in ("requests/s", f"{OURS} / it", "p50 ms", "p99 ms", "MiB", "void"):
        table.add_column(heading, justify="right", no_wrap=True)
    route = ""
    for it in figures:
        if route and it.route != route:
            table.add_section()
        table.add_row(
            it.route if it.route != route else "",
            it.contender,
            f"{it.rate.median:,.0f} ({it.rate.low:,.0f}-{it.rate.high:,.0f})" if it.rate else "-",
            f"{it.ratio.median:.2f} ({it.ratio.low:.2f}-{it.ratio.high:.2f})" if it.ratio else "-",
            f"{it.p50 / 1000:.2f}" if it.p50 else "-",
            f"{it.p99 / 1000:.2f}" if it.p99 else "-",
            f"{it.memory / 2**20:.0f}" if it.memory else "-",
            str(it.void) if it.void else "",
            style="bold" if it.contender == OURS else None,
        )
        route = it.route
    return table


def _figure(route: str, result: Result, ours: Result | None) -> Figure:
    samples = result.samples[route]
    good = [it for it in samples if it.valid]
    pairs = zip(ours.samples.get(route, []), samples, strict=False) if ours and ours is not result else ()
    ratios = [mine.rate / its.rate for mine, its in pairs if mine.valid and its.valid]
    return Figure(
        engine=result.engine,
        route=route,
        contender=result.contender,
        rate=spread([it.rate for it in good]) if good else None,
        ratio=spread(ratios) if ratios else None,
        p50=statistics.median(it.p50 for it in good) if good else None,
        p99=statistics.median(it.p99 for it in good) if good else None,
        memory=result.memory,
        void=len(samples) - len(good),
    )


def spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def _sync_time(file: Path) -> float:
    times = []
    with file.open("wb", buffering=0) as output:
        for _ in range(100):
            output.write(bytes(4096))
            start = time.perf_counter()
            os.fdatasync(output.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6

"""Where each microsecond of a request, or of a row of an import, goes:
`uv run --group bench python -m tests.benchmarks.bench_costs`.

A service of one worker on one core is asked as in the other benchmarks, or sent a file, first left alone and then while
py-spy looks at it from the other core. The first run says what a request or a row costs, the second one by what. Time
in C is that of the Python line that calls it, and time in what no layer names that of whoever in a layer calls it.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from tests.filling import filled

from .bench_transfer import import_csv
from .data import as_csv, students
from .databases import ENGINES, databases, engine_option
from .load import ROUTES, Paths, run_wrk, write_requests
from .processes import Cores, Failure
from .report import Machine, describe_machine, json_option, new_console, show_machine, write_json
from .runner import ROWS, WARM_UP
from .service import Served, on_core, serving

LOOKS = 500
"""A second."""
IMPORT = "import"
IMPORTED = 100_000
"""Rows in a file."""
IMPORT_SECONDS = 300
"""More than one may take."""

Load = Callable[[int], tuple[int, float]]
"""Asks for so many seconds, or imports a file; how many requests or rows, and microseconds of the clock for each."""

LAYERS = {
    "uvloop and the kernel": ("/asyncio/", "/uvloop/"),
    "HTTP": ("/uvicorn/", "/project/protocol.py", "/project/server.py", "/project/turns.py"),
    "around every request": (
        "/project/middleware.py", "/project/hosts.py", "/project/proxies.py", "/project/logs.py", "/project/metrics.py",
        "/prometheus_client/", "/project/access.py", "/project/callers.py", "/project/throttling.py",
        "/project/requests.py", "/project/fields.py",
    ),
    "the way to a handler": ("/litestar/", "/project/routing.py"),
    "bodies and queries": ("/project/dto.py", "/project/queries.py", "/project/faults.py"),
    "files of records": (
        "/project/transfer/imports.py", "/project/transfer/records.py", "/project/transfer/stages.py",
        "/project/transfer/spools.py",
    ),
    "handlers": ("/controllers.py", "/project/responses.py", "/project/conditional.py", "/project/idempotency.py"),
    "services and repositories": (
        "/services.py", "/repositories.py", "/models.py", "/project/pagination.py", "/advanced_alchemy/",
    ),
    "SQLAlchemy": ("/sqlalchemy/",),
    "sessions and statements": ("/project/database/", "/project/times.py"),
    "driver and database": ("/project/database/dialects/", "/aiosqlite/", "/asyncpg/", "/asyncmy/"),
    "audit trail": ("/project/database/trails.py", "/project/keys.py", "/project/audit/"),
}  # fmt: skip
"""By what a path holds; of several, the last is meant."""
REST = "the rest"
WAITING = ("_worker (", "_connection_worker_thread (")
"""What threads are in that wait for work, as a lock lets py-spy not see."""


class Figure(msgspec.Struct, frozen=True):
    """Microseconds a request, or a row: of the clock and of the processor, the latter by layer and by function."""

    engine: str
    route: str
    clock: float
    processor: float
    looks: int
    layers: dict[str, float]
    functions: dict[str, float]


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    connections: int
    seconds: int
    figures: list[Figure]


@click.command()
@engine_option
@click.option(
    "--route", "routes", type=click.Choice((*ROUTES, IMPORT)), multiple=True, help="Repeatable; all by default."
)
@click.option("--seconds", type=click.IntRange(1), default=10, show_default=True, help="Length of one run.")
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True)
@click.option("--functions", type=click.IntRange(0), default=0, show_default=True, help="So many of the costliest too.")
@json_option
def main(
    engines: tuple[str, ...],
    routes: tuple[str, ...],
    seconds: int,
    connections: int,
    functions: int,
    json_file: Path | None,
) -> None:
    """Measure what a request costs, or a row of an import, by layer."""
    py_spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if py_spy is None:
        raise click.ClickException("run it as: uv run --group bench python -m tests.benchmarks.bench_costs")
    progress = Console(stderr=True)
    figures: list[Figure] = []
    rows = students(ROWS)
    ids = [str(number) for number in range(1, ROWS + 1)]
    file = as_csv(students(IMPORTED))
    cores = Cores()
    with databases() as (folder, created):
        machine = describe_machine(folder)
        for engine in engines or ENGINES:
            progress.print(engine, style="dim")
            url = filled(created.create(engine), ROWS)
            try:
                with serving(url, folder, [cores.server]) as served:
                    look = Look(py_spy, served, folder / f"{engine}.stacks", cores.load, connections)
                    for route in ROUTES:
                        if route in (routes or ROUTES):
                            requests = folder / f"{engine}-{route}"
                            write_requests(requests, route, Paths(), ids, rows)
                            figures.append(look.measure(engine, route, partial(look.ask, requests), seconds))
                    if IMPORT in (routes or (IMPORT,)):
                        load = partial(look.import_file, file)
                        figures.append(look.measure(engine, IMPORT, load, IMPORT_SECONDS))
            except Failure as failure:
                raise click.ClickException(f"{engine}: {failure}") from None
    report = Report(machine, connections, seconds, figures)
    show(report, functions, new_console())
    write_json(report, json_file)


class Look:
    """At one service."""

    def __init__(self, py_spy: str, served: Served, stacks: Path, load_core: int, connections: int) -> None:
        self._py_spy = py_spy
        self._served = served
        self._stacks = stacks
        self._load_core = load_core
        self._connections = connections

    def measure(self, engine: str, route: str, load: Load, seconds: int) -> Figure:
        load(WARM_UP)
        before = self._served.cpu_seconds()
        done, clock = load(seconds)
        used = {pid: now - before.get(pid, 0) for pid, now in self._served.cpu_seconds().items()}
        processor = sum(used.values()) / done * 1e6
        layers, functions = self._watch(load, seconds, max(used, key=used.__getitem__))
        looks = layers.total()
        if not looks:
            raise Failure(f"py-spy saw nothing of {route}: more --seconds would show it more")
        each = processor / looks
        return Figure(
            engine,
            route,
            clock,
            processor,
            looks,
            {name: count * each for name, count in layers.items()},
            {name: count * each for name, count in functions.most_common()},
        )

    def ask(self, requests: Path, seconds: int) -> tuple[int, float]:
        sample = run_wrk(
            self._served.port,
            requests,
            core=self._load_core,
            seconds=seconds,
            connections=self._connections,
            seed=seconds,
        )
        if not sample.valid:
            raise Failure(f"of {requests.name} {sample.refused} were refused and {sample.broken} never answered")
        return sample.answers, 1e6 / sample.rate

    def import_file(self, file: bytes, seconds: int) -> tuple[int, float]:
        """One file, however long it takes."""
        began = time.perf_counter()
        with on_core(self._load_core):
            import_csv(self._served, file, IMPORTED)
        return IMPORTED, (time.perf_counter() - began) / IMPORTED * 1e6

    def _watch(self, load: Load, seconds: int, pid: int) -> tuple[Counter[str], Counter[str]]:
        command = ["taskset", "-c", str(self._load_core), self._py_spy, "record", "--pid", str(pid)]
        # It stops nothing to look at it: what is stopped stands in some calls rather than in others, far too often.
        command += ["--nonblocking", "--format=raw", "--full-filenames", f"--rate={LOOKS}", f"--duration={seconds}"]
        command += ["--output", str(self._stacks)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as watching:
            try:
                said = _said_before_it_looks(watching)
                load(seconds + 1)
                watching.send_signal(signal.SIGINT)
                said += watching.communicate(timeout=60)[0]
            finally:
                watching.kill()
        if watching.returncode:
            raise Failure(f"py-spy failed, which has to be allowed to look at processes: {said.strip()[-200:]}")
        return _sorted(self._stacks.read_text())


def _said_before_it_looks(watching: subprocess.Popen[str]) -> str:
    assert watching.stdout is not None
    said = ""
    while "Sampling" not in said and (line := watching.stdout.readline()):
        said += line
    return said


def _sorted(stacks: str) -> tuple[Counter[str], Counter[str]]:
    """Looks by layer, and by function: lines are `function (path:line);function (path:line) count`."""
    layers: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if frames[-1].startswith(WAITING) or not count.isdecimal():  # of which the latter was overwritten meanwhile
            continue
        layers[next((name for frame in reversed(frames) if (name := _layer(frame))), REST)] += int(count)
        function, _, place = frames[-1].partition(" (")
        functions[f"{function} ({'/'.join(Path(place.partition(':')[0]).parts[-3:])})"] += int(count)
    return layers, functions


def _layer(frame: str) -> str | None:
    found = [name for name, paths in LAYERS.items() if any(path in frame for path in paths)]
    return found[-1] if found else None


def show(report: Report, functions: int, console: Console) -> None:
    show_machine(report.machine, console)
    console.print(
        f"one worker on one core, {report.connections} connections, {ROWS:,} rows, runs of {report.seconds} s;"
        f" microseconds a request, or a row of an import of {IMPORTED:,}"
    )
    for engine in dict.fromkeys(it.engine for it in report.figures):
        figures = [it for it in report.figures if it.engine == engine]
        table = Table(title=engine, title_justify="left")
        table.add_column("of the processor")
        for figure in figures:
            table.add_column(figure.route, justify="right")
        for layer in (*LAYERS, REST):
            table.add_row(layer, *(f"{figure.layers.get(layer, 0):.0f}" for figure in figures))
        table.add_section()
        table.add_row("all of it", *(f"{figure.processor:.0f}" for figure in figures), style="bold")
        table.add_row("the clock", *(f"{figure.clock:.0f}" for figure in figures))
        console.print(table)
        for figure in figures if functions else ():
            console.print(f"{engine}, {figure.route}:")
            for name, cost in list(figure.functions.items())[:functions]:
                console.print(f"{cost:8.1f}  {name}", markup=False, highlight=False)


if __name__ == "__main__":
    main()

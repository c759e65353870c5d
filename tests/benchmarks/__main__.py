import shutil
import signal
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console

from .databases import ENGINES, engine_option
from .lineup import CONTENDERS
from .load import ROUTES
from .processes import Failure
from .report import describe_machine, new_console, show, summarize, write_json
from .runner import Plan, Runner

NAMES = tuple(contender.name for contender in CONTENDERS)


@click.command()
@engine_option
@click.option("--contender", "contenders", type=click.Choice(NAMES), multiple=True, help="Repeatable; all by default.")
@click.option("--route", "routes", type=click.Choice(tuple(ROUTES)), multiple=True, help="Repeatable; all by default.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=2, show_default=True, help="Length of one run.")
@click.option("--connections", type=click.IntRange(1), default=16, show_default=True)
@click.option("--no-request-logs", "hushed", is_flag=True, help="Nobody logs requests who can be told not to.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write every sample here.")
def main(
    engines: tuple[str, ...],
    contenders: tuple[str, ...],
    routes: tuple[str, ...],
    rounds: int,
    seconds: int,
    connections: int,
    hushed: bool,
    json_file: Path | None,
) -> None:
    """Measure Registrar beside what else people would run, each server on a core of its own.

    Each writes of its requests what its documentation has it write in production, to a file.

    Exits with 1 when a contender could not take part, or when any answer was an error.
    """
    if absent := [tool for tool in ("wrk", "taskset") if shutil.which(tool) is None]:
        raise click.ClickException(f"not installed: {' '.join(absent)}; the packages wrk and util-linux have them")
    if find_spec("psycopg2") is None:
        raise click.ClickException(
            "the contenders are not installed; run: uv run --group bench python -m tests.benchmarks"
        )
    plan = Plan(
        engines=list(engines or ENGINES),
        contenders=list(contenders or NAMES),
        routes=[route for route in ROUTES if not routes or route in routes],
        rounds=rounds,
        seconds=seconds,
        connections=connections,
    )
    # An ordinary kill ends the servers too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    progress = Console(stderr=True)
    say = partial(progress.print, style="dim", markup=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="registrar-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # the database servers may run as somebody else
        machine = describe_machine(folder)
        try:
            lineup = [contender.hushed() for contender in CONTENDERS] if hushed else CONTENDERS
            results = list(Runner(plan, folder, say).measure(lineup))
        except Failure as failure:
            raise click.ClickException(str(failure)) from None
    report = summarize(plan, results, machine)
    show(report, new_console())
    write_json(report, json_file)
    sys.exit(0 if report.complete else 1)


main()

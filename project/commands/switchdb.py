"""`manage.py switchdb`: the service, and all its rows, to another database."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import click

from project.commands._progress import progress
from project.commands._switch_report import show_report
from project.commands._target import with_target
from project.settings import load
from project.transfer import surveys
from project.transfer.charge import Failed, Stopped
from project.transfer.operations import Operations
from project.transfer.protocol import Refused, Step
from project.transfer.report import Report

GROUP = "Data"

_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0}


class Duration(click.ParamType[float]):
    """Seconds, of text such as 1s or 500ms."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|m|)", str(value).strip().lower())
        if not found or not float(found[1]):
            self.fail(f"{value!r} is no duration such as 1s or 500ms.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class Reporter:
    """A progress bar on a terminal, and elsewhere a line a step."""

    def __init__(self, tell: Callable[[str, int, int | None], None]) -> None:
        self.tell = tell

    def step(self, step: Step) -> None:
        if not sys.stderr.isatty():
            click.echo(f"step={step.name}", err=True)

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)


@click.command()
@click.argument("target", required=False)
@click.option("--plan", is_flag=True, help="Only say what would happen, and which rows would not arrive.")
@click.option("--verify", is_flag=True, help="Only compare the active database with TARGET, row by row.")
@click.option("--max-pause", type=Duration(), default="1s", show_default=True, help="Hold writers no longer than this.")
@click.option("--keep-copying", is_flag=True, help="Stay in step with the source, and do not move the service yet.")
@click.option("--cutover", is_flag=True, help="Move the service, of which --keep-copying has copied the rows.")
@click.option("--resume", is_flag=True, help="Go on with a switch that was interrupted.")
@click.option("--abort", is_flag=True, help="Take back all of a switch that is under way.")
@click.option("--back", is_flag=True, help="Return to the database left last, with what has changed since.")
@click.option("--complete", is_flag=True, help="Give up the way back.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def switchdb(
    ctx: click.Context,
    target: str | None,
    plan: bool,
    verify: bool,
    max_pause: float,
    keep_copying: bool,
    cutover: bool,
    resume: bool,
    abort: bool,
    back: bool,
    complete: bool,
    as_json: bool,
) -> None:
    """Move the service to the database TARGET while it runs.

    TARGET is an alias, DATABASE_URL_<ALIAS> in the settings, or a URL, which is then saved in .env under an alias. All
    rows are copied and compared while clients go on reading and writing; then writers wait for a moment, and every
    server follows by itself. Ctrl-C stops between two steps: --resume goes on, --abort takes everything back.
    """
    chosen = [
        name
        for name, is_chosen in {
            "--cutover": cutover,
            "--resume": resume,
            "--abort": abort,
            "--back": back,
            "--complete": complete,
        }.items()
        if is_chosen
    ]
    if target is not None:
        chosen.insert(0, "TARGET")
    if len(chosen) != 1 or (plan and verify):
        raise click.UsageError("Name a TARGET, or one of --cutover, --resume, --abort, --back and --complete.")
    if (plan or verify) and target is None:
        raise click.UsageError("--plan and --verify want a TARGET.")
    if keep_copying and (cutover or abort or complete):
        raise click.UsageError("--keep-copying goes with a TARGET, --resume or --back.")
    settings, alias = load(), ""
    if target is not None:
        settings, alias = with_target(settings, target, save=not (plan or verify))
    with progress() as tell:
        reporter = Reporter(tell)
        operations = Operations(settings, reporter, max_pause=max_pause, keeps_copying=keep_copying)
        order: Callable[[], Awaitable[Report]] = {
            "TARGET": lambda: operations.switch(alias),
            "--cutover": operations.cut_over,
            "--resume": operations.resume,
            "--abort": operations.abort,
            "--back": operations.back,
            "--complete": operations.complete,
        }[chosen[0]]
        if plan or verify:
            look = surveys.plan if plan else surveys.verify
            order = partial(look, settings, alias, reporter)
        try:
            report = asyncio.run(_order(order))
        except (Failed, Refused) as error:
            raise click.ClickException(str(error)) from error
        except Stopped as error:
            raise click.ClickException(
                "Stopped. `switchdb --resume` goes on from here, `switchdb --abort` takes everything back."
            ) from error
    show_report(report, as_json=as_json)
    if report.findings:
        ctx.exit(1)


async def _order(order: Callable[[], Awaitable[Report]]) -> Report:
    return await order()

"""What a switch, a plan or a comparison came to, for people and for programs."""

from collections.abc import Iterable

import click
import msgspec

from project.commands._tables import show
from project.transfer.report import Report

FOR_PEOPLE = ("found", "sentence")
"""What programs are not told."""
MOST_SHOWN = 100
"""Findings that people are shown; programs get some more."""


def show_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode({name: value for name, value in _members(report) if name not in FOR_PEOPLE}))
        return
    if report.tables:
        rows = [(each.name, f"{each.rows:,}", each.checksum or "") for each in report.tables]
        show(("table", "rows", "checksum"), rows)
    if report.findings:
        show(
            ("table", "key", "column", "finding"),
            [(each.table, each.key, each.column or "", each.reason) for each in report.findings[:MOST_SHOWN]],
        )
        if report.found > len(report.findings[:MOST_SHOWN]):
            click.echo(f"These are the first of {report.found:,}.")
    click.echo(report.sentence or _summary(report))


def _members(report: Report) -> Iterable[tuple[str, object]]:
    members: dict[str, object] = msgspec.to_builtins(report)
    return members.items()


def _summary(report: Report) -> str:
    source = f"{report.source.alias} ({report.source.engine})"
    target = f"{report.target.alias} ({report.target.engine})"
    seconds = f"{report.seconds:,.1f} s"
    match report.state:
        case "planned" if report.findings:
            return "These rows would not arrive as they are: mend them first. Nothing was changed."
        case "planned":
            way = f"from {source} to {target}"
            return f"{report.rows:,} rows would go {way}, in about {seconds}. Nothing stands against it."
        case "aborted":
            return f"Aborted: {report.source.alias} is as it was."
        case "copying":
            return f"{report.target.alias} was in step with {report.source.alias} when this ended: the switch goes on."
    if report.switch_id is None:
        return f"{source} and {target} differ." if report.findings else f"{source} and {target} hold the same."
    pause = "" if report.pause_ms is None else f"; writers waited for {report.pause_ms:,.0f} ms"
    return f"{report.rows:,} rows went from {source} to {target} in {seconds}{pause}."

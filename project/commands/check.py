"""`manage.py check`: whether the service could serve."""

import asyncio

import click

from project import checks
from project.settings import load

GROUP = "Service"


@click.command()
@click.option("--deploy", is_flag=True, help="Also look at what matters where others can reach the service.")
@click.pass_context
def check(ctx: click.Context, deploy: bool) -> None:
    """Look for what is wrong with the settings, the migrations and the database.

    One line a finding; exit with 1 if there is any.
    """
    findings = asyncio.run(checks.findings(load(), deploy=deploy))
    for finding in findings:
        click.echo(finding)
    if findings:
        ctx.exit(1)
    click.echo("Nothing found.")

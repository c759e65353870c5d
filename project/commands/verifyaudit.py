"""`manage.py verifyaudit`: whether the audit trail is what was written."""

import click

from project.audit.verification import Report, head_text, parse_head, verify
from project.commands._database import with_database
from project.commands._progress import progress
from project.database import Database, migrations
from project.database.trails import PURPOSE
from project.keys import Signer
from project.settings import load

GROUP = "Accounts"


@click.command()
@click.option("--since", metavar="HEAD", help="What this printed before, and was kept elsewhere.")
@click.pass_context
def verifyaudit(ctx: click.Context, since: str | None) -> None:
    """Look for entries of the audit trail that were changed, removed or forged.

    One line a finding; exit with 1 if there is any. The HEAD that it prints stands for all entries up to then: keep it
    where nobody who can write to the database can change it, and --since tells whether the end of the trail was cut
    off.
    """
    head = None if since is None else parse_head(since)
    if since is not None and head is None:
        raise click.UsageError(
            "--since is not a HEAD: it is what verifyaudit prints last, a number, - and a long text."
        )
    settings = load()
    signers = [Signer(secret, PURPOSE) for secret in (settings.secret_key, *settings.secret_key_fallbacks)]

    async def work(database: Database) -> Report:
        await migrations.require(database)
        with progress() as tell:
            return await verify(database, signers, head, lambda done, total: tell("Checking", done, total))

    report = with_database(settings, work, seals=False)
    for finding in report.findings:
        click.echo(finding)
    if report.others:
        click.echo(f"There are {report.others:,} more findings.")
    if report.pending:
        click.echo(f"Not sealed yet: {report.pending:,}. The service does that within a second, while it runs.")
    click.echo(f"Checked {report.entries:,} entries.")
    if report.findings:
        ctx.exit(1)
    click.echo(f"HEAD {head_text(report.head)}")

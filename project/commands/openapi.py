"""`manage.py openapi`: the API's description, for those who generate clients."""

from pathlib import Path

import click

from project.asgi import create_app
from project.openapi import Document, Format, contract
from project.openapi.contract import COMMITTED
from project.settings import BASE_DIR, load

GROUP = "Development"

NAME = COMMITTED.relative_to(BASE_DIR)


class BreaksClients(click.ClickException):
    exit_code = 2


@click.command()
@click.option("--format", "form", type=click.Choice(["json", "yaml"]), help="Default: what FILE ends with, else json.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write to FILE.")
@click.option("--check", is_flag=True, help="Compare the committed description with the code instead.")
def openapi(form: Format | None, output: Path | None, check: bool) -> None:
    """Print the OpenAPI description of the API, or write it to a file.

    Clients are generated from the description that is committed, project/docs/openapi.json. With --check, exit with 1
    if the code has moved on, and with 2 if that breaks clients, naming each edit that does. Such an edit is accepted
    by a new major VERSION of the API: until then, the committed description is not written over.
    """
    if check and (form or output):
        raise click.UsageError("--check compares what is committed: leave out --format and --output.")
    document: Document = create_app(load()).state.document
    if check:
        _compare(document)
        return
    content = document.encoded(form or _format_of(output))
    if output is None:
        click.echo(content, nl=False)
        return
    if output.resolve() == COMMITTED:
        _keep(document)
    try:
        output.write_bytes(content)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {output}.")


def _format_of(output: Path | None) -> Format:
    return "yaml" if output is not None and output.suffix in (".yaml", ".yml") else "json"


def _compare(document: Document) -> None:
    _keep(document)
    if not COMMITTED.exists() or COMMITTED.read_bytes() != document.json:
        raise click.ClickException(
            f"{NAME} is stale: write it anew with `python manage.py openapi --output {NAME}`, and look at what changed."
        )
    click.echo(f"{NAME} describes the API as it is.")


def _keep(document: Document) -> None:
    """Raises ClickException if the code breaks what is committed, and does not say so by its version."""
    try:
        edits = contract.broken(document.content)
    except contract.ContractError as error:
        raise click.ClickException(str(error)) from error
    if edits:
        raise BreaksClients(
            f"{NAME} is stale, and programs that were written against it would break:\n"
            + "".join(f"  {edit}\n" for edit in edits)
            + "If that is meant, raise the first number of VERSION in project/openapi/__init__.py and write it anew "
            f"with `python manage.py openapi --output {NAME}`."
        )

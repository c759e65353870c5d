"""`manage.py generateclient`: the API as a package for those who call it."""

from pathlib import Path

import click

from project.asgi import create_app
from project.settings import load

GROUP = "Development"


@click.command()
@click.argument("language", type=click.Choice(["python", "typescript"]))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", default="", help="Of the package. Default: the API's title and -client.")
@click.option("--overwrite", is_flag=True, help="Remove what is in OUT first.")
def generateclient(language: str, out: Path, name: str, overwrite: bool) -> None:
    """Write a client of the API to the folder OUT, as a package that is ready to be published.

    Its README shows how it is used. What a client in TypeScript is generated with comes from the npm registry, once;
    nothing else needs the network.
    """
    from project import clients

    document = create_app(load()).state.document.content
    try:
        clients.generate(language, document, out, name, overwrite=overwrite, say=click.echo)
    except clients.ClientError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Wrote {out}: its README says how to use it.")

"""`manage.py startapp`: an app to begin with."""

import click

from project import scaffold
from project.settings import BASE_DIR, INSTALLED_APPS, load

GROUP = "Development"


@click.command()
@click.argument("name")
@click.option("--model", required=True, help="What one of its records is called, such as Course.")
def startapp(name: str, model: str) -> None:
    """Write an app that works, with its migration and its tests.

    NAME is that of its folder in apps/, of its table and of its path, in the plural: `startapp courses --model Course`.
    """
    try:
        written = scaffold.start(name, model, load())
    except scaffold.ScaffoldError as error:
        raise click.ClickException(str(error)) from error
    for path in written:
        click.echo(f"Wrote {path.relative_to(BASE_DIR)}")
    apps = ", ".join(f'"{app}"' for app in (*INSTALLED_APPS, name))
    comma = "" if INSTALLED_APPS else ","
    click.echo(f"Now say in project/settings.py:\n\n    INSTALLED_APPS: tuple[str, ...] = ({apps}{comma})\n")
    click.echo(f"Then run `python manage.py migrate` and `python manage.py test tests/apps/{name}`.")
    from project.openapi.contract import COMMITTED

    committed = COMMITTED.relative_to(BASE_DIR)
    click.echo(
        f"The API has more to it from then on: describe it anew with `python manage.py openapi --output {committed}`."
    )

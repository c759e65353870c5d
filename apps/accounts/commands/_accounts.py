"""What commands share that look after users."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import click
import msgspec
from advanced_alchemy.exceptions import NotFoundError

from apps.accounts import passwords, schemas
from project.callers import own_name
from project.commands._database import with_database
from project.database import Database, migrations
from project.faults import faults
from project.settings import Settings

T = TypeVar("T")


def with_users(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the active database. Raises ClickException for a user whom it does not find."""

    async def run(database: Database) -> T:
        await migrations.require(database)
        return await work(database)

    try:
        return with_database(settings, run)
    except NotFoundError as error:
        raise click.ClickException(str(error.detail)) from error


def checked(value: str, shape: Any, what: str) -> str:
    """The value. Raises ClickException where it is not of that shape."""
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"The {what} {faults(value, shape)[0].detail}.") from error
    return value


def usable_name(name: str) -> str:
    return checked(name, schemas.Username, "username").lower()


def usable_password(password: str, username: str) -> str:
    """Raises ClickException where it is not good enough."""
    if (refusal := passwords.refusal(password, username)) is not None:
        raise click.ClickException(f"The password {refusal}.")
    return password


def ask_for_name() -> str:
    """Until it is one; whoever runs the command may take their own."""
    own = own_name() or None
    return _ask(lambda: usable_name(click.prompt("Username", default=own)))


def ask_for_password(username: str) -> str:
    """Twice, until it is one and both are the same."""

    def ask() -> str:
        password = usable_password(click.prompt("Password", hide_input=True), username)
        if click.prompt("Password (again)", hide_input=True) != password:
            raise click.ClickException("The two passwords are not the same.")
        return password

    return _ask(ask)


def _ask(ask: Callable[[], str]) -> str:
    while True:
        try:
            return ask()
        except click.ClickException as error:
            click.echo(f"{error.message} Try again.", err=True)

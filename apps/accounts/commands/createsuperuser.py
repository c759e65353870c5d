"""`manage.py createsuperuser`: the first user, and others."""

import click

from apps.accounts import passwords
from apps.accounts.commands._accounts import ask_for_name, ask_for_password, usable_name, usable_password, with_users
from apps.accounts.models import User
from apps.accounts.services import UserService
from project.callers import ROLES
from project.database import Database
from project.settings import load, variable

GROUP = "Accounts"


@click.command()
@click.option("--username", help="Asked for, or SUPERUSER_USERNAME, unless given.")
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True, help="What the user may do.")
@click.option("--noinput", is_flag=True, help="Do not ask: the password is SUPERUSER_PASSWORD.")
def createsuperuser(username: str | None, role: str, noinput: bool) -> None:
    """Create a user who may sign in.

    The password is asked for. With --noinput it comes from the environment or from .env, as SUPERUSER_PASSWORD.
    """
    settings = load()
    username = username or variable("SUPERUSER_USERNAME")
    if noinput:
        password = variable("SUPERUSER_PASSWORD")
        if not username or not password:
            raise click.ClickException(
                "With --noinput the username comes from --username or SUPERUSER_USERNAME, and the password from "
                "SUPERUSER_PASSWORD: set both."
            )
        name = usable_name(username)
        usable_password(password, name)
    else:
        name = usable_name(username) if username else ask_for_name()
        password = ask_for_password(name)
    hashed = passwords.hashed(password)

    async def work(database: Database) -> User:
        values = {"username": name, "password": hashed, "role": role, "is_active": True}
        return await database.write(UserService, lambda users: users.create(dict(values)))

    user = with_users(settings, work)
    click.echo(f"Created the {user.role} {user.username}.")

"""`manage.py changepassword`: another password."""

import click

from apps.accounts import passwords
from apps.accounts.commands._accounts import ask_for_password, usable_password, with_users
from apps.accounts.models import User
from apps.accounts.services import UserService
from project.database import Database
from project.settings import load, variable
from project.throttling import Guesses

GROUP = "Accounts"


@click.command()
@click.argument("username")
@click.option("--noinput", is_flag=True, help="Do not ask: the password is SUPERUSER_PASSWORD.")
def changepassword(username: str, noinput: bool) -> None:
    """Give a user another password.

    All tokens and sessions of the user end, and so does the wait after wrong guesses.
    """
    settings = load()
    user = with_users(settings, lambda database: database.read(UserService, lambda users: users.named(username)))
    if noinput:
        password = usable_password(variable("SUPERUSER_PASSWORD"), user.username)
    else:
        password = ask_for_password(user.username)
    hashed = passwords.hashed(password)

    async def work(database: Database) -> None:
        guesses = Guesses(database, settings.secret_key)

        async def change(users: UserService) -> User:
            await guesses.forget(user.username, users.repository.session)
            return await users.update({"password": hashed}, user.id)

        await database.write(UserService, change)

    with_users(settings, work)
    click.echo(f"The password of {user.username} is changed, and all tokens and sessions are ended.")

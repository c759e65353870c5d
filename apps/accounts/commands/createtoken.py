"""`manage.py createtoken`: a token without a password."""

import datetime as dt

import click

from apps.accounts import schemas
from apps.accounts.commands._accounts import checked, with_users
from apps.accounts.models import Token
from apps.accounts.services import TokenService, UserService, lower, new_secret
from project.callers import ROLES, Role
from project.database import Database
from project.settings import load
from project.times import timestamp_text

GROUP = "Accounts"


@click.command()
@click.argument("username")
@click.option("--name", default="createtoken", show_default=True, help="What it is for.")
@click.option("--role", type=click.Choice(ROLES), help="The most that it may do; all that the user may unless given.")
@click.option("--days", type=click.IntRange(1, 366), default=30, show_default=True, help="How long it holds.")
def createtoken(username: str, name: str, role: Role | None, days: int) -> None:
    """Print a new token of a user, for a program.

    It is shown this once: nobody can look it up. On standard output there is nothing but the token.
    """
    checked(name, schemas.Name, "name")
    secret = new_secret()

    async def issue(tokens: TokenService) -> Token:
        user = await tokens.repository.session.service(UserService).named(username)
        if not user.is_active:
            raise click.ClickException(f"{user.username} may not sign in.")
        most = role or user.role
        if lower(most, user.role) != most:
            raise click.ClickException(f"{user.username} has the role {user.role}: the token's may be no higher.")
        return await tokens.issue(user, secret, kind="api", name=name, role=most, lifetime=dt.timedelta(days=days))

    async def work(database: Database) -> Token:
        return await database.write(TokenService, issue)

    token = with_users(load(), work)
    click.echo(f"Token {token.id}, {token.role}, holds until {timestamp_text(token.expires_at)}:", err=True)
    click.echo(secret)

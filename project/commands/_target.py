"""The database that a command is to use, as people name it."""

import itertools

import click
import msgspec
from sqlalchemy.engine import URL

from project.database import parse_url
from project.database.dialects import of_url
from project.settings import Settings, SettingsError, save_database


def with_target(settings: Settings, target: str, *, save: bool) -> tuple[Settings, str]:
    """Settings that have the target, and its alias there. It is an alias, or a URL, which gets one if it has none.

    A new one is kept in `.env` if it is to be saved. Raises SettingsError.
    """
    if "://" not in target:
        alias = target.lower()
        if alias not in settings.databases:
            known = ", ".join(sorted(settings.databases))
            raise click.ClickException(
                f"There is no database {target!r}: the settings name {known}. Give one of these, or a URL such as "
                "postgresql://user@host/registrar."
            )
        return settings, alias
    url = parse_url(target)
    for alias, text in settings.databases.items():
        if _leads_to(text, url):
            return settings, alias
    name = of_url(url).name
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    alias = next(alias for alias in names if alias not in settings.databases)
    if save:
        return save_database(settings, alias, target), alias
    return msgspec.structs.replace(settings, databases={**settings.databases, alias: target}), alias


def _leads_to(text: str, url: URL) -> bool:
    try:
        return parse_url(text) == url
    except SettingsError:
        return False

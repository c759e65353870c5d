"""What stands between an installation and serving well: each finding is one line that says what to do."""

import asyncio
import contextlib
import ipaddress
import stat
from collections.abc import Iterator
from pathlib import Path

from project import registry
from project.database import Database, dialects, migrations, parse_url
from project.database.errors import DatabaseError
from project.hosts import is_here
from project.settings import BASE_DIR, DEVELOPMENT_KEY, UNIX, Settings, SettingsError, variable_of
from project.transfer import way_back
from project.transfer.protocol import Phase
from project.transfer.visiting import Visitor

SHORTEST_KEY = 32
"""Characters of a SECRET_KEY that nobody guesses, if they are random."""
FEWEST_CHARACTERS = 10
"""Different characters that a random key of that length has all but certainly."""
NARROWEST = 8
"""Bits of a network of one's own: 10.0.0.0/8 is the widest that there is for private use."""
PATIENCE = 10
"""Seconds that the database has for its answers."""


async def findings(settings: Settings, *, deploy: bool) -> list[str]:
    """All of them; with `deploy` also those that matter only where others can reach the service."""
    found = list(_of_urls(settings))
    if not found:
        found = await _of_database(settings, deploy)
        if deploy:
            found += _of_lines(settings)
    if deploy:
        found += _of_security(settings)
        found += _of_files(settings)
    return found


def _of_urls(settings: Settings) -> Iterator[str]:
    for alias, url in settings.databases.items():
        try:
            parse_url(url)
        except SettingsError as error:
            yield f"{variable_of(alias)}: {error}"


async def _of_database(settings: Settings, deploy: bool) -> list[str]:
    metadata = registry.metadata(settings.installed_apps)
    found = []
    try:
        if missing := await migrations.missing(metadata):
            found.append(f"The models have changes without a migration, run makemigrations: {'; '.join(missing)}.")
    except migrations.MigrationError as error:
        return [str(error)]
    visitor = Visitor(settings)
    database = Database(settings, visitor)
    try:
        async with asyncio.timeout(PATIENCE):
            await database.find()
            found += _of_record(visitor)
            if pending := await migrations.pending(database):
                found.append(f"The database lacks migrations, run migrate: {', '.join(pending)}.")
            elif not missing and (drift := await migrations.drift(database, metadata)):
                found.append(f"The database is not what its migrations made, it would take: {'; '.join(drift)}.")
            if not pending and (warning := await way_back.warning(database)):
                found.append(warning)
            if deploy and migrations.is_there(database):
                async with database.connect() as connection:
                    found += await database.dialect.hazards(connection)
    except DatabaseError as error:
        found.append(f"The database cannot be used: {error}")
    except TimeoutError:
        found.append(
            f"The database did not answer within {PATIENCE} seconds: see that DATABASE_URL names the right one."
        )
    finally:
        await database.close()
    return found


def _of_lines(settings: Settings) -> Iterator[str]:
    """To databases on other machines."""
    for alias, text in settings.databases.items():
        url = parse_url(text)
        dialect = dialects.of_url(url)
        for host in dialect.hosts_in_clear(url):
            if not is_here(host):
                yield (
                    f"{variable_of(alias)} leads to {host} without TLS, or may: whoever is on the way can read and "
                    f"change what is sent. Add {dialect.tls} to the URL, where FILE has the certificate of whoever "
                    "signed the server's."
                )


def _of_record(visitor: Visitor) -> Iterator[str]:
    """What the active database says of itself. The way back is not told of here."""
    record = visitor.record
    if record is not None and record.gate.phase not in (Phase.IDLE, Phase.RETAINING):
        yield (
            f"Switch {record.gate.switch} is under way ({record.gate.phase}): unless somebody is at it, `switchdb "
            "--resume` or `--abort` ends it."
        )
    elif visitor.alias != "default":
        yield (
            f"The service has moved from the database of DATABASE_URL to {visitor.alias}: give DATABASE_URL the URL of "
            f"{visitor.alias}, and the old one an alias of its own."
        )


def _of_security(settings: Settings) -> Iterator[str]:
    if settings.debug:
        yield "DEBUG is true, which serves this machine only and asks nobody who they are: set DEBUG=false."
    key = settings.secret_key
    if key == DEVELOPMENT_KEY:
        yield "SECRET_KEY is not set: set it to a long random text, the same for every worker and machine."
    elif len(key) < SHORTEST_KEY or len(set(key)) < FEWEST_CHARACTERS:
        yield (
            f"SECRET_KEY can be guessed: take at least {SHORTEST_KEY} random characters, as "
            "`python -c 'import secrets; print(secrets.token_urlsafe(48))'` prints."
        )
    if not settings.allowed_hosts:
        yield "ALLOWED_HOSTS is not set: name the hosts that clients use, separated by commas."
    elif "*" in settings.allowed_hosts:
        yield "ALLOWED_HOSTS has *, which lets a request name any host: name the hosts that clients use."
    if "*" in settings.cors_origins:
        yield "CORS_ORIGINS has *, which lets the pages of every site call the API: name the origins of your own."
    for origin in settings.cors_origins:
        if origin.startswith("http://"):
            yield f"CORS_ORIGINS has {origin}, whose pages anybody on the way can change: serve them over https."
    for proxies in settings.trusted_proxies:
        if proxies != UNIX and ipaddress.ip_network(proxies).prefixlen < NARROWEST:
            yield (
                f"TRUSTED_PROXIES has {proxies}, so that nearly everybody may say where they come from: name the "
                "addresses of your proxies."
            )


def _of_files(settings: Settings) -> Iterator[str]:
    files = {".env": BASE_DIR / ".env"}
    with contextlib.suppress(SettingsError):  # which is a finding already
        database = parse_url(settings.database_url)
        if dialects.of_url(database).embedded and database.database:
            files["The database file"] = Path(database.database)
    for name, path in files.items():
        if path.exists() and path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            yield f"{name} is open to every user of this machine: `chmod o-rwx {path}`."

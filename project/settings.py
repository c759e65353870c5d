"""What may differ between two installations, read from the environment and from `.env` beside manage.py."""

import ipaddress
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from dotenv import dotenv_values

BASE_DIR = Path(__file__).resolve().parent.parent

INSTALLED_APPS: tuple[str, ...] = ("accounts", "students")
"""The folders of `apps/` that are served, in the order in which their tables depend on one another."""

DEFAULT_DATABASE_URL = "sqlite:///registrar.sqlite3"
ALIAS_PREFIX = "DATABASE_URL_"
DEVELOPMENT_KEY = "registrar-development-key"
UNIX = "unix"
"""Stands in TRUSTED_PROXIES for whoever connects to a socket that is a file."""


class SettingsError(Exception):
    """A setting is missing or cannot be read; the message names the variable and says what to set."""


class Rate(NamedTuple):
    """At most so many in so many seconds."""

    number: int
    seconds: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    databases: dict[str, str]
    """URLs by alias; `default` is always there."""
    debug: bool = True
    secret_key: str = DEVELOPMENT_KEY
    secret_key_fallbacks: tuple[str, ...] = ()
    """Those that it had before: what they signed in the audit trail still counts."""
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose word on the client's address is taken, or `unix`."""
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """Where they say it. One of the two, since a proxy may pass on the other as a client made it up."""
    rate_limit: Rate | None = None
    """Of requests, for each token, or for each address that sends none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["auto", "console", "json"] = "auto"
    pool_size: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """The most connections that one worker process keeps to the active database, for reads and for writes each, and
    half as many for exports."""
    statement_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 10.0
    """Seconds a read may take before it is given up with 503."""
    installed_apps: tuple[str, ...] = INSTALLED_APPS

    @property
    def database_url(self) -> str:
        return self.databases["default"]


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings of `environ`, by default the process's environment over `.env`.

    Raises SettingsError for a value that cannot be read, and for one that DEBUG=false makes necessary.
    """
    if environ is None:
        environ = _environment()
    fields: dict[str, object] = {
        name: text for name, variable in _VARIABLES.items() if (text := _text(environ, variable).strip())
    }
    fields["databases"] = _databases(environ)
    for name in ("allowed_hosts", "cors_origins", "secret_key_fallbacks", "trusted_proxies"):
        if name in fields:
            fields[name] = tuple(part.strip() for part in str(fields[name]).split(",") if part.strip())
    if "trusted_proxies" in fields:
        fields["trusted_proxies"] = tuple(map(_network, fields["trusted_proxies"]))  # type: ignore[call-overload]
    if "rate_limit" in fields:
        fields["rate_limit"] = _rate(str(fields["rate_limit"]))
    for name in ("log_level", "log_format", "forwarded_header"):
        if name in fields:
            fields[name] = str(fields[name]).upper() if name == "log_level" else str(fields[name]).lower()
    if "debug" in fields:
        fields["debug"] = _boolean("DEBUG", str(fields["debug"]))
    settings = _convert(fields)
    if not settings.debug:
        _require("SECRET_KEY", fields, "a long random text, the same for every worker and machine")
        _require("ALLOWED_HOSTS", fields, "the host names that clients use, separated by commas")
    return settings


def variable(name: str) -> str:
    """What the environment or `.env` tells a command that is no setting of the service, such as a password; or nothing.

    Raises SettingsError.
    """
    return _text(_environment(), name)


def _text(environ: Mapping[str, str], variable: str) -> str:
    """Python reads bytes that are not UTF-8 as halves of surrogate pairs, which nothing else takes."""
    text = environ.get(variable, "")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{variable} is not UTF-8: set it to text in UTF-8.") from None
    return text


def _environment() -> dict[str, str]:
    return {**_dotenv(BASE_DIR / ".env"), **os.environ}


def save_database(settings: Settings, alias: str, url: str) -> Settings:
    """The settings with another database, which `.env` then has too. What stands there stays as it is.

    Raises SettingsError.
    """
    path = (BASE_DIR / ".env").resolve()
    quoted = url.replace("\\", "\\\\").replace("'", "\\'")
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        break_ = "" if not before or before.endswith("\n") else "\n"
        _replace(path, f"{before}{break_}{variable_of(alias)}='{quoted}'\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f".env cannot be written ({error}): set {variable_of(alias)} yourself, and name the alias {alias}."
        ) from error
    return msgspec.structs.replace(settings, databases={**settings.databases, alias: url})


def variable_of(alias: str) -> str:
    """The one that holds the URL of that alias."""
    return "DATABASE_URL" if alias == "default" else f"{ALIAS_PREFIX}{alias.upper()}"


def _replace(path: Path, text: str) -> None:
    """At once, and for the eyes of its owner only: passwords are in it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path would be opened a second time
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                os.fchown(file.fileno(), path.stat().st_uid, path.stat().st_gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


_VARIABLES = {
    "debug": "DEBUG",
    "secret_key": "SECRET_KEY",
    "secret_key_fallbacks": "SECRET_KEY_FALLBACKS",
    "allowed_hosts": "ALLOWED_HOSTS",
    "cors_origins": "CORS_ORIGINS",
    "trusted_proxies": "TRUSTED_PROXIES",
    "forwarded_header": "FORWARDED_HEADER",
    "rate_limit": "RATE_LIMIT",
    "log_level": "LOG_LEVEL",
    "log_format": "LOG_FORMAT",
    "pool_size": "DATABASE_POOL_SIZE",
    "statement_timeout": "DATABASE_STATEMENT_TIMEOUT",
}


def _dotenv(path: Path) -> dict[str, str]:
    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f".env cannot be read ({error}): mend the file or remove it.") from error


def _databases(environ: Mapping[str, str]) -> dict[str, str]:
    databases = {"default": _text(environ, "DATABASE_URL").strip() or DEFAULT_DATABASE_URL}
    for variable in environ:
        if variable.startswith(ALIAS_PREFIX) and (url := _text(environ, variable).strip()):
            alias = variable.removeprefix(ALIAS_PREFIX).lower()
            if alias == "default" or not alias.isidentifier():
                raise SettingsError(f"{variable} does not name an alias: use letters, digits and _, but not DEFAULT.")
            databases[alias] = url
    return databases


def _boolean(variable: str, text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise SettingsError(f"{variable} is {text!r}: set it to true or false.") from None


def _network(text: str) -> str:
    try:
        return text if text == UNIX else str(ipaddress.ip_network(text))
    except ValueError:
        raise SettingsError(
            f"TRUSTED_PROXIES has {text!r}: name addresses such as 10.0.0.1, networks such as 10.0.0.0/8, or {UNIX}, "
            "separated by commas."
        ) from None


def _rate(text: str) -> Rate:
    matched = re.fullmatch(r"([1-9]\d{0,8})\s*/\s*(second|minute|hour)", text, re.ASCII)
    if matched is None:
        raise SettingsError(f"RATE_LIMIT is {text!r}: set it to a number a second, minute or hour, such as 600/minute.")
    return Rate(int(matched[1]), {"second": 1, "minute": 60, "hour": 3600}[matched[2]])


def _convert(fields: dict[str, object]) -> Settings:
    try:
        return msgspec.convert(fields, Settings, strict=False)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        variable = _VARIABLES.get(place.rstrip("`").split("[")[0], "A setting")
        raise SettingsError(f"{variable} cannot be used: {reason}.") from error


def _require(variable: str, fields: dict[str, object], meaning: str) -> None:
    if not fields.get(variable.lower()):
        raise SettingsError(f"{variable} is not set: with DEBUG=false it must be {meaning}.")

"""From what a database says of another one to that other one: which of the URLs leads there."""

from collections.abc import Iterator, Mapping

from project.database import parse_url
from project.database.errors import DatabaseError, Gone
from project.settings import Settings, SettingsError, load, variable_of
from project.transfer.gates import Record
from project.transfer.leases import Leased


class Astray(Gone):
    """Nothing leads to the database of which a record tells; the message is for who runs the service."""


class Unnamed(Astray):
    """None of the settings does, whether or not it is running."""


class Walk:
    """The way to the active database, from one record to the next."""

    def __init__(self) -> None:
        self._followed: set[Record] = set()

    def follow(self, record: Record) -> None:
        """Raises Gone where this one was followed before. A database may be come by again on a way that leads
        somewhere, where the service moves meanwhile: it says something else then.
        """
        if record in self._followed:
            raise Gone("The databases' records lead in a circle: look at their tables _gate.")
        self._followed.add(record)


async def locate(settings: Settings, record: Record) -> Leased:
    """The database at the other end of a switch: of that identity, whatever it is called here.

    The alias that it has elsewhere is tried first, then all others; as this process knows them, and as they are by now.
    Raises Unnamed, and Astray where an alias leads to no database that answers.
    """
    alias = record.other_alias
    silent: dict[str, DatabaseError | SettingsError] = {}
    others: set[str] = set()
    for name, text in _urls(settings.databases, _settings_by_now(), alias):
        try:
            place = Leased(name, parse_url(text), settings)
        except SettingsError as error:
            silent[name] = error
            continue
        try:
            found = (await place.look("")).sight.record.identity
        except DatabaseError as error:
            silent[name] = error
            await place.close()
            continue
        if found == record.gate.other:
            return place
        others.add(name)
        await place.close()
    raise _lost(alias, silent, others)


def _lost(alias: str | None, silent: Mapping[str, DatabaseError | SettingsError], others: set[str]) -> Astray:
    """What to tell: one that is `silent` may be the one, `others` are not."""
    if alias is not None and alias in silent:
        return Astray(f"{variable_of(alias)} leads to no database that answers: {silent[alias]}")
    if alias is None or alias == "default":
        reason = "No DATABASE_URL here leads to the database that the service uses: set one to its URL."
    elif alias in others:
        reason = f"{variable_of(alias)} leads to another database than the one that the service uses: correct it."
    else:
        reason = (
            f"The service is led to the database {alias}, which is not named here: set {variable_of(alias)} to its URL."
        )
    if silent:
        return Astray(
            f"{reason} Or is it one that does not answer? These do not: {', '.join(map(variable_of, silent))}."
        )
    return Unnamed(reason)


def _urls(known: Mapping[str, str], new: Mapping[str, str], alias: str | None) -> Iterator[tuple[str, str]]:
    """Aliases and URLs, each URL once, the likeliest first."""
    seen: set[str] = set()
    for name, text in sorted([*known.items(), *new.items()], key=lambda pair: pair[0] != alias):
        if text not in seen:
            seen.add(text)
            yield name, text


def _settings_by_now() -> Mapping[str, str]:
    """A switch to a URL gives it an alias in `.env`, which this process may have read before that."""
    try:
        return {alias: text for alias, text in load().databases.items() if alias != "default"}
    except SettingsError:
        return {}

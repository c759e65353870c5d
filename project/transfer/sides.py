"""The two databases of a switch: how they are called, how they are reached, and what they say of themselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from project.database import Database, links, migrations, parse_url
from project.database.dialects import Dialect
from project.database.errors import DatabaseError, Gone
from project.database.links import Link
from project.database.places import Fixed, Place
from project.settings import Settings
from project.transfer import gates, protocol
from project.transfer.gates import Record
from project.transfer.protocol import Phase
from project.transfer.ways import Walk


class Unreachable(Gone):
    """None of the aliases leads to the database at the other end."""


class Side:
    """A database under its alias. Nothing is opened before it is needed."""

    def __init__(self, alias: str, settings: Settings) -> None:
        self.alias = alias
        self.place = Place(parse_url(settings.databases[alias]), settings)
        self.database = Database(settings, Fixed(self.place))
        self.identity = ""
        """What the database calls itself, once it was asked."""

    @property
    def dialect(self) -> Dialect:
        return self.place.dialect

    @property
    def is_there(self) -> bool:
        return migrations.is_there(self.database)

    def is_same(self, other: "Side") -> bool:
        """Whether both URLs lead to one place, though they may be spelled differently."""
        if not (self.dialect.embedded and other.dialect.embedded):
            return self.place.url == other.place.url
        one, two = (Path(str(side.place.url.database)) for side in (self, other))
        return one.exists() and two.exists() and one.samefile(two)

    @asynccontextmanager
    async def link(self) -> AsyncIterator[Link]:
        """Raises DatabaseError where the database cannot be reached, which then begins with its alias."""
        if not self.is_there:
            raise Gone(f"The database {self.alias} is not there: nothing is at {self.place.url.database}.")
        async with links.link(self.dialect, self.place.backend) as opened:
            yield opened

    async def look(self) -> Record:
        """What it says of itself now. Raises DatabaseError."""
        async with self.link() as link, link.alone() as session:
            record = await gates.read(session)
        self.identity = record.identity
        return record

    async def close(self) -> None:
        await self.database.close()


class Sides:
    """The databases that the settings name. Those that were opened are closed in the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, Side] = {}

    def named(self, alias: str) -> Side:
        if alias not in self._open:
            self._open[alias] = Side(alias, self._settings)
        return self._open[alias]

    async def other(self, record: Record) -> Side:
        """The database at the other end of what a record says: of that identity, whatever it is called here.

        Raises Unreachable.
        """
        wanted = record.gate.other
        first = [record.other_alias] if record.other_alias in self._settings.databases else []
        for alias in dict.fromkeys([*first, *self._settings.databases]):
            side = self.named(str(alias))
            if not side.identity:
                try:
                    await side.look()
                except DatabaseError:
                    continue
            if side.identity == wanted:
                return side
        raise Unreachable(
            f"The other database, {record.other_alias}, cannot be reached: it has to be running, and DATABASE_URL or "
            "one of DATABASE_URL_<ALIAS> has to lead to it."
        )

    async def active(self) -> tuple[Side, Record]:
        """The database that the service uses: the one that the settings name, or where its record leads to."""
        side = self.named("default")
        walk = Walk()
        while True:
            record = await side.look()
            if record.gate.phase not in protocol.FENCED:
                return side, record
            walk.follow(record)
            following = await self.other(record)
            if record.gate.phase is Phase.MOVED:
                other = await following.look()
                if other.gate.phase is Phase.FILLING and other.gate.switch == record.gate.switch:
                    return side, record  # which has been left, but the target is not opened yet
            side = following

    async def close(self) -> None:
        for side in self._open.values():
            await side.close()

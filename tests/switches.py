"""Switches in this process: how they are made, and what the databases then say of themselves."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from project.database import links, parse_url
from project.database.places import Place
from project.settings import Settings, load
from project.transfer import gates
from project.transfer.gates import Record, Server
from project.transfer.operations import Operations
from project.transfer.protocol import Phase, Step
from tests.clients import serving
from tests.servers import in_a_loop


class Died(BaseException):
    """A coordinator did, for all that the databases can tell."""


class Watcher:
    """Lets the coordinator die before it takes the step `last`, and is told of each before it is taken."""

    def __init__(self, last: Step | None = None, before: Callable[[Step], None] = lambda step: None) -> None:
        self._last = last
        self._before = before

    def step(self, step: Step) -> None:
        self._before(step)
        if step is self._last:
            raise Died

    def tell(self, what: str, done: int, total: int | None) -> None: ...
    def say(self, sentence: str) -> None: ...


class Pair(NamedTuple):
    """The URLs of a database, and of the one that its service may move to."""

    old: str
    new: str

    @property
    def named(self) -> dict[str, str]:
        """The settings in which the new one is called `new`."""
        return {"DATABASE_URL": self.old, "DATABASE_URL_NEW": self.new, "LOG_LEVEL": "ERROR"}

    @property
    def settings(self) -> Settings:
        return load(self.named)

    def migrate(self) -> None:
        """The old one; the new one is, by the switch."""
        with serving(load({"DATABASE_URL": self.old, "LOG_LEVEL": "ERROR"})):
            pass

    def operations(self, last: Step | None = None, before: Callable[[Step], None] = lambda step: None) -> Operations:
        return Operations(self.settings, Watcher(last, before))

    def move(self, last: Step | None = None, before: Callable[[Step], None] = lambda step: None) -> None:
        """Move the service, or die on the way."""
        with contextlib.suppress(Died):
            asyncio.run(self.operations(last, before).switch("new"))

    def back(self) -> None:
        asyncio.run(self.operations().back())

    def abort(self) -> None:
        asyncio.run(self.operations().abort())


def gate(url: str) -> tuple[Record, list[Server]]:
    """What a database says of itself, and the servers that may be reading it."""

    async def look() -> tuple[Record, list[Server]]:
        place = Place(parse_url(url), load({}))
        try:
            async with links.link(place.dialect, place.backend) as link, link.alone() as session:
                record = await gates.read(session)
                return record, await gates.servers(session, record.gate.switch)
        finally:
            await place.backend.close()

    return in_a_loop(look)


def phase(url: str) -> Phase:
    return gate(url)[0].gate.phase

"""A command's way to the active database: it comes, does one thing or a few, and has no lease to keep."""

import asyncio

from project.database import parse_url
from project.database.errors import Moving, Outdated
from project.database.places import Place, Visit
from project.settings import Settings
from project.transfer import protocol, ways
from project.transfer.gates import Record
from project.transfer.leases import Leased, clock
from project.transfer.protocol import Phase

PATIENCE = 5.0
"""Seconds that a write waits for a database that takes it."""
POLL = 0.02


class Visitor:
    """The guide of a command. It asks the gate before each unit of work, and follows the record.

    What is then read is true of some moment after it was asked for, even if the service moves meanwhile: a database
    that was left stays as it was then.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._here = Leased("default", parse_url(settings.database_url), settings)
        self._left: list[Leased] = []
        self._followed: str | None = None
        self._looking = asyncio.Lock()
        self.record: Record | None = None
        """What the active database said of itself last; None for one without migrations."""

    @property
    def place(self) -> Place:
        return self._here

    @property
    def alias(self) -> str:
        """What the active database is called here."""
        return self._here.alias

    def sure(self, writes: bool) -> Place | None:
        return None

    async def find(self, writes: bool) -> Place:
        deadline = clock() + PATIENCE
        while True:
            async with self._looking:
                phase = await self._phase()
            if not (writes and phase in protocol.FENCED):
                return Visit(self._here)
            if clock() > deadline:
                raise Moving
            await asyncio.sleep(POLL)

    async def moved(self, place: Place) -> None:
        """The next look finds out where to."""

    async def close(self) -> None:
        for place in (*self._left, self._here):
            await place.close()

    async def _phase(self) -> Phase:
        """Of the active database, on the way to which records are followed."""
        walk = ways.Walk()
        while True:
            try:
                self.record = (await self._here.look("")).sight.record
            except Outdated:
                self.record = None
                return Phase.IDLE
            gate = self.record.gate
            if not protocol.follows(gate, self._followed):
                return gate.phase
            walk.follow(self.record)
            following = await ways.locate(self._settings, self.record)
            self._left.append(self._here)
            self._here = following
            self._followed = gate.switch if gate.phase is Phase.MOVED else None

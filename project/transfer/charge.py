"""What a coordinator holds while it is in charge of a switch: the two databases, its turns, and where it stands."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

import sqlalchemy as sa

from project.database.errors import Busy, Gone
from project.database.links import Link
from project.transfer import gates, protocol
from project.transfer.capture import QUEUE_SECONDS, Pause
from project.transfer.gates import LockedGate
from project.transfer.protocol import Gate, Step
from project.transfer.report import Findings, TableSum
from project.transfer.sides import Side

DECIDED = frozenset({Step.LAST_READ, Step.COMMIT_TARGET, Step.COMMIT_SOURCE, Step.SEE, Step.OPEN})
"""The steps that nobody stops at: writers wait, or the service has moved already."""


PATIENCE = 600.0
"""Seconds that the source's gate is tried for: somebody may be loading a large file in one transaction."""
QUIET = 5.0
"""Seconds after which it is said what is waited for."""


class Stopped(Exception):
    """Between two steps, because somebody asked for it."""


class Failed(Exception):
    """The switch cannot go on; the message says why, and what to do."""


@asynccontextmanager
async def gate_of_source(
    link: Link,
    pause: Pause = asyncio.sleep,
    say: Callable[[str], None] | None = None,
    *,
    turn: int | None = None,
    shared: bool = False,
) -> AsyncIterator[LockedGate]:
    """Its gate in a transaction, for which writers queue up no longer than QUEUE_SECONDS at a time: some databases let
    them hold the gate's lock until they commit. Raises Failed where the lock is never to be had, Replaced.
    """
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        while True:
            try:
                gate = gates.locked(link, QUEUE_SECONDS, turn=turn, shared=shared)
                locked = await stack.enter_async_context(gate)
                break
            except Busy as error:
                waited = time.monotonic() - began
                if waited > QUIET and say is not None:
                    say(
                        f"Waiting for a write that is under way, for {PATIENCE:.0f} seconds at most: a large load, or "
                        "another `switchdb` that hangs."
                    )
                    say = None
                if waited > PATIENCE:
                    raise Failed(
                        f"There were writes under way for {PATIENCE:.0f} seconds on end: end what holds a transaction "
                        "open for that long, then try again."
                    ) from error
            await pause(random.uniform(0.05, 0.2))
        yield locked


class Watcher(Protocol):
    """Who is told how a switch goes."""

    def step(self, step: Step) -> None:
        """Before it is taken."""
        ...

    def tell(self, what: str, done: int, total: int | None) -> None: ...
    def say(self, sentence: str) -> None: ...


class Links:
    """Connections of the coordinator's own. `reading` is to the source as well, for its snapshots."""

    def __init__(self, source: Link, reading: Link, target: Link | None) -> None:
        self.source = source
        self.reading = reading
        self._target = target

    @property
    def target(self) -> Link:
        """Raises Gone where it is away."""
        if self._target is None:
            raise Gone
        return self._target


class Charge:
    """`gate` is the source's, and `turn` the target's, as this coordinator left them."""

    def __init__(
        self,
        source: Side,
        target: Side,
        tables: Sequence[sa.Table],
        watcher: Watcher,
        *,
        max_pause: float,
        keeps_copying: bool = False,
    ) -> None:
        """`tables` are those that move, parents before the tables that refer to them. `max_pause` is in seconds."""
        self.source = source
        self.target = target
        self.tables = tables
        self.watcher = watcher
        self.max_pause = max_pause
        self.keeps_copying = keeps_copying
        self.step = Step.TAKE
        self.target_is_away = False
        """For good, as far as this coordinator goes: only an abort can do without it."""
        self.gate = Gate()
        self.turn = 0
        self.seen = 0
        """The target's turn before the source was taken charge of."""
        self.copied = 0
        self.drained = 0
        self.is_in_step = False
        self.shortest = sys.maxsize
        """The fewest entries that the log has had when it was drained."""
        self.rounds = 0
        """In which it did not get shorter."""
        self.tries = 0
        """Of the fence, in vain."""
        self.fenced_at = 0.0
        """When writers began to wait, by time.monotonic."""
        self.seen_at = 0.0
        """When the record was seen that the service has moved, by the clock of leases."""
        self.pause = 0.0
        """Seconds for which writers were held."""
        self.sums: Sequence[TableSum] = ()
        """Of the source, when both sides were compared."""
        self.findings = Findings()
        """How they differ, if they do."""
        self._stack = AsyncExitStack()
        self._links: Links | None = None
        self._stopping = asyncio.Event()

    @property
    def links(self) -> Links:
        assert self._links is not None
        return self._links

    async def connect(self) -> None:
        """Raises DatabaseError. Any connections that there are, are closed first."""
        await self.disconnect()
        source = await self._stack.enter_async_context(self.source.link())
        reading = await self._stack.enter_async_context(self.source.link())
        target = None
        if not self.target_is_away:
            target = await self._stack.enter_async_context(self.target.link())
            async with target.alone() as session:
                await target.switching.ignore_foreign_keys(session)
        self._links = Links(source, reading, target)

    async def disconnect(self) -> None:
        self._links = None
        await self._stack.aclose()

    def begin(self, step: Step) -> None:
        """Say that this step is taken now. Raises Stopped instead if somebody asked for that and it is not too late."""
        if step is not Step.TAKE and step not in protocol.THEN[self.step]:
            raise RuntimeError(f"{step.name} does not come after {self.step.name}")
        if self._stopping.is_set() and step not in DECIDED:
            raise Stopped
        self.step = step
        self.watcher.step(step)

    @property
    def is_stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> bool:
        """Ask for an end between two steps; whether that was not asked for before."""
        was_asked = self._stopping.is_set()
        self._stopping.set()
        return not was_asked

    def locked_source(self, *, shared: bool = False) -> AbstractAsyncContextManager[LockedGate]:
        """Its gate, if it is still this coordinator's turn."""
        return gate_of_source(self.links.source, self.pause_for, self.watcher.say, turn=self.gate.turn, shared=shared)

    async def pause_for(self, seconds: float) -> None:
        """Raises Stopped at once when somebody asks for that."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

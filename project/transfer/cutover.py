"""The cutover: every server gets ready, writers wait for a moment, and the service is at the target.

Each of these functions takes one step or several, and names the one that comes next.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from project.database.errors import Busy, Gone, OutcomeUnknown, TimedOut, Transient
from project.database.statements import Statement
from project.transfer import capture, gates, opening, protocol, servers
from project.transfer.capture import GATE_SECONDS
from project.transfer.charge import Charge, Failed
from project.transfer.draining import Backlog, apply
from project.transfer.gates import Server, ServerRow
from project.transfer.leases import clock
from project.transfer.protocol import Phase, Registration, Step
from project.transfer.taking import advance

READY_SECONDS = 5.0
"""How long servers have to open connections to the target, before the switch goes on without those that do not."""
POLL = 0.005
TRIES = 20
"""How often the fence is tried while something stands in its way."""
COMMIT_SECONDS = 10.0
"""How long the source has to answer its COMMIT, before somebody goes and looks."""


class _NotNow(Exception):
    """Something stands in the way of the cutover; the message says what."""


async def prepare(charge: Charge) -> Step:
    """Tell the servers to open connections to the target."""
    charge.begin(Step.PREPARE)
    await advance(charge, Step.READ_LOG)
    return await wait_for_servers(charge)


async def wait_for_servers(charge: Charge) -> Step:
    """Until all of them are ready, or have had time enough. Raises Failed for one that cannot reach the target."""
    async with charge.locked_source() as locked:
        await locked.session.run(_ASK_AGAIN)
    deadline = time.monotonic() + READY_SECONDS
    while late := await not_ready(charge):
        for server in late:
            if server.problem:
                raise Failed(f"The server {server.name} cannot follow to {charge.target.alias}: {server.problem}")
        if time.monotonic() > deadline:
            names = ", ".join(server.name for server in late)
            charge.watcher.say(f"Going on without servers that did not answer: {names}.")
            return Step.EVICT
        await charge.pause_for(POLL)
    return Step.READ_LOG


async def not_ready(charge: Charge) -> list[Server]:
    async with charge.links.reading.alone() as session:
        found = await gates.servers(session, charge.gate.switch)
    return [server for server in found if server.registration is not Registration.READY]


async def evict(charge: Charge) -> Step:
    """Take those out that are not ready: when their leases have run out, nobody reads there any more."""
    charge.begin(Step.EVICT)
    async with charge.locked_source() as locked:
        await locked.session.run(_EVICT, switch=charge.gate.switch)
    marked_at = clock()
    while not protocol.may_remove(marked_at, clock()):
        await charge.pause_for(protocol.leases_over_at(marked_at) - clock())
    charge.begin(Step.EVICTED)
    async with charge.locked_source() as locked:
        await locked.session.run(_REMOVE_EVICTED)
    return Step.READ_LOG


async def flip(charge: Charge) -> Step:
    """FENCE to COMMIT_SOURCE. Nothing has happened where this names READ_LOG."""
    attempt = _Attempt(charge)
    try:
        for link in (charge.links.source, charge.links.target):
            await capture.settle(link, charge.tables)
        charge.begin(Step.FENCE)
        await attempt.run()
    except _NotNow as obstacle:
        reason = str(obstacle)
    except (Busy, TimedOut, Transient):
        reason = "somebody else held a lock"
    except TimeoutError:
        await charge.connect()
        if attempt.commits:
            return Step.SEE
        reason = "it took too long"
    except (OutcomeUnknown, Gone):
        if not attempt.commits:
            raise
        return Step.SEE
    else:
        return Step.SEE
    charge.tries += 1
    if charge.tries == TRIES:
        raise Failed(
            f"The cutover did not come about within {charge.max_pause:g} s in any of {TRIES} tries, the last time "
            f"because {reason}: --resume when there is less to do, or with a longer --max-pause."
        )
    charge.watcher.say(f"Not yet, since {reason}: trying again.")
    await charge.pause_for(random.uniform(0.5, 1) * min(charge.tries, 5))
    return Step.READ_LOG


class _Attempt:
    """`commits` is whether the source may have been told to commit."""

    def __init__(self, charge: Charge) -> None:
        self._charge = charge
        self.commits = False

    async def run(self) -> None:
        """Raises TimeoutError when writers would have to wait longer than they may."""
        charge = self._charge
        charge.fenced_at = time.monotonic()
        async with asyncio.timeout(charge.max_pause) as limit:
            async with gates.locked(charge.links.source, charge.max_pause / 3, turn=charge.gate.turn) as source:
                await self._hold(source)
                charge.begin(Step.LAST_READ)
                backlog = Backlog(source.session, charge.tables)
                count = await backlog.count()
                sequences = await charge.links.source.switching.read_sequences(source.session, charge.tables)
                charge.begin(Step.COMMIT_TARGET)
                await self._fill(backlog, count, sequences)
                charge.begin(Step.COMMIT_SOURCE)
                await charge.links.source.switching.fence(source.session, charge.tables)
                await source.session.run(capture.EMPTY)
                await source.put(protocol.flip(source.gate))
                self.commits = True
                limit.reschedule(asyncio.get_running_loop().time() + COMMIT_SECONDS)

    async def _hold(self, source: gates.LockedGate) -> None:
        charge = self._charge
        await charge.links.source.switching.hold_writes(source.session, charge.tables, charge.max_pause / 3)
        servers = await gates.servers(source.session, charge.gate.switch)
        if not protocol.may_fence(0, [server.registration for server in servers]):
            raise _NotNow("a server has come that is not ready yet")

    async def _fill(self, backlog: Backlog, count: int, sequences: Mapping[str, int]) -> None:
        charge, link = self._charge, self._charge.links.target
        async with gates.locked(link, charge.max_pause / 3, turn=charge.turn) as target:
            await apply(charge, backlog, count, link, target.session)
            await target.session.run(capture.EMPTY)
        await raise_sequences(charge, sequences)


async def raise_sequences(charge: Charge, highest: Mapping[str, int]) -> None:
    """Let the target give out no id that the source has given out, though its row may be gone."""
    async with charge.links.target.alone() as session:
        await charge.links.target.switching.raise_sequences(session, charge.tables, highest)


async def see(charge: Charge) -> Step:
    """What became of COMMIT, under the gate's lock: one that is still under way ends before that."""
    charge.begin(Step.SEE)
    async with gates.locked(charge.links.source, GATE_SECONDS, turn=charge.gate.turn) as locked:
        charge.gate = locked.gate
    if charge.gate.phase is not Phase.MOVED:
        return Step.READ_LOG
    charge.seen_at = clock()
    return Step.OPEN


async def open_target(charge: Charge) -> Step:
    """As soon as nobody can be reading the source any more."""
    charge.begin(Step.OPEN)
    async with charge.links.reading.alone() as session:
        while not protocol.may_open(await servers.count(session), charge.seen_at, clock()):  # noqa: ASYNC110
            await asyncio.sleep(POLL)
    link = charge.links.target
    await opening.open_target(link, str(charge.gate.switch), charge.tables)
    charge.pause = time.monotonic() - charge.fenced_at if charge.fenced_at else 0.0
    async with link.alone() as session:
        await link.switching.validate(session, charge.tables)
    return Step.DONE


_servers: Any = ServerRow.__table__
_switch = sa.bindparam("switch", type_=_servers.c.ready_for.type)
_ASK_AGAIN = Statement(
    sa.update(_servers).where(_servers.c.problem.is_not(None)).values(ready_for=sa.null(), problem=sa.null())
)
_EVICT = Statement(
    sa.update(_servers)
    .where(sa.not_(sa.and_(_servers.c.state == Registration.READY.value, _servers.c.ready_for == _switch)))
    .values(state=Registration.EVICTED.value)
)
_REMOVE_EVICTED = Statement(sa.delete(_servers).where(_servers.c.state == Registration.EVICTED.value))

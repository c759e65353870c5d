"""Taking charge of both databases, and letting them go: the steps before a switch, and those that end one.

Each of these functions takes a step and names the one that comes next.
"""

import uuid
from typing import Literal

import sqlalchemy as sa

from project.database.links import Link
from project.database.sessions import Session
from project.database.statements import Statement
from project.transfer import capture as log
from project.transfer import gates, protocol
from project.transfer.capture import GATE_SECONDS
from project.transfer.charge import Charge, gate_of_source
from project.transfer.gates import ServerRow
from project.transfer.protocol import Gate, Phase, Registration, Step
from project.transfer.surveys import require_empty

Goal = Literal["switch", "back", "resume", "abort"]


async def take(charge: Charge, goal: Goal, turn: int | None = None) -> Step:
    """Take charge of the source. With `turn`, only if it is still that one's. Raises Refused."""
    charge.begin(Step.TAKE)
    if not charge.target_is_away:
        async with charge.links.target.alone() as session:
            charge.seen = (await gates.read(session)).gate.turn
    async with gate_of_source(charge.links.source, charge.pause_for, charge.watcher.say, turn=turn) as locked:
        gate = _taken(locked.gate, goal, charge)
        await locked.put(gate, other_alias=charge.target.alias)
    charge.gate = gate
    if gate.phase is Phase.ABORTING:
        return Step.FORGET if charge.target_is_away else Step.UNCLAIM
    return Step.SEE if gate.phase is Phase.MOVED else Step.CLAIM


def _taken(gate: Gate, goal: Goal, charge: Charge) -> Gate:
    match goal:
        case "resume":
            return protocol.take_over(gate)
        case "abort":
            return protocol.give_up(gate)
        case "back" if gate.phase is not Phase.RETAINING:
            raise protocol.Refused("There is no way back: no switch was made, or --complete has given it up.")
    return protocol.begin(gate, str(uuid.uuid4()), charge.target.identity)


async def claim(charge: Charge) -> Step:
    """Empty the target as well, unless its rows have been copied already. Raises Refused, and Failed if it has any."""
    charge.begin(Step.CLAIM)
    link = charge.links.target
    async with gates.locked(link, GATE_SECONDS) as locked:
        before = locked.gate
        gate = protocol.claim(before, charge.seen, charge.gate, charge.source.identity)
        await locked.put(gate, other_alias=charge.source.alias)
        await link.switching.fence(locked.session, charge.tables)
        await link.switching.loosen(locked.session, charge.tables)
        if charge.gate.phase in (Phase.CAPTURING, Phase.COPYING):
            if before.phase is Phase.IDLE:
                await require_empty(charge.target.alias, locked.session, charge.tables)
            else:
                await _empty(charge, link, locked.session)
    charge.turn = gate.turn
    return protocol.START[charge.gate.phase]


async def capture(charge: Charge) -> Step:
    """Let the source log its changes from now on."""
    charge.begin(Step.CAPTURE)
    await log.install(charge.links.source, charge.tables, charge.gate.turn, charge.pause_for)
    return await advance(charge, Step.SNAPSHOT)


async def advance(charge: Charge, then: Step) -> Step:
    async with charge.locked_source() as locked:
        gate = protocol.advance(locked.gate, charge.gate.turn)
        await locked.put(gate)
    charge.gate = gate
    return then


async def unclaim(charge: Charge) -> Step:
    """Let the target go as it was; on the way back it keeps its rows."""
    charge.begin(Step.UNCLAIM)
    link = charge.links.target
    async with gates.locked(link, GATE_SECONDS) as locked:
        gate = protocol.unclaim(locked.gate, charge.seen, charge.gate, charge.source.identity)
        if locked.gate.phase is Phase.FILLING and gate.phase is not Phase.FILLING:
            if gate.phase is Phase.IDLE:
                await _empty(charge, link, locked.session)
                await link.switching.unfence(locked.session, charge.tables)
            await link.switching.tighten(locked.session, charge.tables)
        await locked.put(gate, other_alias=charge.source.alias)
    async with link.alone() as session:
        await link.switching.validate(session, charge.tables)
    if gate.phase is Phase.IDLE:
        await log.remove(link, charge.tables, gate.turn, charge.pause_for)
    return Step.FORGET


async def forget(charge: Charge) -> Step:
    """Leave the source as it was."""
    charge.begin(Step.FORGET)
    link = charge.links.source
    async with charge.locked_source() as locked:
        goes_back = locked.gate.back
    if not goes_back:
        await log.remove(link, charge.tables, charge.gate.turn, charge.pause_for)
    async with charge.locked_source() as locked:
        await locked.put(protocol.forget(locked.gate, charge.gate.turn), other_alias=charge.target.alias)
        await locked.session.run(_ALL_HERE)
    return Step.DONE


async def _empty(charge: Charge, link: Link, session: Session) -> None:
    await link.switching.begin_fill(session)
    for table in reversed(charge.tables):
        await session.run(Statement(sa.delete(table)))
    await link.switching.end_fill(session)


_ALL_HERE = Statement(
    sa.update(ServerRow.__table__).values(  # type: ignore[arg-type]
        state=sa.literal(Registration.HERE.value, sa.String), ready_for=sa.null(), problem=sa.null()
    )
)

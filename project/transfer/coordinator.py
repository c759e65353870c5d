"""Who moves the service: takes one step of the protocol after the other, from wherever a switch stands."""

import asyncio
from collections.abc import Awaitable, Callable

from project.database.errors import DatabaseError, Gone, OutcomeUnknown
from project.transfer.catching_up import catch_up
from project.transfer.charge import Charge, Failed
from project.transfer.copying import copy
from project.transfer.cutover import evict, flip, open_target, prepare, see
from project.transfer.protocol import Phase, Refused, Replaced, Step
from project.transfer.taking import Goal, capture, claim, forget, take, unclaim

PATIENCE = 15.0
"""Seconds for which a database that has gone away is waited for: a server that is restarted takes that long."""
RECONNECT_SECONDS = 0.5
"""Between two tries to reach it."""

STEPS: dict[Step, Callable[[Charge], Awaitable[Step]]] = {
    Step.CLAIM: claim,
    Step.CAPTURE: capture,
    Step.SNAPSHOT: copy,
    Step.READ_LOG: catch_up,
    Step.PREPARE: prepare,
    Step.EVICT: evict,
    Step.FENCE: flip,
    Step.SEE: see,
    Step.OPEN: open_target,
    Step.UNCLAIM: unclaim,
    Step.FORGET: forget,
}
"""What takes a step, and those after it that belong together with it."""

UNCOPIED = frozenset({Phase.CAPTURING, Phase.COPYING})
"""Where a resume would start anew: what fails there is undone, as nothing is lost by that."""


async def run(charge: Charge, goal: Goal) -> None:
    """Raises Refused, Failed and DatabaseError with the reason and what to do, Stopped where somebody asked for it."""
    try:
        await charge.connect()
        step = await take(charge, goal)
        await _go_on(charge, step)
    except (Failed, Refused, DatabaseError) as error:
        if charge.gate.phase not in UNCOPIED or isinstance(error, Replaced):
            raise
        await _undo(charge, error)
    finally:
        await charge.disconnect()


async def _go_on(charge: Charge, step: Step) -> None:
    while step is not Step.DONE:
        try:
            step = await STEPS[step](charge)
        except (Gone, OutcomeUnknown) as error:
            step = await _reach_again(charge, error)


async def _reach_again(charge: Charge, error: DatabaseError) -> Step:
    """Where to go on after a connection broke: as a resume would, unless another coordinator has taken charge."""
    charge.watcher.say(f"A connection broke: {error} Trying again for {PATIENCE:.0f} seconds.")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            await charge.connect()
            if charge.step in (Step.COMMIT_SOURCE, Step.SEE, Step.OPEN):
                charge.step = Step.COMMIT_SOURCE
                return Step.SEE
            goal: Goal = "abort" if charge.gate.phase is Phase.ABORTING else "resume"
            return await take(charge, goal, turn=charge.gate.turn)
        except (Gone, OutcomeUnknown):
            if loop.time() > deadline:
                raise
        await charge.pause_for(RECONNECT_SECONDS)


async def _undo(charge: Charge, error: Exception) -> None:
    """Leave both databases as they were, as far as they can be reached. Raises Failed."""
    charge.watcher.say(f"{error} Taking back what was done.")
    try:
        await charge.connect()
        await _go_on(charge, await take(charge, "abort", turn=charge.gate.turn))
    except (Failed, Refused, DatabaseError) as second:
        raise Failed(f"{error} It could not be taken back: {second} Run `switchdb --abort`.") from error
    raise Failed(f"{error} Nothing has changed: the service goes on with {charge.source.alias}.") from error

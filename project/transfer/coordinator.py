"""Who moves the service: takes one step of the protocol after the other, from wherever a switch stands."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable

from project.database.errors import DatabaseError, Denied, Gone, OutcomeUnknown
from project.transfer import protocol
from project.transfer.catching_up import catch_up
from project.transfer.charge import Charge, Failed
from project.transfer.copying import copy
from project.transfer.cutover import evict, flip, open_target, prepare, see
from project.transfer.protocol import Phase, Refused, Replaced, Step
from project.transfer.taking import Goal, capture, claim, forget, take, unclaim

PATIENCE = 10.0
"""Seconds for which a database that has gone away is waited for: a server that is restarted takes that long."""
RECONNECT_SECONDS = 0.5
"""Between two tries to reach it."""
MOST_BREAKS = 5
BREAKS_SECONDS = 300.0
"""When connections break that often within this time, something is wrong that does not pass."""

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
        await _connect(charge, goal)
        await _go_on(charge, await _take(charge, goal))
    except (Failed, Refused, DatabaseError) as error:
        if charge.gate.phase not in UNCOPIED or isinstance(error, Replaced):
            raise
        await _undo(charge, error)
    finally:
        await charge.disconnect()


async def _connect(charge: Charge, goal: Goal) -> None:
    """An abort does without a target that is away."""
    try:
        await charge.connect()
    except DatabaseError:
        if goal != "abort":
            raise
        charge.target_is_away = True
        await charge.connect()
    if charge.target_is_away:
        charge.watcher.say(
            f"{charge.target.alias} cannot be reached: it keeps what it has, and takes no writes until a switch to it "
            "empties it."
        )


async def _take(charge: Charge, goal: Goal, turn: int | None = None) -> Step:
    try:
        return await take(charge, goal, turn)
    except OutcomeUnknown as error:
        raise Failed(
            f"{charge.source.alias} did not say whether this has taken charge of the switch: --resume or --abort it."
        ) from error


async def _go_on(charge: Charge, step: Step) -> None:
    breaks: deque[float] = deque(maxlen=MOST_BREAKS)
    while step is not Step.DONE:
        try:
            step = await STEPS[step](charge)
        except Denied:
            raise
        except (Gone, OutcomeUnknown) as error:
            now = time.monotonic()
            if len(breaks) == MOST_BREAKS and now - breaks[0] < BREAKS_SECONDS:
                raise
            breaks.append(now)
            step = await _reach_again(charge, error)


async def _reach_again(charge: Charge, error: DatabaseError) -> Step:
    """Where to go on after a connection broke: as a resume would, unless another coordinator has taken charge."""
    charge.watcher.say(f"A connection broke: trying again for {PATIENCE:.0f} seconds. {error}")
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while True:
        try:
            await charge.connect()
            if charge.step in (Step.COMMIT_SOURCE, Step.SEE, Step.OPEN):
                charge.step = Step.COMMIT_SOURCE
                return Step.SEE
            goal: Goal = "abort" if charge.gate.phase is Phase.ABORTING else "resume"
            return await _take(charge, goal, turn=charge.gate.turn)
        except Gone as another:
            if loop.time() > deadline:
                raise Failed(await _why_not(charge)) from another
        await charge.pause_for(RECONNECT_SECONDS)


async def _why_not(charge: Charge) -> str:
    """Who cannot be reached, and what can be done about it."""
    away = []
    for side in (charge.source, charge.target):
        try:
            await side.look()
        except DatabaseError as error:
            away.append(f"{side.alias}: {error}")
    sentence = " ".join(away) or "A connection broke again and again."
    if charge.gate.phase in UNCOPIED:
        return sentence
    if charge.gate.phase in protocol.UNDER_WAY and charge.step not in (Step.COMMIT_SOURCE, Step.SEE, Step.OPEN):
        return f"{sentence} The service goes on: --resume when all can be reached, or --abort."
    return f"{sentence} Whether the service has moved shows when all can be reached: --resume then."


async def _undo(charge: Charge, error: Exception) -> None:
    """Leave both databases as they were, as far as they can be reached. Raises Failed."""
    charge.watcher.say("Taking back what was done.")
    try:
        await _connect(charge, "abort")
        await _go_on(charge, await _take(charge, "abort", turn=charge.gate.turn))
    except (Failed, Refused, DatabaseError) as second:
        raise Failed(f"{error} It could not be taken back: {second} Run `switchdb --abort`.") from error
    raise Failed(f"{error} Nothing has changed: the service goes on with {charge.source.alias}.") from error

"""In step with the source: its log is drained until little is left, and then, once, both sides are compared."""

import time

from project.database.sessions import Session
from project.transfer import gates, protocol
from project.transfer.charge import Charge, Failed
from project.transfer.cutover import not_ready, wait_for_servers
from project.transfer.draining import Backlog, drain
from project.transfer.protocol import Phase, Step
from project.transfer.verify import Unordered, both, compare, sums

LITTLE = 500
"""Entries of the log with which the cutover may begin, however long they took: writers wait for about as many."""
SHARE = 1 / 4
"""Of the longest pause: the cutover may also begin after any number that took no longer."""
ROUNDS = 20
"""How often the log is drained while it does not get shorter."""
IDLE_SECONDS = 0.5
"""Between two looks at a log that is empty."""


async def catch_up(charge: Charge) -> Step:
    """READ_LOG to CONSUME, and what is to be done once little is left."""
    charge.begin(Step.READ_LOG)
    async with charge.links.reading.snapshot() as source:
        count = await Backlog(source, charge.tables).count()
        began = time.monotonic()
        if count:
            await drain(charge, source, count)
        if count > LITTLE and time.monotonic() - began > charge.max_pause * SHARE:
            return _again(charge, count)
        charge.rounds = 0
        if charge.gate.phase is Phase.FOLLOWING and not charge.keeps_copying:
            await _verify(charge, source)
            return Step.PREPARE
    if charge.keeps_copying:
        return await _stay_in_step(charge)
    return await wait_for_servers(charge) if await not_ready(charge) else Step.FENCE


def _again(charge: Charge, count: int) -> Step:
    charge.rounds = charge.rounds + 1 if count >= charge.shortest else 0
    charge.shortest = min(count, charge.shortest)
    if charge.rounds == ROUNDS:
        raise Failed(
            f"The service writes faster than {charge.target.alias} takes it: {count:,} changes are waiting, and they "
            "do not get fewer. --resume when there is less to do, or --abort."
        )
    return Step.READ_LOG


async def _stay_in_step(charge: Charge) -> Step:
    if not charge.is_in_step:
        charge.is_in_step = True
        charge.watcher.say(
            f"{charge.target.alias} is in step with {charge.source.alias}, and stays so while this runs: "
            "`switchdb --cutover` moves the service."
        )
    while True:
        async with charge.links.reading.alone() as session:
            protocol.check_turn((await gates.read(session)).gate, charge.gate.turn)
            if await Backlog(session, charge.tables).count():
                return Step.READ_LOG
        await charge.pause_for(IDLE_SECONDS)


async def _verify(charge: Charge, source: Session) -> None:
    """With the snapshot still open whose log has been drained: the target holds what it shows. Raises Failed,
    Replaced.
    """
    tell = charge.watcher.tell
    async with charge.links.target.snapshot() as target:
        here, there = await both(
            sums(source, charge.tables, lambda done: tell("Verifying", done, charge.copied or None)),
            sums(target, charge.tables),
        )
        charge.sums = here
        if here != there:
            try:
                found = await compare(source, target, charge.tables, lambda done: tell("Comparing", done, None))
            except Unordered as error:
                raise Failed(f"{charge.target.alias} does not hold what {charge.source.alias} does. {error}") from error
            async with charge.locked_source(shared=True):
                pass  # who has been replaced, and wakes up, compares with what the service has written there since
            charge.findings = found
            raise Failed(
                f"{found.rows:,} rows of {charge.target.alias} are not what they are in {charge.source.alias}, such as "
                f"{found.kept[0].key} of table {found.kept[0].table}: --abort, and see to it that nobody writes there."
            )

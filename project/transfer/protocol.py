"""How the service moves from one database to another: who may change which record when, and who believes it.

Two databases know nothing of each other, and no transaction spans both. So each keeps a record of its own, its gate,
and every change of a gate is one transaction in one database. The functions here are those changes, and what processes
conclude from a gate; they touch nothing. Each is called with the gate's row locked (`SELECT ... FOR UPDATE`, or
`BEGIN IMMEDIATE`), in the transaction that then writes what it returns: a plain read may be overtaken by a COMMIT that
is still under way.

    source                                          target
    IDLE                                            IDLE
      | begin                                         |
    CAPTURING   a log of changes is set up            |
      | advance                                       | claim
    COPYING     a resume copies anew                FILLING    takes no writes but the coordinator's
      | advance                                       |
    FOLLOWING   drained, then verified                |
      | advance                                       |
    PREPARING   servers open pools to the target      |
      | flip: the one moment at which the             |
      v       service has moved                       |
    MOVED       takes no writes, says where to go     | open: nobody can be reading the source any more
                                                      v
                                                    RETAINING  takes writes, logs them for the way back
                                                      | complete
                                                    IDLE

A COMMIT that anybody has seen must outlive a crash of its database: where a server is set to forget some, nothing here
holds.

The way back is the same with the roles exchanged: RETAINING begins at FOLLOWING, MOVED is claimed.

A process that crashes, hangs or is cut off leaves the two gates as they were after some transaction. START says where a
resume goes on; an abort works from every phase of the source but MOVED, where only a resume does: it opens the target.
Servers open it too, so the service goes on when the coordinator dies at the worst moment.
"""

import enum
from collections.abc import Iterable

import msgspec

LEASE = 1.0
"""Seconds that a server may answer from a database after it last asked whether that is the right one."""
MARGIN = 0.05
"""Seconds by which two machines' clocks may drift apart during a lease, generously."""
RENEWAL = 0.2
"""Seconds between two looks at the gate. A request that meets a lease run out looks at once: nobody fails for one."""


class Phase(enum.StrEnum):
    IDLE = "idle"
    CAPTURING = "capturing"
    COPYING = "copying"
    FOLLOWING = "following"
    PREPARING = "preparing"
    MOVED = "moved"
    FILLING = "filling"
    RETAINING = "retaining"
    ABORTING = "aborting"


FENCED = frozenset({Phase.FILLING, Phase.MOVED})
"""Where the database itself refuses every write but those of the coordinator that fills it."""

UNDER_WAY = frozenset({Phase.CAPTURING, Phase.COPYING, Phase.FOLLOWING, Phase.PREPARING, Phase.ABORTING})
"""The phases of a source that has not been left yet."""

_NEXT = {
    Phase.CAPTURING: Phase.COPYING,
    Phase.COPYING: Phase.FOLLOWING,
    Phase.FOLLOWING: Phase.PREPARING,
}


class Gate(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """What a database says of itself."""

    phase: Phase = Phase.IDLE
    turn: int = 0
    """Raised by every coordinator that takes charge, and never lowered: one that finds another number has been
    replaced, and stops. It outlives the switch, or a coordinator that wakes up late could not tell."""
    switch: str | None = None
    other: str | None = None
    """The identity of the database at the other end."""
    back: bool = False
    """Whether the switch under way returns to the database left last."""


class Registration(enum.StrEnum):
    """Of a server in the database it reads. One without a row has no lease."""

    HERE = "here"
    READY = "ready"
    """It reaches the target under the alias in the gate, and has connections open."""
    EVICTED = "evicted"
    """It did not answer: it gets no lease, and the row goes when its last one has certainly run out."""


class Refused(Exception):
    """The gate does not allow it; nothing has changed. The message says why."""


class Replaced(Refused):
    """Another coordinator has taken charge."""


# The coordinator: each of these is part of one transaction, in the database whose gate it is given.


def begin(source: Gate, switch: str, other: str) -> Gate:
    if source.phase is Phase.RETAINING and source.other == other:
        return msgspec.structs.replace(source, phase=Phase.FOLLOWING, turn=source.turn + 1, switch=switch, back=True)
    if source.phase is Phase.RETAINING:
        raise Refused("The way back of the last switch is still open: go --back, or give it up with --complete.")
    if source.phase is not Phase.IDLE:
        raise Refused(f"Switch {source.switch} is under way here ({source.phase}): --resume or --abort it.")
    return Gate(Phase.CAPTURING, source.turn + 1, switch, other)


def take_over(source: Gate) -> Gate:
    """For --resume. From MOVED too: the target may still have to be opened."""
    if source.phase is Phase.ABORTING:
        raise Refused("An abort is under way: --abort ends it.")
    if source.phase not in UNDER_WAY | {Phase.MOVED}:
        raise Refused("No switch is under way.")
    return msgspec.structs.replace(source, turn=source.turn + 1)


def give_up(source: Gate) -> Gate:
    """For --abort."""
    if source.phase is Phase.MOVED:
        raise Refused("The service has moved already: --resume to finish, then go --back.")
    if source.phase not in UNDER_WAY:
        raise Refused("No switch is under way.")
    return msgspec.structs.replace(source, phase=Phase.ABORTING, turn=source.turn + 1)


def claim(target: Gate, seen: int, source: Gate, identity: str) -> Gate:
    """The target as this coordinator's own. `source` is its gate as this coordinator left it, `identity` whose it is.

    `seen` is the turn of the target as it was BEFORE this coordinator took charge of the source: an abort that ended
    meanwhile has raised it, and what was aborted does not come back. A target that was away when a switch from this
    source was aborted is still FILLING for that one: nobody will ever open it, so the next switch may have it.
    """
    if target.turn != seen:
        raise Replaced("Another coordinator has been at the target meanwhile.")
    ours = target.phase is Phase.FILLING and target.other == identity
    left = source.back and target.phase is Phase.MOVED and target.other == identity
    if not (ours or left or target.phase is Phase.IDLE):
        raise Refused(f"The target is {target.phase} for switch {target.switch}.")
    return Gate(Phase.FILLING, target.turn + 1, source.switch, identity, source.back)


def check_turn(gate: Gate, turn: int) -> None:
    """What every transaction of a coordinator begins with, in the source as in the target."""
    if gate.turn != turn:
        raise Replaced("Another coordinator has taken charge.")


def advance(source: Gate, turn: int) -> Gate:
    check_turn(source, turn)
    if source.phase not in _NEXT:
        raise Refused(f"The source is {source.phase}: no phase comes next but by its own step.")
    return msgspec.structs.replace(source, phase=_NEXT[source.phase])


def flip(source: Gate) -> Gate:
    """Committed together with all of FLIP, by the transaction that has held the gate's lock since FENCE."""
    return msgspec.structs.replace(source, phase=Phase.MOVED, back=False)


def unclaim(target: Gate, seen: int, source: Gate, identity: str) -> Gate:
    """The target as it was before the claim, its turn aside: that is raised, as a claim may still be on its way."""
    if target.turn != seen:
        raise Replaced("Another coordinator has been at the target meanwhile.")
    if target.phase is not Phase.FILLING or target.switch != source.switch:
        return msgspec.structs.replace(target, turn=target.turn + 1)
    if source.back:
        return Gate(Phase.MOVED, target.turn + 1, target.switch, identity)
    return Gate(Phase.IDLE, target.turn + 1)


def forget(source: Gate, turn: int) -> Gate:
    """The source as it was before the switch began, its turn aside."""
    check_turn(source, turn)
    if source.back:
        return msgspec.structs.replace(source, phase=Phase.RETAINING, back=False)
    return Gate(Phase.IDLE, source.turn)


def complete(active: Gate) -> Gate:
    if active.phase is not Phase.RETAINING:
        raise Refused(f"There is no way back to give up: the database is {active.phase}.")
    return Gate(Phase.IDLE, active.turn)


def forsake(left: Gate) -> Gate:
    """A database that was left, before it is emptied to be used for something else. Its turn is raised, so that nobody
    who still means to return to it does.
    """
    if left.phase is not Phase.MOVED:
        raise Refused(f"The service has not left this database: it is {left.phase}.")
    return msgspec.structs.replace(left, turn=left.turn + 1)


def may_remove(marked_at: float, now: float) -> bool:
    """Whether the leases of servers that were marked as evicted at `marked_at` have certainly run out."""
    return now >= leases_over_at(marked_at)


def may_fence(writers: int, rows: Iterable[Registration]) -> bool:
    """Whether the source can be left, its gate being locked: nobody is writing, and every server can follow."""
    return writers == 0 and all(row is Registration.READY for row in rows)


def left_in_log(log: frozenset[int], read: frozenset[int]) -> frozenset[int]:
    """Never by a watermark: a number may be given out before another and be committed after it."""
    return log - read


# Opening the target: the coordinator, or any server that has read the source's record.


def may_open(registered: int, seen_at: float, now: float) -> bool:
    """Whether nobody can still answer from a source whose committed record was seen at `seen_at`.

    `registered` counts the rows of `_servers` in the source: a row goes when its server has stopped reading there.
    """
    return registered == 0 or now >= leases_over_at(seen_at)


def leases_over_at(seen_at: float) -> float:
    return seen_at + LEASE + MARGIN


def opened(target: Gate, switch: str) -> Gate:
    """Unchanged if somebody else has opened it, whatever has become of it since."""
    if target.phase is Phase.FILLING and target.switch == switch:
        return msgspec.structs.replace(target, phase=Phase.RETAINING, back=False)
    return target


# Servers.


def follows(gate: Gate, followed: str | None) -> bool:
    """Whether a server is to ask `gate.other` instead. `followed` is the switch whose record sent it here, if any."""
    if gate.phase is Phase.FILLING:
        return gate.switch != followed
    return gate.phase is Phase.MOVED


def grants(gate: Gate, followed: str | None, row: Registration | None) -> bool:
    """Whether a look at the gate, and at the server's own row in the same snapshot, renews its lease."""
    return not follows(gate, followed) and row in (Registration.HERE, Registration.READY)


def lease_until(sent: float, received: float) -> float:
    """Both on the server's own clock: a look that took long says nothing of the time since it was answered."""
    return min(sent, received) + LEASE


def may_answer(lease_end: float, now: float) -> bool:
    """Checked when the answer is there, right before it is sent; if not, the read is run again where the gate says."""
    return now < lease_end


class Failure(enum.StrEnum):
    """Of a unit of work that writes."""

    FENCED = "the database refused it"
    LOST = "the connection broke before COMMIT was sent"
    UNKNOWN = "the connection broke before COMMIT was answered"


def runs_again(failure: Failure) -> bool:
    return failure is not Failure.UNKNOWN


# The order of the coordinator's steps.


class Step(enum.StrEnum):
    """One transaction each, in the database named first."""

    TAKE = "source: begin, take_over or give_up"
    CLAIM = "target: claim; empty it unless it is the way back or has been copied"
    CAPTURE = "source: install the log, one table a transaction, then advance"
    SNAPSHOT = "source: begin reading at one moment"
    COPY = "target: a page of rows"
    COPIED = "source: advance"
    READ_LOG = "source: at one moment the log and the rows it names"
    APPLY = "target: those rows as they are now"
    CONSUME = "source: delete exactly the entries that were read"
    PREPARE = "source: advance, once verified"
    EVICT = "source: mark the servers that do not answer"
    EVICTED = "source: remove the marked rows, a lease later"
    FENCE = "source: begin; lock the gate and wait for the writers in flight; every server is ready"
    LAST_READ = "source, same transaction: the log and the rows it names"
    COMMIT_TARGET = "target: those rows, the sequences, an empty log; COMMIT"
    COMMIT_SOURCE = "source, same transaction: all of FLIP; COMMIT"
    SEE = "source: read the record that COMMIT left, under the gate's lock"
    OPEN = "target: opened, once may_open"
    UNCLAIM = "target: unclaim; remove the rows unless it is the way back"
    FORGET = "source: remove the log unless it is the way back; forget"
    DONE = "nothing is left to do"


LOCKED = frozenset(Step) - {Step.SNAPSHOT, Step.READ_LOG, Step.LAST_READ, Step.COMMIT_SOURCE, Step.DONE}
"""The steps that begin by locking the gate of their database. What they wait for may be a COMMIT that is under way."""


class Change(enum.StrEnum):
    RECORD = "the gate says MOVED, and where to"
    FENCE = "the database refuses writes"


FLIP = frozenset({Change.RECORD, Change.FENCE})
"""What the source's last transaction commits, all or nothing."""

START = {
    Phase.CAPTURING: Step.CAPTURE,
    Phase.COPYING: Step.SNAPSHOT,
    Phase.FOLLOWING: Step.READ_LOG,
    Phase.PREPARING: Step.READ_LOG,
    Phase.MOVED: Step.SEE,
    Phase.ABORTING: Step.UNCLAIM,
}
"""Where a coordinator goes on once it has taken charge of both gates, by the phase of the source.

MOVED needs no claim of the target: nothing is written there but by `opened`. A switch that is ABORTING only aborts.
"""

THEN: dict[Step, tuple[Step, ...]] = {
    Step.TAKE: (Step.CLAIM, Step.SEE, Step.UNCLAIM, Step.FORGET),
    Step.CLAIM: (Step.CAPTURE, Step.SNAPSHOT, Step.READ_LOG),
    Step.CAPTURE: (Step.SNAPSHOT,),
    Step.SNAPSHOT: (Step.COPY,),
    Step.COPY: (Step.COPY, Step.COPIED),
    Step.COPIED: (Step.READ_LOG,),
    Step.READ_LOG: (Step.APPLY, Step.READ_LOG, Step.PREPARE, Step.EVICT, Step.FENCE),
    Step.APPLY: (Step.CONSUME,),
    Step.CONSUME: (Step.READ_LOG, Step.PREPARE, Step.EVICT, Step.FENCE),
    Step.PREPARE: (Step.READ_LOG, Step.EVICT, Step.FENCE),
    Step.EVICT: (Step.EVICTED,),
    Step.EVICTED: (Step.READ_LOG, Step.FENCE),
    Step.FENCE: (Step.LAST_READ, Step.READ_LOG),
    Step.LAST_READ: (Step.COMMIT_TARGET, Step.READ_LOG),
    Step.COMMIT_TARGET: (Step.COMMIT_SOURCE, Step.READ_LOG),
    Step.COMMIT_SOURCE: (Step.SEE, Step.READ_LOG),
    Step.SEE: (Step.OPEN, Step.READ_LOG),
    Step.OPEN: (Step.DONE,),
    Step.UNCLAIM: (Step.FORGET,),
    Step.FORGET: (Step.DONE,),
}
"""What may come after a step. FORGET comes right after TAKE where the target is away: that one stays FILLING. READ_LOG
comes after itself where the log was empty, so that nothing was to be applied, and after those of the cutover where the
source's transaction broke or was given up."""

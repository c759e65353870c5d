"""What a switch promises, in every order in which coordinators, servers, clients and databases can act and fail.

`explorer` finds the orders, `model` says what can happen, and what must not.
"""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from project.transfer import protocol
from project.transfer.protocol import Change, Gate, Phase, Refused, Registration, Step
from tests.project.transfer.explorer import Broken, Exploration
from tests.project.transfer.model import Goal, Model, Scope, World, authority, fault, is_at_rest, remains

ONE = (((0, 0),),)
"""One server, with one write."""
TWO = (((0, 0),), ((1, 1),))
"""Two, with one each, to rows of their own."""
BESIDE = (((0, 0),), ())
"""Two, of which one writes."""

SCOPES = {
    "two servers": Scope(writes=TWO, readers=(1,)),
    "one writes and the other is read and dies": Scope(writes=BESIDE, readers=(1,), restarts=1),
    "connections break": Scope(writes=ONE, readers=(), breaks=1, goals=("resume",)),
    "resumed": Scope(writes=ONE, readers=(0,), goals=("resume",)),
    "aborted, then begun anew": Scope(writes=ONE, readers=(), goals=("abort", "switch")),
    "there and back": Scope(writes=ONE, readers=(0,), goals=("back",)),
    "the way back aborted": Scope(writes=ONE, readers=(), goals=("back", "abort")),
}
BIG_SCOPES = {
    "two servers that are read and die": Scope(writes=TWO, readers=(0, 1), restarts=1),
    "two servers, a connection breaks, resumed": Scope(writes=BESIDE, readers=(), breaks=1, goals=("resume",)),
    "two servers, aborted": Scope(writes=TWO, readers=(), goals=("abort",)),
    "resumed twice": Scope(writes=ONE, readers=(0,), goals=("resume", "resume")),
    "resumed, then aborted": Scope(writes=BESIDE, readers=(), goals=("resume", "abort")),
    "a server dies, there and back": Scope(writes=ONE, readers=(0,), goals=("back",), restarts=1),
    "two writes there and back": Scope(writes=(((0, 0), (1, 0)),), readers=(0,), goals=("back",), restarts=1),
    "the way back resumed": Scope(writes=ONE, readers=(0,), goals=("back", "resume"), restarts=1),
    "the way back aborted": Scope(writes=ONE, readers=(0,), goals=("back", "abort"), restarts=1),
}


def scopes(choice: dict[str, Scope]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scope", choice.values(), ids=choice.keys())


def explored(scope: Scope) -> Exploration[World]:
    model = Model(scope)
    return Exploration(model.beginning()).run(model.actions, fault)


class TestSwitch:
    @scopes(SCOPES)
    def test_keeps_its_promises_and_ends_well_wherever_it_was_left(self, scope: Scope) -> None:
        assert_ends_well(explored(scope), scope)

    @pytest.mark.big
    @scopes(BIG_SCOPES)
    def test_keeps_its_promises_when_more_happens(self, scope: Scope) -> None:
        assert_ends_well(explored(scope), scope)

    @pytest.mark.parametrize(
        ("goals", "source", "phase"),
        [(("abort", "switch"), 0, Phase.IDLE), (("back", "abort", "back"), 1, Phase.RETAINING)],
    )
    def test_goes_to_a_target_that_was_away_when_another_was_aborted(
        self, goals: tuple[Goal, ...], source: int, phase: Phase
    ) -> None:
        left = {remains(world) for world in explored(Scope(writes=ONE, readers=(), goals=goals, away=True))}
        abandoned = [
            world
            for world in left
            if world.abandoned
            and [world.databases[source].gate.phase, world.databases[1 - source].gate.phase] == [phase, Phase.FILLING]
        ]
        assert abandoned
        assert_each_reaches(abandoned, goals[-1], 1 - source)


def assert_ends_well(exploration: Exploration[World], scope: Scope) -> None:
    left = {remains(world) for world in exploration}
    ends = {(authority(world), world.databases[1 - authority(world)].gate.phase) for world in left if is_at_rest(world)}
    assert (1, Phase.MOVED) in ends
    if "back" in scope.goals:
        assert (0, Phase.MOVED) in ends
    for target in (1, 0):
        going = [world for world in left if target_of(world) == target]
        unmoved = [world for world in going if source_of(world).phase is not Phase.MOVED]
        unaborted = [world for world in going if source_of(world).phase is not Phase.ABORTING]
        assert_each_reaches(unmoved, "abort", 1 - target)
        assert_each_reaches(unaborted, "resume", target)


def assert_each_reaches(worlds: list[World], goal: Goal, active: int) -> None:
    """A coordinator with that goal can make an end, with that database active, with nobody's help."""
    model = Model(Scope(goals=(goal,)))
    exploration = Exploration(*worlds).run(model.actions, fault)
    ends = exploration.that_reach(model.actions, lambda world: is_at_rest(world) and authority(world) == active)
    stuck = [world for world in worlds if world not in ends]
    assert not stuck, f"{len(stuck)} of {len(worlds)} cannot be ended by {goal}, such as {stuck[0]}"


def target_of(world: World) -> int | None:
    """Of the switch that is under way."""
    if is_at_rest(world):
        return None
    return 0 if any(database.gate.back for database in world.databases) else 1


def source_of(world: World) -> Gate:
    target = target_of(world)
    assert target is not None
    return world.databases[1 - target].gate


def watermark(log: frozenset[int], read: frozenset[int]) -> frozenset[int]:
    return frozenset(number for number in log if number > max(read))


def order(*steps: Step) -> dict[str, Any]:
    """The protocol's, but for these: each comes right after the one before."""
    changed = {step: (after,) for step, after in itertools.pairwise(steps)}
    return {"THEN": protocol.THEN | changed}


def start(phase: Phase, step: Step) -> dict[str, Any]:
    return {"START": protocol.START | {phase: step}}


def same_turn(change: Callable[..., Gate]) -> Callable[..., Gate]:
    return lambda gate, *rest, **named: replace(change(gate, *rest, **named), turn=gate.turn)


BEGIN, CLAIM = protocol.begin, protocol.claim

MOVE = Scope(writes=TWO, readers=())
READ = SCOPES["one writes and the other is read and dies"]
BREAK = SCOPES["connections break"]
RESUME = SCOPES["resumed"]
RESUME_TWICE = BIG_SCOPES["resumed twice"]
ABORT = SCOPES["aborted, then begun anew"]
AGAIN = Scope(writes=ONE, readers=(), goals=("switch", "abort"))
BACK = BIG_SCOPES["a server dies, there and back"]

STALE = "which was left behind"
LOST = "is 0 times in the active database"
TWICE = "is 2 times in the active database"
BOTH = "Both databases take writes"
UNREADY = "has not said that it can follow"
TRACES = "there are traces of it"

SAFEGUARDS: dict[str, tuple[Scope, str, dict[str, Any]]] = {
    "The fence is committed together with the record": (MOVE, BOTH, {"FLIP": {Change.RECORD}}),
    "The target commits before the source": (
        MOVE,
        LOST,
        order(Step.LAST_READ, Step.COMMIT_SOURCE, Step.COMMIT_TARGET, Step.SEE),
    ),
    "The target opens once the leases are over": (READ, STALE, {"may_open": lambda *_: True}),
    "The leases of evicted servers run out too": (READ, STALE, {"may_remove": lambda *_: True}),
    "An evicted server gets no lease": (READ, STALE, {"grants": lambda gate, *_: gate.phase is not Phase.MOVED}),
    "A server looks at its lease when it answers": (READ, STALE, {"may_answer": lambda *_: True}),
    "A lease counts from when it was asked for": (
        READ,
        STALE,
        {"lease_until": lambda sent, received: received + protocol.LEASE},
    ),
    "A server asks elsewhere where rows are being filled in": (
        BACK,
        STALE,
        {"follows": lambda gate, _: gate.phase is Phase.MOVED},
    ),
    "The fence waits for the writers in flight": (
        MOVE,
        LOST,
        {"may_fence": lambda _, rows: all(row is Registration.READY for row in rows)},
    ),
    "The fence waits for every server to be ready": (MOVE, UNREADY, {"may_fence": lambda writers, _: writers == 0}),
    "Changes are logged before the rows are read": (
        MOVE,
        LOST,
        start(Phase.CAPTURING, Step.SNAPSHOT) | order(Step.SNAPSHOT, Step.CAPTURE, Step.COPY),
    ),
    "Half a copy is no copy": (RESUME, LOST, start(Phase.COPYING, Step.COPIED)),
    "The log is consumed entry by entry": (MOVE, LOST, {"left_in_log": watermark}),
    "The log is consumed after the target's commit": (
        RESUME,
        LOST,
        {"THEN": order(Step.READ_LOG, Step.CONSUME, Step.APPLY)["THEN"] | {Step.APPLY: protocol.THEN[Step.CONSUME]}},
    ),
    "A write of unknown outcome is not run again": (BREAK, TWICE, {"runs_again": lambda _: True}),
    "Who takes charge waits for a COMMIT under way": (ABORT, LOST, {"LOCKED": protocol.LOCKED - {Step.TAKE}}),
    "Who was replaced finds another turn in the source": (
        RESUME_TWICE,
        LOST,
        {"take_over": same_turn(protocol.take_over)},
    ),
    "Who was replaced finds another turn in the target": (RESUME, LOST, {"claim": same_turn(protocol.claim)}),
    "What was aborted claims nothing any more": (ABORT, TRACES, {"unclaim": same_turn(protocol.unclaim)}),
    "A claim is of the target as it was before": (
        ABORT,
        TRACES,
        {"claim": lambda target, _, source, identity: CLAIM(target, target.turn, source, identity)},
    ),
    "A second switch is refused": (
        AGAIN,
        TRACES,
        {"begin": lambda source, *rest: BEGIN(Gate(turn=source.turn), *rest)},
    ),
}


class TestSafeguards:
    @pytest.mark.parametrize(("scope", "promise", "without"), SAFEGUARDS.values(), ids=SAFEGUARDS.keys())
    def test_without_it_a_promise_is_broken(
        self, monkeypatch: pytest.MonkeyPatch, scope: Scope, promise: str, without: dict[str, Any]
    ) -> None:
        for name, value in without.items():
            monkeypatch.setattr(protocol, name, value)
        with pytest.raises(Broken) as caught:
            explored(scope)
        print(caught.value)
        assert promise in str(caught.value).splitlines()[-1]


class TestGate:
    @pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.IDLE, Phase.RETAINING}))
    def test_a_second_switch_is_told_of_the_first(self, phase: Phase) -> None:
        with pytest.raises(Refused, match=f"7f3a.*{phase}"):
            protocol.begin(Gate(phase, switch="7f3a", other="b"), "c001", "c")

    def test_the_way_back_is_given_up_before_a_switch_elsewhere(self) -> None:
        with pytest.raises(Refused, match="--complete"):
            protocol.begin(Gate(Phase.RETAINING, switch="7f3a", other="b"), "c001", "c")

    def test_an_abort_is_refused_once_the_service_has_moved(self) -> None:
        with pytest.raises(Refused, match="--back"):
            protocol.give_up(Gate(Phase.MOVED, switch="7f3a", other="b"))

    def test_a_target_of_another_switch_is_not_claimed(self) -> None:
        with pytest.raises(Refused, match="7f3a"):
            protocol.claim(Gate(Phase.FILLING, 3, "7f3a", "a"), 3, Gate(Phase.CAPTURING, 1, "c001", "b"), "c")

    def test_completing_ends_the_way_back_only(self) -> None:
        assert protocol.complete(Gate(Phase.RETAINING, 2, "7f3a", "b")) == Gate(Phase.IDLE, 2)
        with pytest.raises(Refused, match="no way back"):
            protocol.complete(Gate(Phase.COPYING, 2, "7f3a", "b"))

"""Two databases, their servers, clients and coordinators, as far as the protocol of a switch sees them.

Who does what is decided by project.transfer.protocol; here stands what the databases themselves see to (transactions,
locks, triggers) and what the world does to them. A tick of the clock is as long as a lease, or a margin longer to those
who wait for one to run out. Nobody has to act: a process that is paused, cut off or dead is one that does not.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from project.transfer import protocol
from project.transfer.protocol import Change, Failure, Gate, Phase, Refused, Registration, Step

Goal = Literal["switch", "resume", "abort", "back"]

KEYS = (0, 1)
NAMES = ("source", "target")
LEFT = protocol.FENCED | {Phase.RETAINING}
"""A phase that only one of two databases can be in while the other is fenced, or is the fenced one."""
ABANDONS = "leaves a target that is away as it is"
EMPTY: tuple[tuple[int, ...], ...] = ((), ())


class Scope(NamedTuple):
    """How far the exploration goes."""

    writes: tuple[tuple[tuple[int, int], ...], ...] = (((0, 0),), ((1, 1),))
    """By server, what its clients write, one after the other: the write and the key of the row."""
    readers: tuple[int, ...] = (1,)
    """The servers that are read from."""
    goals: tuple[Goal, ...] = ()
    """The coordinators that are started after the first, in this order, whenever; the one before may live on."""
    restarts: int = 0
    breaks: int = 0
    """Connections that break under a write."""
    away: bool = False
    """Whether the target may be away during an abort."""


class Fence(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """The coordinator's transaction in the source, which holds the locks; `sent` is whether COMMIT is on its way."""

    turn: int
    sent: bool = False


class Database(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    gate: Gate = Gate()
    fenced: bool = False
    logging: bool = False
    rows: tuple[tuple[int, ...], ...] = EMPTY
    """By key, the writes that the row has seen."""
    log: frozenset[tuple[int, int]] = frozenset()
    number: int = 1
    """What the log's next entry gets, committed or not."""
    servers: tuple[Registration | None, ...] = ()
    fence: Fence | None = None

    @property
    def holds(self) -> frozenset[int]:
        return frozenset(write for row in self.rows for write in row)


class Write(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    at: int
    number: int | None
    """Its place in the log, if changes were logged when it was made."""


class Server(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    at: int = 0
    followed: str | None = None
    lease: int = 0
    """Ticks that are left of it."""
    look: int | None = None
    """The age of a look at the gate that would renew the lease once its answer arrives."""
    wait: int = 0
    """Ticks until the leases are over, for one that has seen the record."""
    done: int = 0
    """How many of its writes have come to an end."""
    write: Write | None = None
    read: int | None = None
    """The database from which a read has its rows that is not answered yet."""


class Coordinator(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    goal: Goal
    source: int
    seen: int
    """The turn of the target when it was looked at."""
    step: Step = Step.TAKE
    gate: Gate = Gate()
    """Of the source, as this coordinator left it."""
    turn: int = 0
    """Of the target, as this coordinator left it."""
    read: frozenset[tuple[int, int]] = frozenset()
    rows: tuple[tuple[int, ...], ...] = EMPTY
    page: int = 0
    wait: int = 0


class World(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    databases: tuple[Database, Database]
    servers: tuple[Server, ...] = ()
    coordinator: Coordinator | None = None
    former: Coordinator | None = None
    """One that has been replaced and does not know."""
    started: int = 0
    restarts: int = 0
    breaks: int = 0
    known: frozenset[int] = frozenset()
    """The writes of which somebody was told: acknowledged, or read."""
    wrong: str | None = None
    abandoned: bool = False
    """Whether a switch was aborted while its target was away."""


def put(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])


def ticks_of_lease(age: int) -> int:
    """What is left of a lease whose look was sent `age` ticks ago and is answered now."""
    return math.ceil(protocol.lease_until(sent=-age * protocol.LEASE, received=0.0) / protocol.LEASE)


def is_over(wait: int, may: Any) -> bool:
    """`may` of the protocol is given when the wait began, and now."""
    tick = protocol.LEASE + protocol.MARGIN
    allowed: bool = may(-(1 - wait) * tick, 0.0)
    return allowed


class Model:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def beginning(self) -> World:
        servers = len(self.scope.writes)
        database = Database(servers=(None,) * servers)
        return World((database, database), (Server(),) * servers)

    def actions(self, world: World) -> Iterator[tuple[str, World]]:
        yield from self._time(world)
        yield from self._databases(world)
        for index in range(len(world.servers)):
            yield from self._server(world, index)
        yield from self._start(world)
        if world.coordinator is not None:
            for label, reached in self._coordinator(world, world.coordinator):
                yield f"coordinator: {label}", reached
        if world.former is not None:
            for label, reached in self._coordinator(_swapped(world), world.former):
                yield f"former coordinator: {label}", _swapped(reached)

    # Time, and what databases do on their own.

    def _time(self, world: World) -> Iterator[tuple[str, World]]:
        later = replace(
            world,
            servers=tuple(_older_server(server) for server in world.servers),
            coordinator=_older_coordinator(world.coordinator),
            former=_older_coordinator(world.former),
        )
        if later != world:
            yield "the time of a lease goes by", later

    def _databases(self, world: World) -> Iterator[tuple[str, World]]:
        for index, database in enumerate(world.databases):
            if database.fence is None:
                continue
            broken = replace(database, fence=None)
            yield f"database {index} rolls the coordinator's transaction back", _with(world, index, broken)
            if database.fence.sent:
                landed = replace(broken, log=frozenset(), logging=False)
                if Change.RECORD in protocol.FLIP:
                    landed = replace(landed, gate=protocol.flip(landed.gate))
                if Change.FENCE in protocol.FLIP:
                    landed = replace(landed, fenced=True)
                yield f"database {index} commits: the service has moved", _with(world, index, landed)

    # Servers and their clients.

    def _server(self, world: World, index: int) -> Iterator[tuple[str, World]]:
        server = world.servers[index]
        name = f"server {'AB'[index]}"
        for label, reached in (
            *self._look(world, index, server),
            *self._move(world, index, server),
            *self._write(world, index, server),
            *(self._read(world, index, server) if index in self.scope.readers else ()),
        ):
            yield f"{name}: {label}", reached
        if world.restarts < self.scope.restarts and server != Server(done=server.done):
            fresh = Server(done=server.done + (server.write is not None))
            world = replace(world, restarts=world.restarts + 1)
            yield f"{name}: dies, and starts anew with the old URL", _serve(world, index, fresh)

    def _look(self, world: World, index: int, server: Server) -> Iterator[tuple[str, World]]:
        database = world.databases[server.at]
        gate, row = database.gate, database.servers[index]
        if server.look is not None and (left := ticks_of_lease(server.look)) > server.lease:
            renewed = replace(server, lease=left, look=None)
            yield f"is told that it may read database {server.at}", _serve(world, index, renewed)
        if protocol.follows(gate, server.followed):
            moved = gate.phase is Phase.MOVED
            waits = moved and world.databases[1 - server.at].gate.phase is Phase.FILLING
            gone = Server(1 - server.at, gate.switch if moved else None, 0, None, int(waits), *_business(server))
            yield f"reads {gate.phase} in database {server.at} and follows", _serve(world, index, gone)
        elif protocol.grants(gate, server.followed, row):
            if index in self.scope.readers:
                yield from self._renew(world, index, server)
        elif database.fence is None:
            registered = replace(database, servers=put(database.servers, index, Registration.HERE))
            yield f"registers in database {server.at}", _with(world, server.at, registered)
        if gate.phase is Phase.PREPARING and row is Registration.HERE and database.fence is None:
            ready = replace(database, servers=put(database.servers, index, Registration.READY))
            yield "opens connections to the target, and says so", _with(world, server.at, ready)

    def _renew(self, world: World, index: int, server: Server) -> Iterator[tuple[str, World]]:
        yield f"renews its lease of database {server.at}", _serve(world, index, replace(server, lease=1))
        if server.look is None and ticks_of_lease(age=1) > 0:
            # Only then is an answer that comes late worth anything.
            yield f"looks at the gate of database {server.at}", _serve(world, index, replace(server, look=0))

    def _move(self, world: World, index: int, server: Server) -> Iterator[tuple[str, World]]:
        here, other = world.databases[server.at], world.databases[1 - server.at]
        if other.servers[index] is not None and other.fence is None:
            left = replace(other, servers=put(other.servers, index, None))
            yield f"removes its row from database {1 - server.at}", _with(world, 1 - server.at, left)
        if server.followed is not None and self._may_open(other, server.wait):
            gate = protocol.opened(here.gate, server.followed)
            if gate != here.gate:
                waiting = tuple(replace(server, wait=0) for server in world.servers)
                opened = _with(world, server.at, replace(here, gate=gate, fenced=False))
                yield f"opens database {server.at}", replace(opened, servers=waiting)

    def _may_open(self, left: Database, wait: int) -> bool:
        registered = sum(row is not None for row in left.servers)
        return is_over(wait, lambda began, now: protocol.may_open(registered, began, now))

    def _write(self, world: World, index: int, server: Server) -> Iterator[tuple[str, World]]:
        tasks = self.scope.writes[index]
        write = server.write
        if server.done == len(tasks):
            return
        task, key = tasks[server.done]
        if write is None:
            database = world.databases[server.at]
            if database.fence is None and not database.fenced:
                number = database.number if database.logging else None
                taken = replace(database, number=database.number + (number is not None))
                begun = replace(server, write=Write(server.at, number))
                yield (
                    f"begins write {task} in database {server.at}",
                    _serve(_with(world, server.at, taken), index, begun),
                )
            return
        database = world.databases[write.at]
        row = tuple(sorted((*database.rows[key], task)))
        log = database.log if write.number is None else database.log | {(write.number, key)}
        kept = _with(world, write.at, replace(database, rows=put(database.rows, key, row), log=log))
        ended, again = replace(server, write=None, done=server.done + 1), replace(server, write=None)
        # Of a commit and its acknowledgement only the order counts: what is promised sooner is harder to keep.
        yield (
            f"commits write {task} in database {write.at}, and acknowledges it",
            replace(_serve(kept, index, ended), known=world.known | {task}),
        )
        if world.breaks < self.scope.breaks:
            for failure, left in (Failure.LOST, world), (Failure.UNKNOWN, kept):
                after = again if protocol.runs_again(failure) else ended
                yield (
                    f"write {task} in database {write.at}: {failure}",
                    replace(_serve(left, index, after), breaks=world.breaks + 1),
                )

    def _read(self, world: World, index: int, server: Server) -> Iterator[tuple[str, World]]:
        if server.read is None:
            read = replace(server, read=server.at)
            yield f"reads rows of database {server.at}", _serve(world, index, read)
            return
        answered = replace(server, read=None)
        if protocol.may_answer(server.lease if server.read == server.at else 0, 0):
            told = world.databases[server.read].holds
            wrong = world.wrong
            if server.read != authority(world) and not world.known <= told:
                wrong = f"Server {'AB'[index]} has answered from database {server.read}, which was left behind."
            yield (
                f"answers a client from database {server.read}",
                replace(_serve(world, index, answered), known=world.known | told, wrong=wrong),
            )
        else:
            yield "throws a read away that it may not answer", _serve(world, index, answered)

    # Coordinators.

    def _start(self, world: World) -> Iterator[tuple[str, World]]:
        goals: tuple[Goal, ...] = ("switch", *self.scope.goals)
        if world.started == len(goals):
            return
        goal = goals[world.started]
        active = authority(world)
        moved = world.databases[active].fenced
        source = 1 - active if moved else active
        seen = world.databases[1 - source].gate.turn
        fresh = Coordinator(goal, source, seen)
        try:
            self._taken(fresh, world.databases[source].gate)
        except Refused:
            return  # as it would be at its first step
        yield (
            f"a coordinator is started: {goal}",
            replace(world, coordinator=fresh, former=world.coordinator or world.former, started=world.started + 1),
        )

    def _coordinator(self, world: World, me: Coordinator) -> Iterator[tuple[str, World]]:
        source, target = world.databases[me.source], world.databases[1 - me.source]
        on_source = not me.step.startswith("target")
        locked = (source if on_source else target).fence is not None
        if me.step in protocol.LOCKED and locked:
            return
        writers = sum(_is_writing(server, me.source) for server in world.servers)
        try:
            for label, source_after, target_after, after in self._step(me, source, target, writers):
                world = replace(world, abandoned=world.abandoned or label == ABANDONS)
                databases = (source_after, target_after) if me.source == 0 else (target_after, source_after)
                gone = after is not None and after.step is Step.DONE
                yield label, replace(world, databases=databases, coordinator=None if gone else after)
        except Refused as refusal:
            yield f"stops at {me.step.name}: {refusal}", replace(world, coordinator=None)

    def _holds(self, source: Database, me: Coordinator) -> bool:
        return source.fence is not None and not source.fence.sent and source.fence.turn == me.gate.turn

    def _step(
        self, me: Coordinator, source: Database, target: Database, writers: int
    ) -> Iterator[tuple[str, Database, Database, Coordinator]]:
        """Each is what it does, what becomes of the source, of the target, and of the coordinator."""
        step = me.step
        if step is Step.TAKE:
            gate = self._taken(me, source.gate)
            unclaimed = gate.phase not in (Phase.MOVED, Phase.ABORTING)
            then = Step.CLAIM if unclaimed else protocol.START[gate.phase]
            yield "takes charge of the source", replace(source, gate=gate), target, replace(me, gate=gate, step=then)
        elif step is Step.CLAIM:
            gate = protocol.claim(target.gate, me.seen, me.gate, identity=str(me.source))
            uncopied = me.gate.phase in (Phase.CAPTURING, Phase.COPYING)
            claimed = replace(target, gate=gate, fenced=True, logging=True, log=frozenset())
            if uncopied:
                claimed = replace(claimed, rows=EMPTY)
            yield "claims the target", source, claimed, replace(me, turn=gate.turn, step=protocol.START[me.gate.phase])
        elif step is Step.CAPTURE:
            if not writers:
                gate = protocol.advance(source.gate, me.gate.turn)
                yield "logs changes from now on", replace(source, gate=gate, logging=True), target, _after(me, gate)
        elif step is Step.SNAPSHOT:
            yield "takes a snapshot", source, target, _after(replace(me, rows=source.rows, page=0))
        elif step is Step.COPY:
            protocol.check_turn(target.gate, me.turn)
            copied = replace(target, rows=put(target.rows, me.page, me.rows[me.page]))
            then = Step.COPIED if me.page == KEYS[-1] else Step.COPY
            yield f"copies page {me.page}", source, copied, _at(then, replace(me, page=me.page + 1))
        elif step in (Step.COPIED, Step.PREPARE):
            gate = protocol.advance(source.gate, me.gate.turn)
            advanced = replace(source, gate=gate)
            for after in _choices(replace(me, gate=gate), advanced):
                yield f"the source is {gate.phase}", advanced, target, _at(after, replace(me, gate=gate))
        elif step is Step.READ_LOG:
            if source.log:
                yield "reads the log", source, target, _after(replace(me, read=source.log, rows=source.rows))
            for after in () if source.log else _choices(replace(me, step=Step.CONSUME), source):
                yield f"finds the log empty, then {after.name}", source, target, _at(after, me)
        elif step is Step.APPLY:
            protocol.check_turn(target.gate, me.turn)
            for after in _choices(me, source):
                yield "applies what it has read", source, _applied(target, me), _at(after, me)
        elif step is Step.CONSUME:
            protocol.check_turn(source.gate, me.gate.turn)
            numbers = protocol.left_in_log(
                frozenset(number for number, _ in source.log), frozenset(number for number, _ in me.read)
            )
            left = frozenset(entry for entry in source.log if entry[0] in numbers)
            for after in _choices(me, source):
                yield f"consumes the log, then {after.name}", replace(source, log=left), target, _at(after, me)
        else:
            yield from self._cut_over(me, source, target, writers)

    def _cut_over(
        self, me: Coordinator, source: Database, target: Database, writers: int
    ) -> Iterator[tuple[str, Database, Database, Coordinator]]:
        step = me.step
        later = _at(Step.READ_LOG, me)
        if step is Step.EVICT:
            protocol.check_turn(source.gate, me.gate.turn)
            marked = tuple(
                row and (row if row is Registration.READY else Registration.EVICTED) for row in source.servers
            )
            yield "evicts who is not ready", replace(source, servers=marked), target, replace(_after(me), wait=1)
        elif step is Step.EVICTED:
            protocol.check_turn(source.gate, me.gate.turn)
            if is_over(me.wait, protocol.may_remove):
                kept = replace(
                    source, servers=tuple(None if row is Registration.EVICTED else row for row in source.servers)
                )
                for after in _choices(me, kept):
                    yield f"removes who was evicted, then {after.name}", kept, target, _at(after, me)
        elif step is Step.FENCE:
            protocol.check_turn(source.gate, me.gate.turn)
            if protocol.may_fence(writers, [row for row in source.servers if row is not None]):
                yield "locks the source", replace(source, fence=Fence(me.gate.turn)), target, _after(me)
            else:
                yield "lets go, to try again", source, target, later
        elif step is Step.LAST_READ and self._holds(source, me):
            yield "reads the last of the log", source, target, _after(replace(me, read=source.log, rows=source.rows))
        elif step is Step.COMMIT_TARGET:
            protocol.check_turn(target.gate, me.turn)
            yield "commits the target", source, replace(_applied(target, me), log=frozenset()), _after(me)
        elif step is Step.COMMIT_SOURCE and self._holds(source, me):
            yield (
                "sends COMMIT to the source",
                replace(source, fence=Fence(me.gate.turn, sent=True)),
                target,
                _after(me),
            )
        elif step in (Step.LAST_READ, Step.COMMIT_SOURCE):
            yield "finds its transaction gone", source, target, later
        elif step is Step.SEE:
            protocol.check_turn(source.gate, me.gate.turn)
            if source.gate.phase is Phase.MOVED:
                yield "sees the record", source, target, replace(_after(me), wait=1)
            else:
                yield "sees that COMMIT was not heeded", source, target, later
        elif step is Step.OPEN:
            if self._may_open(source, me.wait):
                gate = protocol.opened(target.gate, str(me.gate.switch))
                fenced = target.fenced and gate == target.gate
                yield "opens the target", source, replace(target, gate=gate, fenced=fenced), _after(me)
        elif step is Step.UNCLAIM:
            gate = protocol.unclaim(target.gate, me.seen, me.gate, identity=str(me.source))
            freed = replace(target, gate=gate)
            if gate.phase is Phase.IDLE and target.gate.phase is Phase.FILLING:
                freed = Database(gate, servers=target.servers)
            elif gate.phase is Phase.MOVED:
                freed = replace(freed, logging=False, log=frozenset())
            yield "lets the target go", source, freed, _after(me)
            if self.scope.away:
                yield ABANDONS, source, target, _after(me)
        elif step is Step.FORGET:
            gate = protocol.forget(source.gate, me.gate.turn)
            rows = tuple(row and Registration.HERE for row in source.servers)
            forgotten = replace(source, gate=gate, servers=rows)
            if gate.phase is Phase.IDLE:
                forgotten = replace(forgotten, logging=False, log=frozenset())
            yield "forgets the switch", forgotten, target, _after(me)

    def _taken(self, me: Coordinator, gate: Gate) -> Gate:
        match me.goal:
            case "resume":
                return protocol.take_over(gate)
            case "abort":
                return protocol.give_up(gate)
            case "back" if gate.phase is not Phase.RETAINING:
                raise Refused("There is no way back.")
        return protocol.begin(gate, f"{int(gate.switch or 0) + 1}", str(1 - me.source))


def _after(me: Coordinator, gate: Gate | None = None) -> Coordinator:
    return _at(protocol.THEN[me.step][0], replace(me, gate=gate or me.gate))


def _at(step: Step, me: Coordinator) -> Coordinator:
    """Without what it has read, where it does not need that any more."""
    if step in (Step.COPIED, Step.READ_LOG, Step.PREPARE, Step.EVICT, Step.EVICTED, Step.FENCE, Step.SEE):
        return replace(me, step=step, read=frozenset(), rows=EMPTY, page=0)
    return replace(me, step=step)


def _choices(me: Coordinator, source: Database) -> Iterator[Step]:
    """The steps that may come next, without those that would do nothing."""
    for step in protocol.THEN[me.step]:
        match step:
            case Step.READ_LOG if me.step is not Step.COPIED and not source.log:
                continue
            case Step.PREPARE if me.gate.phase is not Phase.FOLLOWING:
                continue
            case Step.FENCE if me.gate.phase is not Phase.PREPARING:
                continue
            case Step.EVICT if me.gate.phase is not Phase.PREPARING or _all_ready(source):
                continue
        yield step


def _all_ready(source: Database) -> bool:
    return all(row in (None, Registration.READY) for row in source.servers)


def _applied(target: Database, me: Coordinator) -> Database:
    keys = {key for _, key in me.read}
    return replace(target, rows=tuple(me.rows[key] if key in keys else row for key, row in enumerate(target.rows)))


def _is_writing(server: Server, database: int) -> bool:
    return server.write is not None and server.write.at == database


def _business(server: Server) -> tuple[int, Write | None, int | None]:
    """What a server does for its clients, wherever it is."""
    return server.done, server.write, server.read


def _with(world: World, index: int, database: Database) -> World:
    return replace(world, databases=put(world.databases, index, database))


def _serve(world: World, index: int, server: Server) -> World:
    return replace(world, servers=put(world.servers, index, server))


def _swapped(world: World) -> World:
    return replace(world, coordinator=world.former, former=world.coordinator)


def _older_server(server: Server) -> Server:
    look = server.look
    if look is not None:
        look = look + 1 if ticks_of_lease(look + 1) > 0 and look == 0 else None
    return replace(server, lease=max(0, server.lease - 1), look=look, wait=max(0, server.wait - 1))


def _older_coordinator(coordinator: Coordinator | None) -> Coordinator | None:
    return coordinator and replace(coordinator, wait=max(0, coordinator.wait - 1))


def authority(world: World) -> int:
    """The database that holds the truth: the one that takes writes, or is about to."""
    first, second = world.databases
    if first.fenced and second.fenced:
        return 0 if first.gate.phase is Phase.FILLING else 1
    return int(first.fenced)


def remains(world: World) -> World:
    """What is left once every process has died: the databases, and what people were told."""
    return World(world.databases, started=1, known=world.known, abandoned=world.abandoned)


def is_at_rest(world: World) -> bool:
    """Whether no switch is under way, and one database takes writes."""
    phases = {database.gate.phase for database in world.databases}
    return phases in ({Phase.IDLE}, {Phase.RETAINING, Phase.MOVED})


def fault(world: World) -> str | None:
    if world.wrong is not None:
        return world.wrong
    phases = {database.gate.phase for database in world.databases}
    if not any(database.fenced for database in world.databases) and not phases.isdisjoint(LEFT):
        return "Both databases take writes."
    return _lost(world) or _left_behind(world)


def _lost(world: World) -> str | None:
    rows = world.databases[authority(world)].rows
    for write in {write for row in rows for write in row} | world.known:
        times = sum(row.count(write) for row in rows)
        if times != 1 and (times > 1 or write in world.known):
            return f"Write {write} is {times} times in the active database."
    return None


def _left_behind(world: World) -> str | None:
    for one, other in (world.databases, world.databases[::-1]):
        is_claimed = other.gate.phase is Phase.FILLING and not world.abandoned
        if one.gate.phase is Phase.IDLE and (is_claimed or one.logging):
            return "The source is through with the switch, and there are traces of it."
        moved = one.gate.phase is Phase.MOVED and other.gate.phase is Phase.FILLING
        if moved and other.gate.switch == one.gate.switch and not _all_ready(one):
            return "The service has moved, and a server has not said that it can follow."
    return None

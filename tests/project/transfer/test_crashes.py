"""Whatever dies at whichever step of a switch, all that was acknowledged is there once, and somebody can go on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from project import registry
from project.database import migrations
from project.database.switching import LOG
from project.transfer import gates
from project.transfer.protocol import Gate, Phase
from tests.coordinators import coordinated, coordinating
from tests.load import Load, exported
from tests.processes import Service, running
from tests.schemas import schema
from tests.servers import in_a_loop
from tests.units import Desk, opened

STEPS = (
    "TAKE", "CLAIM", "CAPTURE", "SNAPSHOT", "COPY", "COPIED", "READ_LOG", "APPLY", "CONSUME", "PREPARE", "FENCE",
    "LAST_READ", "COMMIT_TARGET", "COMMIT_SOURCE", "SEE", "OPEN",
)  # fmt: skip
"""Of a switch in which every server answers, in the order in which it comes to them first."""

DRAINED = tuple(step for step in STEPS if step not in ("CAPTURE", "SNAPSHOT", "COPY", "COPIED"))
"""Of a way back."""

HOPS = 3
"""The most databases that one service moves on to."""
CLIENTS = 4
THINK = 0.02
"""Seconds between a client's requests, so that there is something left of the machine."""
WRITES = 20
"""That are acknowledged between two moves, at the least."""

OTHERS = {
    "sqlite": ("postgresql", "mariadb"),
    "postgresql": ("mariadb", "sqlite"),
    "mariadb": ("sqlite", "postgresql"),
    "mysql": ("sqlite", "postgresql"),
}
"""The engines that each is left for, in turn."""

REPLACED = (
    "Another coordinator has taken charge",
    "Another coordinator has been at the target meanwhile",
    "is under way here (moved)",
    "The database cannot be reached",  # in the transaction that would have taken charge, which the server has ended
)
"""What a coordinator says, by how far it had come, that finds another one's work."""

PARTS = 6
parts = pytest.mark.parametrize(
    "part", [0, *(pytest.param(number, marks=pytest.mark.big) for number in range(1, PARTS))]
)
"""Each engine has a sixth of the steps, with the big tests all of them."""


class Stage:
    """A service under load, which starts on `urls[0]`; the others are empty databases that it may move to."""

    def __init__(self, urls: Sequence[str]) -> None:
        self.urls = urls
        self.active = 0
        aliases = [f"DATABASE_URL_DB{number}" for number in range(1, len(urls))]
        self._others: dict[str, Any] = {**dict(zip(aliases, urls[1:], strict=True)), "LOG_LEVEL": "ERROR"}
        self.settings: dict[str, str] = {"DATABASE_URL": urls[0], **self._others}

    @property
    def url(self) -> str:
        return self.urls[self.active]

    @property
    def next_url(self) -> str:
        return self.urls[self.active + 1]

    @property
    def target(self) -> str:
        """The alias of the database to move to next."""
        return f"db{self.active + 1}"

    @contextmanager
    def serving(self) -> Iterator[tuple[Service, Load]]:
        """The load is over, and was told of everything, once this ends."""
        migrate(self.url)
        with running(self.url, "--workers=2", **self._others) as service:
            with Load([service.url], CLIENTS, THINK) as load:
                yield service, load
            assert load.failures == []
            assert load.differences(exported(service.url)) == []

    def has_moved(self) -> bool:
        """Whether the service is at the next database, and has opened it."""
        return gate(self.next_url).phase is Phase.RETAINING

    def finish(self) -> None:
        """Do what somebody does who finds a switch that was interrupted and wants it done."""
        if gate(self.url).phase is Phase.IDLE:
            coordinated(self.settings, self.target)
        elif not self.has_moved():
            resume(self.settings)
        self.go_on()

    def go_on(self) -> None:
        """From the next database, with no way back."""
        assert self.has_moved()
        assert gate(self.url).phase is Phase.MOVED
        coordinated(self.settings, "--complete")
        self.active += 1


def migrate(url: str) -> None:
    async def scenario() -> None:
        async with opened(url) as database:
            await migrations.migrate(database)

    in_a_loop(scenario)


def gate(url: str) -> Gate:
    """IDLE for a database that is not migrated."""

    async def scenario() -> Gate:
        async with opened(url) as database:
            if await migrations.pending(database):
                return Gate()
            return (await database.read(Desk, lambda desk: gates.read(desk.session))).gate

    return in_a_loop(scenario)


def rows(url: str) -> dict[str, int]:
    """How many the tables have, by name, but for what every database has of itself."""
    names = [*(table.name for table in registry.tables(["students"])), LOG, gates.ServerRow.__tablename__]

    async def count(desk: Desk) -> dict[str, int]:
        counts = {name: sa.select(sa.func.count()).select_from(sa.table(name)) for name in names}
        return {name: (await desk.look(query))[0][0] for name, query in counts.items()}

    async def scenario() -> dict[str, int]:
        async with opened(url) as database:
            return await database.read(Desk, count)

    return in_a_loop(scenario)


def share(engine: str, part: int, steps: Sequence[str]) -> Sequence[str]:
    return steps[(2 * list(OTHERS).index(engine) + part) % PARTS :: PARTS]


@pytest.fixture
def stage(engine: str, new_database: Callable[[str], str]) -> Stage:
    engines = [engine]
    for number in range(HOPS):
        engines.append(OTHERS[engines[-1]][number % 2])
    return Stage([new_database(each) for each in engines])


@pytest.fixture
def stage_of_servers(engine: str, new_database: Callable[[str], str]) -> Stage:
    """Without files, whose lock nobody can take from a process that does nothing."""
    other = {"postgresql": "mariadb", "mariadb": "postgresql"}[engine]
    return Stage([new_database((engine, other)[number % 2]) for number in range(HOPS + 1)])


class TestKilledCoordinator:
    @parts
    def test_resume_ends_what_was_begun(self, engine: str, stage: Stage, part: int) -> None:
        with stage.serving() as (_, load):
            for step in share(engine, part, STEPS):
                load.wait_for(WRITES)
                kill_at(step, stage.settings, stage.target)
                load.wait_for(WRITES)
                stage.finish()
                load.wait_for(WRITES)
                assert (load.refused, load.broken) == ([], 0)

    @parts
    def test_resume_ends_a_way_back(self, engine: str, stage: Stage, part: int) -> None:
        """There and back, again and again: the second time and from then on nothing is copied."""
        with stage.serving() as (_, load):
            coordinated(stage.settings, stage.target)
            here, there = stage.url, stage.next_url
            for step in share(engine, part, DRAINED):
                load.wait_for(WRITES)
                kill_at(step, stage.settings, "--back")
                load.wait_for(WRITES)
                if gate(there).phase is Phase.RETAINING:
                    coordinated(stage.settings, "--back")
                elif gate(here).phase is not Phase.RETAINING:
                    resume(stage.settings)
                assert (gate(there).phase, gate(here).phase) == (Phase.MOVED, Phase.RETAINING)
                assert (load.refused, load.broken) == ([], 0)
                here, there = there, here

    @parts
    def test_abort_leaves_no_trace(self, engine: str, stage: Stage, part: int) -> None:
        for url in stage.urls:
            migrate(url)
        with stage.serving() as (_, load):
            for number, step in enumerate(share(engine, part, STEPS), 1):
                target = stage.urls[number]
                before = [schema(stage.url), schema(target)]
                load.wait_for(WRITES)
                kill_at(step, stage.settings, f"db{number}")
                load.wait_for(WRITES)
                with coordinating(stage.settings, "--abort") as coordinator:
                    code = coordinator.wait()
                if gate(stage.url).phase is Phase.MOVED:
                    assert code == 1
                    if gate(target).phase is not Phase.RETAINING:
                        resume(stage.settings)
                    return
                assert code == 0 or "No switch is under way" in coordinator.told
                load.wait_for(WRITES)
                assert (load.refused, load.broken) == ([], 0)
                assert (gate(stage.url).phase, gate(target).phase) == (Phase.IDLE, Phase.IDLE)
                assert [schema(stage.url), schema(target)] == before
                assert set(rows(target).values()) == {0}
                assert rows(stage.url)[LOG] == 0

    @parts
    def test_abort_of_a_way_back_leaves_it_open(self, engine: str, stage: Stage, part: int) -> None:
        with stage.serving() as (_, load):
            coordinated(stage.settings, stage.target)
            here, there = stage.next_url, stage.url
            before = [schema(here), schema(there)]
            for step in share(engine, part, DRAINED):
                load.wait_for(WRITES)
                kill_at(step, stage.settings, "--back")
                load.wait_for(WRITES)
                with coordinating(stage.settings, "--abort") as coordinator:
                    code = coordinator.wait()
                if gate(here).phase is Phase.MOVED:
                    assert code == 1
                    if gate(there).phase is not Phase.RETAINING:
                        resume(stage.settings)
                    return
                assert code == 0 or "No switch is under way" in coordinator.told
                assert (gate(here).phase, gate(there).phase) == (Phase.RETAINING, Phase.MOVED)
                assert [schema(here), schema(there)] == before
                assert (load.refused, load.broken) == ([], 0)
            coordinated(stage.settings, "--back")


class TestHeldCoordinator:
    @pytest.mark.engines("postgresql", "mariadb")
    @parts
    def test_finds_that_another_has_ended_it(self, engine: str, stage_of_servers: Stage, part: int) -> None:
        """It wakes up when the service has moved, with whatever it had begun."""
        stage = stage_of_servers
        with stage.serving() as (_, load):
            for step in share(engine, part, STEPS):
                load.wait_for(WRITES)
                with coordinating(stage.settings, stage.target) as coordinator:
                    assert coordinator.at(step), coordinator.told
                    with coordinator.held():
                        stage.finish()
                    code = coordinator.wait()
                    assert code == 0 or any(sentence in coordinator.told for sentence in REPLACED), coordinator.told
                load.wait_for(WRITES)
                assert (load.refused, load.broken) == ([], 0)


class TestKilledWorker:
    @parts
    def test_holds_nobody_up(self, engine: str, stage: Stage, part: int) -> None:
        with stage.serving() as (service, load):
            for step in share(engine, part, STEPS):
                load.wait_for(WRITES)
                with coordinating(stage.settings, stage.target) as coordinator:
                    assert coordinator.at(step), coordinator.told
                    service.kill_workers(1)
                    assert coordinator.wait() == 0, coordinator.told
                load.wait_for(WRITES)
                stage.go_on()


def resume(settings: Mapping[str, str]) -> None:
    """Go on where nobody does; the servers open a database that they were sent to by themselves."""
    with coordinating(settings, "--resume") as coordinator:
        assert coordinator.wait() == 0 or "No switch is under way" in coordinator.told, coordinator.told


def kill_at(step: str, settings: Mapping[str, str], *arguments: str) -> None:
    with coordinating(settings, *arguments) as coordinator:
        assert coordinator.at(step), coordinator.told
        coordinator.kill()

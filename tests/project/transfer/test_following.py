"""Servers in a switch: they go along with the service, and never speak for a database that was left."""

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
import sqlalchemy as sa

from project.database import Database, links, parse_url
from project.database.places import Place
from project.settings import load
from project.transfer.charge import Failed
from project.transfer.protocol import Phase, Step
from tests.clients import Client, serving
from tests.commands import manage, managed
from tests.lines import line_to
from tests.load import Load, exported
from tests.problems import refused
from tests.processes import SECONDS, Service, running, started, until
from tests.servers import PostgreSQL, in_a_loop
from tests.switches import Pair, gate, phase
from tests.trees import Tree
from tests.units import Desk, opened

TARGETS = {"sqlite": "postgresql", "postgresql": "mariadb", "mariadb": "sqlite", "mysql": "sqlite"}
"""What each engine is left for here, so that each is arrived at as well."""
LOCK_UP = {
    "postgresql": ["BEGIN", "LOCK TABLE _gate IN ACCESS EXCLUSIVE MODE"],
    "mysql": ["LOCK TABLES _gate WRITE"],
}
MOVES = 10
CHECKED = sa.text("SELECT conname, convalidated FROM pg_constraint WHERE contype = 'f'")
NAMES = sa.select(sa.column("name", sa.String)).select_from(sa.table("students"))
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


@pytest.fixture
def pair(engine: str, new_database: Callable[[str], str]) -> Pair:
    return Pair(new_database(engine), new_database(TARGETS[engine]))


def created(client: Client | httpx.Client, name: str) -> str:
    """The path of a student who was not there."""
    response = client.post("/students", json={**STUDENT, "name": name})
    assert response.status_code == 201, response.text
    location: str = response.headers["Location"]
    return location


def names(client: Client | httpx.Client) -> list[str]:
    response = client.get("/students", params={"limit": "100"})
    assert response.status_code == 200, response.text
    return [student["name"] for student in response.json()["items"]]


def foreign_keys(url: str) -> dict[str, bool]:
    """By name whether PostgreSQL has checked the rows for them."""

    async def look() -> dict[str, bool]:
        async with opened(url) as database, database.connect() as connection:
            rows = await connection.execute(CHECKED)
            return {str(row[0]): bool(row[1]) for row in rows}

    return in_a_loop(look)


@contextlib.contextmanager
def locked_up(url: str) -> Iterator[None]:
    """Nobody sees the gate of that database meanwhile, while all else can be read."""
    locked, done = threading.Event(), threading.Event()

    async def lock() -> None:
        place = Place(parse_url(url), load({}))
        async with links.link(place.dialect, place.backend) as link, link.alone() as session:
            for statement in LOCK_UP[place.dialect.name]:
                await session.held.execute(statement)
            locked.set()
            await asyncio.to_thread(done.wait)
        await place.backend.close()

    with ThreadPoolExecutor(1) as thread:
        locking = thread.submit(asyncio.run, lock())
        try:
            until(lambda: locked.is_set() or locking.done(), "the lock")
            yield
        finally:
            done.set()
            locking.result()


class Hammer:
    """Clients that read and write until they are stopped; `answers` counts what they got."""

    def __init__(self, client: Client) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.written: list[str] = []
        self._client = client
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._write, self._read)]

    def __enter__(self) -> "Hammer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int) -> None:
        enough = len(self.written) + count
        until(lambda: len(self.written) >= enough, f"{count} writes")

    def _write(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            response = self._client.post("/students", json={**STUDENT, "name": f"{number}"})
            self.answers["write", response.status_code] += 1
            if response.status_code == 201:
                self.written.append(f"{number}")

    def _read(self) -> None:
        while not self._stopped.is_set():
            seen = len(self.written)
            response = self._client.get("/students", params={"count": "true", "limit": "1"})
            self.answers["read", response.status_code] += 1
            if response.status_code == 200:
                assert response.json()["total"] >= seen
            else:
                print(response.text)


class TestServer:
    def test_goes_there_and_back_and_no_request_fails(self, pair: Pair) -> None:
        with serving(pair.settings) as client:
            with Hammer(client) as hammer:
                hammer.wait_for(5)
                pair.move()
                hammer.wait_for(5)
                assert phase(pair.new) is Phase.RETAINING
                pair.back()
                hammer.wait_for(5)
                assert phase(pair.old) is Phase.RETAINING
            assert set(hammer.answers) == {("write", 201), ("read", 200)}
            assert client.get("/students", params={"count": "true"}).json()["total"] == len(hammer.written)
        assert gate(pair.old)[1] == []
        assert gate(pair.new)[1] == []

    def test_that_is_started_with_the_old_url_serves_from_the_new_database(self, pair: Pair) -> None:
        with serving(pair.settings) as client:
            created(client, "before")
        pair.move()
        with serving(pair.settings) as client:
            assert names(client) == ["before"]
            assert client.get("/health/ready").status_code == 200
            created(client, "after")
            assert [server.name.partition(":")[2] for server in gate(pair.new)[1]] == [str(os.getpid())]
            assert gate(pair.old)[1] == []
        with serving(load({"DATABASE_URL": pair.new, "LOG_LEVEL": "ERROR"})) as client:
            assert names(client) == ["before", "after"]

    def test_that_has_no_way_to_the_new_database_does_not_start(self, pair: Pair) -> None:
        pair.migrate()
        pair.move()
        with started(pair.old, "--port=0") as service:
            assert service.process.wait() == 1
            assert service.log.startswith("Error: ")
            assert service.log.endswith("database new, which is not named here: set DATABASE_URL_NEW to its URL.\n")
            assert service.log.count("\n") == 1

    def test_that_has_no_way_to_the_target_stops_the_switch(self, pair: Pair) -> None:
        with serving(load({"DATABASE_URL": pair.old, "LOG_LEVEL": "ERROR"})) as client:
            with pytest.raises(Failed, match=f"{os.getpid()} cannot follow to new: .*DATABASE_URL_NEW"):
                pair.move()
            created(client, "meanwhile")
            pair.abort()
            created(client, "afterwards")
            assert phase(pair.old) is Phase.IDLE
        assert phase(pair.new) is Phase.IDLE

    def test_opens_the_target_where_nobody_else_does(self, pair: Pair) -> None:
        with serving(pair.settings) as client:
            with Hammer(client) as hammer:
                hammer.wait_for(5)
                pair.move(last=Step.OPEN)
                hammer.wait_for(5)
            assert set(hammer.answers) == {("write", 201), ("read", 200)}
            assert phase(pair.new) is Phase.RETAINING

    @pytest.mark.engines("sqlite")
    def test_checks_the_foreign_keys_of_a_database_that_it_opens(self, pair: Pair) -> None:
        """Which were put back unchecked, so that nobody had to wait for that."""
        with serving(pair.settings) as client:
            created(client, "before")
            pair.move(last=Step.OPEN)
            created(client, "after")
            until(lambda: set(foreign_keys(pair.new).values()) == {True}, "foreign keys to be checked")

    @pytest.mark.engines("sqlite")
    def test_that_dies_then_leaves_that_to_the_end_of_the_way_back(self, pair: Pair, postgresql: PostgreSQL) -> None:
        pair.migrate()
        pair.move()
        name = pair.new.rpartition("/")[2]
        postgresql.execute("UPDATE pg_constraint SET convalidated = false WHERE contype = 'f'", name)
        assert set(foreign_keys(pair.new).values()) == {False}
        managed(pair.old, "switchdb", "--complete", **pair.named)
        assert set(foreign_keys(pair.new).values()) == {True}

    def test_ends_an_export_where_it_began(self, pair: Pair) -> None:
        with serving(pair.settings) as client:
            created(client, "before")
            began, moved = threading.Event(), threading.Event()
            exports: list[Future[list[int]]] = []

            async def look_twice(desk: Desk) -> list[int]:
                counts = [len(await desk.look(NAMES))]
                began.set()
                await asyncio.to_thread(moved.wait)
                return [*counts, len(await desk.look(NAMES))]

            database: Database = client.app.state.database

            def exported_counts() -> list[int]:
                return client.blocking_portal.call(database.snapshot, Desk, look_twice)

            with ThreadPoolExecutor(1) as thread:

                def export_before(step: Step) -> None:
                    if step is Step.PREPARE:
                        exports.append(thread.submit(exported_counts))
                        assert began.wait(SECONDS)

                try:
                    pair.move(before=export_before)
                    created(client, "after")
                finally:
                    moved.set()
                assert [export.result() for export in exports] == [[1, 1]]
            assert names(client) == ["before", "after"]

    def test_follows_from_record_to_record(self, new_database: Callable[[str], str]) -> None:
        """All that it is told of is the first database, and the names of the others."""
        first, *others = (new_database("sqlite") for _ in range(MOVES + 1))
        named = {f"DATABASE_URL_DB{number}": url for number, url in enumerate(others)}
        settings = load({"DATABASE_URL": first, "LOG_LEVEL": "ERROR", **named})
        with serving(settings) as client:
            created(client, "before")
            for number in range(MOVES):
                managed(first, "switchdb", f"db{number}", **named)
                managed(first, "switchdb", "--complete", **named)
            created(client, "after")
        with serving(settings) as client:
            assert names(client) == ["before", "after"]
        assert len(managed(first, "dumpdata", "students", **named).splitlines()) == 2
        assert [phase(url) for url in (first, *others)] == [Phase.MOVED] * MOVES + [Phase.IDLE]

    @pytest.mark.engines("sqlite")
    def test_does_not_go_round_in_circles(self, pair: Pair) -> None:
        """As where a backup from before the way back was restored."""
        pair.migrate()
        pair.move()
        old = pair.old.removeprefix("sqlite:///")
        with (
            contextlib.closing(sqlite3.connect(old)) as database,
            contextlib.closing(sqlite3.connect(":memory:")) as kept,
        ):
            database.backup(kept)
            pair.back()
            kept.backup(database)
        with serving(pair.settings) as client:
            refused(client.get("/students"), 503, "unavailable")
            refused(client.post("/students", json=STUDENT), 503, "unavailable")
        for command in ("dumpdata",), ("switchdb", "new"):
            assert "lead in a circle" in manage(pair.old, *command, **pair.named).stderr

    def test_lets_a_switch_that_was_given_up_go(self, pair: Pair) -> None:
        with serving(pair.settings) as client:
            created(client, "before")
            pair.move(last=Step.FENCE)
            assert phase(pair.old) is Phase.PREPARING
            created(client, "meanwhile")
            pair.abort()
            created(client, "afterwards")
            assert names(client) == ["before", "meanwhile", "afterwards"]
            pair.move()
            assert names(client) == ["before", "meanwhile", "afterwards"]
            assert phase(pair.new) is Phase.RETAINING


class TestServerProcess:
    def test_that_was_paused_does_not_answer_from_a_database_that_was_left(self, pair: Pair) -> None:
        pair.migrate()
        with running(pair.old, DATABASE_URL_NEW=pair.new) as service, contextlib.ExitStack() as stack:
            clients = [stack.enter_context(service.client()) for _ in range(16)]
            created(clients[0], "before")
            assert {tuple(names(client)) for client in clients} == {("before",)}
            process = psutil.Process(service.process.pid)
            process.suspend()
            stack.callback(process.resume)
            thread = stack.enter_context(ThreadPoolExecutor(len(clients)))
            answers = [thread.submit(names, client) for client in clients]
            pair.move()
            with serving(pair.settings) as other:
                created(other, "after")
            process.resume()
            assert {tuple(answer.result()) for answer in answers} == {("before", "after")}
            created(clients[0], "and on")

    def test_learns_of_an_alias_that_was_given_after_it_had_started(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        old, new = f"sqlite:///{tmp_path}/old.sqlite3", f"sqlite:///{tmp_path}/new.sqlite3"
        with running(old, root=tree.root) as service, service.client() as client:
            created(client, "before")
            tree.managed("switchdb", new, DATABASE_URL=old)
            created(client, "after")
            assert names(client) == ["before", "after"]
        assert phase(old) is Phase.MOVED

    @pytest.mark.engines("postgresql", "mariadb")
    def test_that_cannot_see_the_gate_refuses_what_it_could_read(self, pair: Pair) -> None:
        pair.migrate()
        with serving(pair.settings) as client:
            created(client, "before")
            with locked_up(pair.old):
                until(lambda: client.get("/students").status_code != 200, "a refusal")
                refused(client.get("/students"), 503, "unavailable")
            assert names(client) == ["before"]

    @pytest.mark.engines("postgresql", "mariadb")
    def test_that_is_cut_off_refuses_and_finds_its_way_later(self, pair: Pair) -> None:
        pair.migrate()

        async def scenario(stack: contextlib.ExitStack) -> None:
            async with line_to(pair.old) as (line, url):
                entering = running(url, DATABASE_URL_NEW=pair.new)
                service: Service = await asyncio.to_thread(stack.enter_context, entering)
                client = stack.enter_context(service.client())
                await asyncio.to_thread(created, client, "before")
                line.breaks_at = lambda sent: "before"
                await asyncio.to_thread(until, lambda: client.get("/students").status_code != 200, "a refusal")
                refused(await asyncio.to_thread(client.get, "/students"), 503, "unavailable")
                await pair.operations().switch("new")
                with serving(pair.settings) as other:
                    created(other, "after")
                for response in (
                    await asyncio.to_thread(client.get, "/students"),
                    await asyncio.to_thread(client.get, "/students/1"),
                    await asyncio.to_thread(client.delete, "/students/1"),
                    await asyncio.to_thread(client.get, "/health/ready"),
                ):
                    refused(response, 503, "unavailable")
                    assert int(response.headers["Retry-After"]) >= 1
                line.breaks_at = lambda sent: None
                await asyncio.to_thread(until, lambda: client.get("/students").status_code == 200, "an answer")
                assert await asyncio.to_thread(names, client) == ["before", "after"]

        with contextlib.ExitStack() as stack:
            asyncio.run(scenario(stack))

    @pytest.mark.engines("sqlite")
    def test_that_is_killed_keeps_nobody_from_moving(self, pair: Pair) -> None:
        assert_moves_without(Step.PREPARE, pair)

    @pytest.mark.big
    @pytest.mark.parametrize(
        "step",
        [Step.CLAIM, Step.COPY, Step.APPLY, Step.PREPARE, Step.FENCE, Step.COMMIT_SOURCE, Step.OPEN],
        ids=lambda step: step.name,
    )
    def test_that_is_killed_at_any_time_keeps_nobody_from_moving(self, pair: Pair, step: Step) -> None:
        assert_moves_without(step, pair, "--workers=2")


def assert_moves_without(step: Step, pair: Pair, *options: str) -> None:
    """Killed before that step, the server keeps the service from nothing, and no write that it answered is lost."""
    pair.migrate()
    with running(pair.old, *options, DATABASE_URL_NEW=pair.new) as service, Load([service.url], 4) as load:
        load.wait_for(50)

        def kill(next_step: Step) -> None:
            if next_step is step and service.process.poll() is None:
                service.kill_group()

        pair.move(before=kill)
        assert service.process.poll() is not None
        with running(pair.old, *options, DATABASE_URL_NEW=pair.new) as another:
            load.urls = [another.url]
            load.wait_for(50)
            load.stop()
            assert load.failures == []
            assert load.differences(exported(another.url)) == []
    assert phase(pair.new) is Phase.RETAINING

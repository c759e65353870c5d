"""What clients see while the database is away, or the way to it, and what is there afterwards."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from project.database import errors
from tests.clients import calling
from tests.lines import line_to, once
from tests.servers import Server, in_a_loop
from tests.units import Desk, book, furnished, opened, titles

pytestmark = pytest.mark.engines("postgresql", "mariadb")

SOON = 30
"""Seconds, on a busy machine, for what takes less than one on an idle one."""
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


@pytest.fixture
def server(engine: str, request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(engine)
    return found


async def names(client: httpx.AsyncClient) -> list[str]:
    found: list[str] = []
    parameters: dict[str, Any] = {"limit": 100}
    while True:
        page = (await client.get("/students", params=parameters)).raise_for_status().json()
        found += [student["name"] for student in page["items"]]
        if "next_cursor" not in page:
            return found
        parameters["cursor"] = page["next_cursor"]


class TestLineThatBreaks:
    @pytest.mark.parametrize("where", ["before", "after"])
    def test_write_that_was_not_to_be_committed_yet_is_made_once(self, database_url: str, where: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url), line_to(database_url) as (line, url), opened(url) as database:
                line.breaks_at = once(b"INSERT INTO book", where)
                await database.write(Desk, lambda desk: desk.add(book, title="one", price=0.0))
                return await titles(database)

        assert in_a_loop(scenario) == ["one"]

    @pytest.mark.parametrize(("where", "kept"), [("before", ["before"]), ("after", ["before", "one"])])
    def test_nobody_knows_what_became_of_a_commit(self, database_url: str, where: str, kept: list[str]) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url), line_to(database_url) as (line, url), opened(url) as database:
                await database.write(Desk, lambda desk: desk.add(book, title="before", price=0.0))
                line.breaks_at = once(b"COMMIT", where)
                with pytest.raises(errors.OutcomeUnknown):
                    await database.write(Desk, lambda desk: desk.add(book, title="one", price=0.0))
                return await titles(database)

        assert in_a_loop(scenario) == kept

    @pytest.mark.parametrize("where", ["before", "after"])
    def test_read_is_answered_all_the_same(self, database_url: str, where: str) -> None:
        async def scenario() -> list[str]:
            async with furnished(database_url), line_to(database_url) as (line, url), opened(url) as database:
                await database.write(Desk, lambda desk: desk.add(book, title="one", price=0.0))
                line.breaks_at = once(b"FROM book", where)
                return await titles(database)

        assert in_a_loop(scenario) == ["one"]

    def test_server_that_never_stays_is_away(self, database_url: str) -> None:
        async def scenario() -> None:
            async with furnished(database_url), line_to(database_url) as (line, url), opened(url) as database:
                line.breaks_at = lambda sent: "before" if b"book" in sent else None
                with pytest.raises(errors.Gone):
                    await titles(database)
                with pytest.raises(errors.Gone):
                    await database.write(Desk, lambda desk: desk.add(book, title="one", price=0.0))

        in_a_loop(scenario)

    @pytest.mark.parametrize("where", ["before", "after"])
    def test_idempotency_key_makes_the_repetition_safe(
        self, new_database: Callable[[str], str], engine: str, where: str
    ) -> None:
        async def scenario() -> None:
            async with line_to(new_database(engine)) as (line, url), calling(url) as client:
                assert (await client.post("/students", json={**STUDENT, "name": "before"})).status_code == 201
                key = {"Idempotency-Key": "once and only once"}
                line.breaks_at = once(b"COMMIT", where)
                first = await client.post("/students", json=STUDENT, headers=key)
                assert first.status_code == 503
                assert first.json()["type"] == "/problems/outcome-unknown"
                second = await client.post("/students", json=STUDENT, headers=key)
                assert second.status_code == 201
                assert ("Idempotency-Replayed" in second.headers) == (where == "after")
                assert await names(client) == ["before", "Ananya"]

        in_a_loop(scenario)


class TestServerThatGoes:
    def test_is_not_noticed_when_it_is_back(
        self, new_database: Callable[[str], str], engine: str, server: Server
    ) -> None:
        """The connections that were idle meanwhile are all dead: no client is to find out."""

        async def scenario() -> Counter[int]:
            async with calling(new_database(engine)) as client:

                async def come_and_go(number: int) -> int:
                    response = await client.post("/students", json={**STUDENT, "name": f"student {number}"})
                    read = await client.get(response.headers.get("Location", "/students"))
                    return max(response.status_code, read.status_code)

                await asyncio.gather(*(come_and_go(number) for number in range(50)))
                await asyncio.to_thread(server.stop)
                await asyncio.to_thread(server.start)
                return Counter(await asyncio.gather(*(come_and_go(number) for number in range(50))))

        assert in_a_loop(scenario) == {201: 50}

    def test_is_told_truly_while_it_is_away(
        self, new_database: Callable[[str], str], engine: str, server: Server
    ) -> None:
        async def scenario() -> None:
            async with calling(new_database(engine)) as client:
                assert (await client.get("/students")).status_code == 200
                await asyncio.to_thread(server.stop)
                try:
                    for response in (
                        await client.get("/students"),
                        await client.get("/students/1"),
                        await client.post("/students", json=STUDENT),
                        await client.delete("/students/1"),
                        await client.get("/health/ready"),
                    ):
                        assert response.status_code == 503
                        assert response.json()["type"] == "/problems/unavailable"
                        assert int(response.headers["Retry-After"]) >= 1
                    assert (await client.get("/health/live")).status_code == 200
                finally:
                    await asyncio.to_thread(server.start)
                assert (await client.get("/students")).status_code == 200
                assert (await client.get("/health/ready")).status_code == 200

        in_a_loop(scenario)

    @pytest.mark.big
    def test_that_neither_answers_nor_refuses_is_given_up(
        self, new_database: Callable[[str], str], engine: str, server: Server
    ) -> None:
        async def scenario() -> None:
            async with furnished(new_database(engine), DATABASE_STATEMENT_TIMEOUT="0.1") as database:
                assert await titles(database) == []
                with server.paused():
                    async with asyncio.timeout(SOON):
                        with pytest.raises(errors.Gone):
                            await titles(database)
                assert await titles(database) == []

        in_a_loop(scenario)

    @pytest.mark.big
    @pytest.mark.engines("postgresql")
    def test_that_waits_for_its_replica_leaves_the_outcome_open(self, database_url: str, server: Server) -> None:
        async def scenario() -> None:
            async with furnished(database_url) as database:
                server.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
                server.execute("SELECT pg_reload_conf()")
                try:
                    with pytest.raises(errors.OutcomeUnknown):
                        await database.write(Desk, lambda desk: desk.add(book, title="one", price=0.0))
                finally:
                    server.execute("ALTER SYSTEM RESET synchronous_standby_names")
                    server.execute("SELECT pg_reload_conf()")
                await database.write(Desk, lambda desk: desk.add(book, title="two", price=0.0))

        in_a_loop(scenario)

    @pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.big)])
    def test_killed_under_load_it_loses_no_write_that_was_answered(
        self, new_database: Callable[[str], str], engine: str, server: Server, times: int
    ) -> None:
        answers: Counter[int] = Counter()
        acknowledged: list[str] = []
        refused: set[str] = set()
        ended = False

        async def write(client: httpx.AsyncClient, writer: int) -> None:
            number = 0
            while not ended:
                number += 1
                name = f"{writer}-{number}"
                response = await client.post("/students", json={**STUDENT, "name": name})
                answers[response.status_code] += 1
                if response.status_code == 201:
                    acknowledged.append(name)
                    continue
                problem = response.json()["type"]
                assert problem in ("/problems/unavailable", "/problems/outcome-unknown")
                if problem == "/problems/unavailable":
                    refused.add(name)
                    assert response.headers["Retry-After"]
                await asyncio.sleep(0)

        async def read(client: httpx.AsyncClient) -> None:
            while not ended:
                answers[(await client.get("/students")).status_code] += 1
                await asyncio.sleep(0)

        async def more_than(count: int) -> None:
            while len(acknowledged) <= count:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

        async def scenario() -> list[str]:
            nonlocal ended
            async with calling(new_database(engine)) as client:
                async with asyncio.TaskGroup() as load:
                    for writer in range(8):
                        load.create_task(write(client, writer))
                    load.create_task(read(client))
                    for _ in range(times):
                        await more_than(len(acknowledged) + 100)
                        await asyncio.to_thread(server.kill)
                        await asyncio.to_thread(server.restart)
                        async with asyncio.timeout(SOON):
                            await more_than(len(acknowledged))
                    ended = True
                return await names(client)

        kept = in_a_loop(scenario)
        assert set(answers) <= {200, 201, 503}
        assert answers[503]
        assert Counter(kept) == Counter(set(kept)), "a write was made twice"
        assert set(acknowledged) <= set(kept)
        assert not refused & set(kept)

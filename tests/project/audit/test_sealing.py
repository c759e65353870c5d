import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.students.schemas import StudentCreate
from apps.students.services import StudentService
from project.audit import sealing
from project.database import Database, migrations
from tests.processes import SECONDS, Service, running, until
from tests.servers import in_a_loop
from tests.trail import entries, findings, pending, seal_all
from tests.units import Desk, opened

ANANYA = StudentCreate("Ananya", "CSE", 8.9)


async def create(database: Database) -> None:
    await database.write(StudentService, lambda students: students.create(ANANYA))


async def note(database: Database, count: int) -> None:
    """That many entries, from one unit of work."""

    async def work(desk: Desk) -> None:
        for number in range(count):
            desk.session.trail.note("update", "clubs.club", number)

    await database.write(Desk, work)


class TestSeal:
    def test_gives_places_without_gaps_whatever_was_rolled_back(
        self, engine: str, new_database: Callable[[str], str]
    ) -> None:
        async def fail(desk: Desk) -> None:
            desk.session.trail.note("update", "clubs.club", 0)
            await desk.session.settle()
            raise KeyError

        async def scenario() -> None:
            async with opened(new_database(engine)) as database:
                await migrations.migrate(database)
                for _ in range(3):
                    await note(database, 1)
                    with pytest.raises(KeyError):
                        await database.write(Desk, fail)
                await seal_all(database)
                await note(database, sealing.BATCH + 1)
                assert [entry["id"] for entry in await entries(database)] == list(range(1, sealing.BATCH + 5))
                assert await findings(database) == []

        in_a_loop(scenario)

    @pytest.mark.engines("postgresql", "mariadb")
    def test_takes_what_is_committed_late_under_an_id_given_early(
        self, engine: str, new_database: Callable[[str], str]
    ) -> None:
        async def scenario() -> None:
            written, released = asyncio.Event(), asyncio.Event()

            async def early(desk: Desk) -> None:
                desk.session.trail.note("update", "clubs.club", "early")
                await desk.session.settle()
                written.set()
                await released.wait()

            async with opened(new_database(engine)) as database:
                await migrations.migrate(database)
                first = asyncio.create_task(database.write(Desk, early))
                await written.wait()
                await note(database, 1)
                assert [entry["key"] for entry in await entries(database)] == ["0"]
                released.set()
                await first
                assert [entry["key"] for entry in await entries(database)] == ["0", "early"]
                assert await findings(database) == []

        in_a_loop(scenario)

    def test_is_done_by_one_at_a_time_while_others_write(self, engine: str, new_database: Callable[[str], str]) -> None:
        """On two connections, as two machines would."""
        writers, changes = 8, 8

        async def write_and_seal(database: Database) -> None:
            for _ in range(changes):
                await create(database)
                await sealing.catch_up(database)

        async def scenario() -> None:
            url = new_database(engine)
            async with opened(url) as one, opened(url) as other:
                await migrations.migrate(one)
                await asyncio.gather(*(write_and_seal((one, other)[number % 2]) for number in range(writers)))
                found = await entries(one)
                assert [entry["id"] for entry in found] == list(range(1, writers * changes + 1))
                assert len({entry["key"] for entry in found}) == writers * changes
                assert await findings(one) == []

        in_a_loop(scenario)

    def test_that_is_not_committed_leaves_all_as_it_was(self, engine: str, new_database: Callable[[str], str]) -> None:
        async def scenario() -> None:
            async with opened(new_database(engine)) as database:
                await migrations.migrate(database)
                await note(database, 3)

                async def fail(chain: sealing.Chain) -> None:
                    assert await chain.extend(database.signer) == 3
                    raise KeyError

                with pytest.raises(KeyError):
                    await database.write(sealing.Chain, fail)
                assert await pending(database) == 3
                assert len(await entries(database)) == 3
                assert await findings(database) == []

        in_a_loop(scenario)


class TestService:
    """With workers that seal by themselves."""

    def test_seals_what_is_left_when_it_ends(self, new_database: Callable[[str], str]) -> None:
        url = new_database("sqlite")
        with running(url) as service, service.client() as client:
            for _ in range(3):
                assert client.post("/students", json=STUDENT).status_code == 201
            service.stop()
        assert in_a_loop(lambda: waiting(url)) == 0

    def test_survives_kill_9(self, engine: str, new_database: Callable[[str], str]) -> None:
        """In the middle of it: there is much to seal, and it has just begun."""
        count = 20 * sealing.BATCH
        url = new_database(engine)
        migrate(url)

        async def fill() -> None:
            async with opened(url) as database:
                await note(database, count)

        async def first_batch() -> None:
            async with opened(url) as database, asyncio.timeout(SECONDS):
                while await pending(database) == count:
                    pass

        async def scenario() -> None:
            async with opened(url) as database:
                assert await pending(database)
                assert await findings(database) == []
                await seal_all(database)
                assert await findings(database) == []
                assert await end(database) == count

        in_a_loop(fill)
        with running(url, "--workers=2") as service:
            in_a_loop(first_batch)
            service.kill_group()
        in_a_loop(scenario)

    @pytest.mark.parametrize("changes", [200, pytest.param(100_000, marks=pytest.mark.big)])
    def test_holds_after_many_changes_by_eight_writers(
        self, engine: str, new_database: Callable[[str], str], changes: int
    ) -> None:
        writers = 8
        url = new_database(engine)
        migrate(url)

        def write(service: Service) -> None:
            """A student is created, changed, and deleted again, as often as it takes."""
            with service.client() as client:
                for _ in range(changes // writers // 5):
                    path = client.post("/students", json=STUDENT).headers["Location"]
                    for grade in range(3):
                        assert client.patch(path, json={"cgpa": grade}).status_code == 200
                    assert client.delete(path).status_code == 204

        async def scenario() -> None:
            async with opened(url) as database:
                assert await findings(database) == []
                assert await end(database) == changes

        with running(url, "--workers=2") as service, ThreadPoolExecutor(writers) as threads:
            for written in [threads.submit(write, service) for _ in range(writers)]:
                written.result()
            until(lambda: in_a_loop(lambda: waiting(url)) == 0, "all entries to be sealed")
        in_a_loop(scenario)


STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


def migrate(url: str) -> None:
    async def run() -> None:
        async with opened(url) as database:
            await migrations.migrate(database)

    in_a_loop(run)


async def waiting(url: str) -> int:
    async with opened(url) as database:
        return await pending(database)


async def end(database: Database) -> int:
    """How many entries the chain says it has."""

    async def work(chain: sealing.Chain) -> int:
        found = await chain.end()
        return found.place if found else 0

    return await database.read(sealing.Chain, work)

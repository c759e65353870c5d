"""`manage.py switchdb` where the way to a database breaks, and where writers are in its way."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from project.transfer.charge import Failed
from project.transfer.protocol import Step
from tests.commands import managed
from tests.coordinators import Coordinator, coordinating
from tests.lines import line_to
from tests.processes import until
from tests.rosters import as_csv, students
from tests.servers import in_a_loop
from tests.switches import Pair
from tests.units import Desk, opened

NewDatabase = Callable[[str], str]

ROWS = 20


@pytest.fixture
def source(engine: str, new_database: NewDatabase, tmp_path: Path) -> str:
    """A service's database with rows."""
    url = new_database(engine)
    managed(url, "migrate")
    file = tmp_path / "rows.csv"
    file.write_bytes(as_csv(students(ROWS)))
    managed(url, "loaddata", str(file))
    return url


def commit_of(phase: str, where: str) -> Callable[[bytes], str | None]:
    """Breaks a line at the first COMMIT after the phase was sent to the database: see `Line`."""
    state = ["waiting"]

    def order(sent: bytes) -> str | None:
        if state == ["waiting"] and phase.encode() in sent:
            state[:] = ["written"]
        elif state == ["written"] and b"COMMIT" in sent:
            state[:] = []
            return where
        return None

    return order


async def phase_and_rows(url: str) -> tuple[str, int]:
    async with opened(url) as database:
        phase = await database.read(Desk, lambda desk: desk.look(sa.text("SELECT phase FROM _gate")))
        count = await database.read(Desk, lambda desk: desk.look(sa.text("SELECT count(*) FROM students")))
        return phase[0][0], count[0][0]


def settings(source: str, target: str) -> dict[str, str]:
    return {"DATABASE_URL": source, "DATABASE_URL_OTHER": target, "LOG_LEVEL": "ERROR"}


COMMITS = [
    ("copying", "after"),
    pytest.param("following", "before", marks=pytest.mark.big),
    pytest.param("preparing", "after", marks=pytest.mark.big),
    pytest.param("moved", "before", marks=pytest.mark.big),
    ("moved", "after"),
]


@pytest.mark.engines("postgresql", "mariadb")
class TestBrokenLine:
    @pytest.mark.parametrize(("phase", "where"), COMMITS)
    def test_to_the_source_is_mended(self, source: str, new_database: NewDatabase, phase: str, where: str) -> None:
        target = new_database("sqlite")

        async def scenario() -> None:
            async with line_to(source) as (line, url):
                line.breaks_at = commit_of(phase, where)
                with coordinating(settings(url, target), "other") as coordinator:
                    assert await asyncio.to_thread(coordinator.wait) == 0, coordinator.told
                    assert "A connection broke" in coordinator.told or phase == "moved"
            assert await phase_and_rows(source) == ("moved", ROWS)
            assert await phase_and_rows(target) == ("retaining", ROWS)

        in_a_loop(scenario)

    @pytest.mark.parametrize(
        "words",
        [
            pytest.param(b"filling", marks=pytest.mark.big),
            b"Stra\xc3\x9fe",
            pytest.param(b"retaining", marks=pytest.mark.big),
        ],
    )
    def test_to_the_target_is_mended(self, source: str, engine: str, new_database: NewDatabase, words: bytes) -> None:
        """In the claim, in the copy, and when it is opened."""
        target = new_database(engine)
        managed(target, "migrate")

        async def scenario() -> None:
            async with line_to(target) as (line, url):
                left = [words]
                line.breaks_at = lambda sent: "before" if words in sent and left and left.pop() else None
                with coordinating(settings(source, url), "other") as coordinator:
                    assert await asyncio.to_thread(coordinator.wait) == 0, coordinator.told
                    assert "A connection broke" in coordinator.told
            assert not left
            assert await phase_and_rows(source) == ("moved", ROWS)
            assert await phase_and_rows(target) == ("retaining", ROWS)

        in_a_loop(scenario)


class TestClaim:
    def test_leaves_alone_what_somebody_has_put_into_the_target(
        self, source: str, engine: str, new_database: NewDatabase
    ) -> None:
        """After it was looked at."""
        pair = Pair(source, new_database(engine))

        async def put() -> None:
            async with opened(pair.new) as database, database.connect() as connection:
                await connection.exec_driver_sql(SOMEBODY)

        def put_before(step: Step) -> None:
            if step is Step.CLAIM:
                in_a_loop(put)

        with pytest.raises(Failed, match="new is not empty: table students has rows"):
            pair.move(before=put_before)
        assert in_a_loop(lambda: phase_and_rows(pair.new)) == ("idle", 1)
        assert in_a_loop(lambda: phase_and_rows(pair.old)) == ("idle", ROWS)


class TestMaxPause:
    @pytest.mark.engines("postgresql")
    def test_is_kept_while_somebody_writes_for_longer(self, source: str, new_database: NewDatabase) -> None:
        both = settings(source, new_database("sqlite"))

        async def scenario() -> None:
            with coordinating(both, "other", "--keep-copying") as first:
                await told(first, "is in step with")
                async with opened(source) as database, database.connect() as writer:
                    await writer.exec_driver_sql("BEGIN")
                    await writer.exec_driver_sql("UPDATE students SET cgpa = 1 WHERE id = 1")
                    with coordinating(both, "--cutover", "--max-pause=100ms") as second:
                        await told(second, "Not yet")
                        assert await phase_and_rows(source) == ("preparing", ROWS)
                        await writer.exec_driver_sql(INSERT)
                        await writer.exec_driver_sql("COMMIT")
                        assert await asyncio.to_thread(second.wait) == 0, second.told
            assert await phase_and_rows(both["DATABASE_URL_OTHER"]) == ("retaining", ROWS + 1)

        in_a_loop(scenario)

    def test_costs_no_record_that_hangs_on_another(self, source: str, engine: str, new_database: NewDatabase) -> None:
        """Foreign keys are ignored by the connections, too, with which the cutover begins anew."""
        managed(source, "createsuperuser", "--noinput", "--username=ananya", SUPERUSER_PASSWORD="seven grey herons")
        managed(source, "createtoken", "ananya")
        pair = Pair(source, new_database(engine))
        left = ["to take too long", "to change what is referred to"]

        async def rename() -> None:
            async with opened(pair.old) as database, database.connect() as connection:
                await connection.exec_driver_sql("UPDATE users SET username = 'ananya-rao'")

        def before(step: Step) -> None:
            if step is Step.LAST_READ and len(left) == 2:
                time.sleep(1.2)
                left.pop()
            elif step is Step.READ_LOG and len(left) == 1:
                left.pop()
                in_a_loop(rename)

        pair.move(before=before)
        assert not left

        async def owners() -> list[str]:
            async with opened(pair.new) as database:
                select = sa.text("SELECT username FROM users JOIN tokens ON user_id = users.id")
                return [name for (name,) in await database.read(Desk, lambda desk: desk.look(select))]

        assert in_a_loop(owners) == ["ananya-rao"]


SOMEBODY = """
INSERT INTO students (id, name, department, cgpa, name_folded, created_at, updated_at)
VALUES (1, 'A', 'B', 1, 'a', '2026-01-31', '2026-01-31')
"""
INSERT = """
INSERT INTO students SELECT 99, name, department, cgpa, name_folded, created_at, updated_at FROM students WHERE id = 1
"""


async def told(coordinator: Coordinator, words: str) -> None:
    """Waits until it tells that."""

    def is_over() -> bool:
        return words in coordinator.told or coordinator.process.poll() is not None

    await asyncio.to_thread(until, is_over, f"it to tell {words}")
    assert words in coordinator.told, coordinator.told

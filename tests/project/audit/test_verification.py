from collections.abc import Awaitable, Callable

import pytest

from apps.students.schemas import StudentCreate
from apps.students.services import StudentService
from project.audit.sealing import Seal
from project.audit.verification import MOST_FINDINGS, verify
from project.database import Database, migrations
from tests.servers import in_a_loop
from tests.trail import entries, findings, seal_all, tamper
from tests.units import opened

ANANYA = StudentCreate("Ananya", "CSE", 8.9)
COUNT = 8
COLUMNS = "actor, channel, address, request_id, action, record, {key}, details, signature"


async def write(database: Database, count: int = 1) -> None:
    for _ in range(count):
        await database.write(StudentService, lambda students: students.create(ANANYA))


@pytest.fixture
def found_after(engine: str, database_url: str) -> Callable[[Callable[[Database], Awaitable[object]]], list[str]]:
    """What a verification finds in a chain of COUNT entries, once something was done to it."""

    def run(harm: Callable[[Database], Awaitable[object]]) -> list[str]:
        async def scenario() -> list[str]:
            async with opened(database_url) as database:
                await migrations.migrate(database)
                for table in ("audit_pending", "audit_entries", "audit_chain"):
                    await tamper(database, f"DELETE FROM {table}")
                await write(database, COUNT)
                await seal_all(database)
                assert await findings(database) == []
                await harm(database)
                return await findings(database)

        return in_a_loop(scenario)

    return run


Found = Callable[[Callable[[Database], Awaitable[object]]], list[str]]


class TestVerify:
    @pytest.mark.parametrize(
        "change",
        [
            "actor = 'mallory'",
            "actor_id = 1",
            "token_id = 1",
            "channel = 'admin'",
            "address = '192.0.2.1'",
            "request_id = 'x'",
            "action = 'update'",
            "record = 'students.other'",
            "{key} = '99'",
            "details = '{{}}'",
            "created_at = '2026-01-31 09:30:00.000001'",
        ],
    )
    def test_finds_an_entry_that_was_changed(self, found_after: Found, engine: str, change: str) -> None:
        sql = f"UPDATE audit_entries SET {change.format(key=quoted(engine))} WHERE id = 3"
        if engine == "sqlite":
            sql = sql.replace("09:30:00.000001", "09:30:00.000001Z").replace("2026-01-31 ", "2026-01-31T")
        assert found_after(lambda database: tamper(database, sql)) == [
            "Entry 3 is changed, or written by somebody else."
        ]

    def test_finds_an_entry_that_was_removed(self, found_after: Found) -> None:
        sql = "DELETE FROM audit_entries WHERE id IN (3, 5, 6)"
        assert found_after(lambda database: tamper(database, sql)) == [
            "Entry 3 is missing.",
            "Entries 5 to 6 are missing.",
        ]

    def test_finds_a_removed_entry_whose_place_was_filled(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            await tamper(database, "DELETE FROM audit_entries WHERE id = 3")
            for place in range(4, COUNT + 1):
                await tamper(database, f"UPDATE audit_entries SET id = {place - 1} WHERE id = {place}")

        first, *others = found_after(harm)
        assert first == f"Entries 3 to {COUNT - 1} are sealed in another place, or by somebody else."
        assert others == [f"Entry {COUNT} is missing."]

    def test_finds_entries_that_changed_places(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            for before, after in ((3, 99), (5, 3), (99, 5)):
                await tamper(database, f"UPDATE audit_entries SET id = {after} WHERE id = {before}")

        found = found_after(harm)
        assert [sentence.split(" is ")[0] for sentence in found if "3" in sentence or "5" in sentence]
        assert all("sealed in another place" in sentence for sentence in found)

    def test_finds_an_entry_that_was_forged(self, found_after: Found, engine: str) -> None:
        """At the end of the chain, with an end to match; what comes after it is not in doubt."""
        columns = f"created_at, updated_at, seal, {COLUMNS.format(key=quoted(engine))}"
        place = COUNT + 1

        async def harm(database: Database) -> None:
            select = f"SELECT {place}, {columns} FROM audit_entries WHERE id = {COUNT}"
            await tamper(database, f"INSERT INTO audit_entries (id, {columns}) {select}")
            await tamper(database, f"UPDATE audit_chain SET last_id = {place}")
            await write(database)
            await seal_all(database)

        assert found_after(harm) == [
            f"Entry {place} is sealed in another place, or by somebody else.",
            f"Entry {place} is a copy of entry {COUNT}.",
        ]

    def test_finds_an_entry_that_stands_in_the_way_of_the_next(self, found_after: Found, engine: str) -> None:
        columns = f"created_at, updated_at, seal, {COLUMNS.format(key=quoted(engine))}"

        async def harm(database: Database) -> None:
            select = f"SELECT {COUNT + 1}, {columns} FROM audit_entries WHERE id = {COUNT}"
            await tamper(database, f"INSERT INTO audit_entries (id, {columns}) {select}")
            await write(database)
            assert len(await entries(database)) == COUNT + 2

        assert found_after(harm) == [
            f"Entry {COUNT + 1} is sealed in another place, or by somebody else.",
            f"Entry {COUNT + 1} is a copy of entry {COUNT}.",
        ]

    @pytest.mark.parametrize("is_sealed", [False, True])
    def test_finds_an_entry_that_was_put_where_entries_wait(
        self, found_after: Found, engine: str, is_sealed: bool
    ) -> None:
        columns = f"created_at, {COLUMNS.format(key=quoted(engine))}"
        forged = columns.replace("actor", "'mallory'")

        async def harm(database: Database) -> None:
            await tamper(
                database,
                f"INSERT INTO audit_pending ({columns}) SELECT {forged} FROM audit_entries WHERE id = {COUNT}",
            )
            if is_sealed:
                await seal_all(database)

        sentence, *_ = found_after(harm)
        assert sentence.endswith("is changed, or written by somebody else.")
        assert sentence.startswith(f"Entry {COUNT + 1} " if is_sealed else "Of the entries that wait to be sealed, ")

    def test_finds_an_entry_that_was_copied_to_where_entries_wait(self, found_after: Found, engine: str) -> None:
        columns = f"created_at, {COLUMNS.format(key=quoted(engine))}"

        async def harm(database: Database) -> None:
            await tamper(
                database,
                f"INSERT INTO audit_pending ({columns}) SELECT {columns} FROM audit_entries WHERE id = 3",
            )
            await seal_all(database)

        assert found_after(harm) == [f"Entry {COUNT + 1} is a copy of entry 3."]

    def test_finds_a_tail_that_was_cut_off(self, found_after: Found) -> None:
        sql = "DELETE FROM audit_entries WHERE id > 5"
        assert found_after(lambda database: tamper(database, sql)) == [f"Entries 6 to {COUNT} are missing."]

    def test_finds_that_the_end_was_changed_or_removed(self, found_after: Found) -> None:
        sql = "UPDATE audit_chain SET last_id = 5"
        assert found_after(lambda database: tamper(database, sql)) == [
            "The row that says where the chain ends was changed: it names entry 5."
        ]
        sql = "DELETE FROM audit_chain"
        assert found_after(lambda database: tamper(database, sql)) == [
            "The row that says where the chain ends is missing."
        ]

    def test_is_not_misled_by_a_seal_that_was_changed(self, found_after: Found) -> None:
        seal = "seal = (SELECT seal FROM audit_chain)"
        sql = f"UPDATE audit_entries SET {seal} WHERE id = 3"
        assert found_after(lambda database: tamper(database, sql)) == [
            "Entry 3 is sealed in another place, or by somebody else."
        ]

    def test_says_no_more_than_anybody_reads(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            await write(database, 2 * MOST_FINDINGS + 10)
            await seal_all(database)
            await tamper(database, f"DELETE FROM audit_entries WHERE id > {COUNT} AND (id & 1) = 0")
            report = await verify(database, [database.signer], None, lambda done, total: None)
            assert len(report.findings) == MOST_FINDINGS
            assert report.others == 5
            await tamper(database, "DELETE FROM audit_entries")
            await tamper(database, "DELETE FROM audit_chain")

        assert found_after(harm) == []


class TestSince:
    """With an end that was noted down elsewhere."""

    def test_finds_a_tail_that_was_cut_off_with_the_end_set_back(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            noted = await head(database)
            await tamper(database, "DELETE FROM audit_entries WHERE id > 5")
            await tamper(database, SET_BACK)
            assert await findings(database) == []
            assert await findings(database, noted) == [
                f"The chain ends with entry 5, and had {COUNT} when HEAD was noted down."
            ]

        assert found_after(harm) == []

    def test_finds_a_tail_that_was_cut_off_and_has_grown_again(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            noted = await head(database)
            await tamper(database, "DELETE FROM audit_entries WHERE id > 5")
            await tamper(database, SET_BACK)
            await write(database, COUNT)
            await seal_all(database)
            assert await findings(database, noted) == [
                f"Entry {COUNT} is not the one that was the last when HEAD was noted down."
            ]

        assert found_after(harm) == []

    def test_holds_while_the_chain_grows(self, found_after: Found) -> None:
        async def harm(database: Database) -> None:
            noted = await head(database)
            assert await findings(database, noted) == []
            await write(database)
            await seal_all(database)
            assert await findings(database, noted) == []

        assert found_after(harm) == []


class TestAnotherSecretKey:
    def test_is_known_by_its_name_and_taken_where_it_is_given(
        self, engine: str, new_database: Callable[[str], str]
    ) -> None:
        url = new_database(engine)

        async def scenario() -> None:
            async with opened(url, SECRET_KEY="first") as database:
                await migrations.migrate(database)
                await write(database, 3)
                await seal_all(database)
                first = database.signer
            async with opened(url, SECRET_KEY="second") as database:
                await write(database, 2)
                await seal_all(database)
                assert await findings(database) == [
                    "Entries 1 to 3 are signed with another SECRET_KEY, which SECRET_KEY_FALLBACKS does not have."
                ]
                report = await verify(database, [database.signer, first], None, lambda done, total: None)
                assert report.findings == []
                assert report.entries == 5
                await tamper(database, "DELETE FROM audit_entries WHERE id = 3")
                report = await verify(database, [database.signer, first], None, lambda done, total: None)
                assert report.findings == ["Entry 3 is missing."]

        in_a_loop(scenario)


SET_BACK = (
    "UPDATE audit_chain SET last_id = (SELECT max(id) FROM audit_entries), "
    "seal = (SELECT e.seal FROM audit_entries AS e WHERE e.id = (SELECT max(m.id) FROM audit_entries AS m))"
)


async def head(database: Database) -> Seal:
    last = (await entries(database))[-1]
    return Seal(last["id"], last["seal"])


def quoted(engine: str) -> str:
    """The name of the column `key`, which is a word of MySQL's."""
    return "`key`" if engine in ("mariadb", "mysql") else '"key"'

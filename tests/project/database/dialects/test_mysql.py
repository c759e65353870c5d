import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from project.database import errors, links, parse_url
from project.database.dialects import mysql as dialect
from project.database.places import Place
from project.database.statements import Statement
from project.database.switching import GATE
from project.settings import SettingsError, load
from tests import certificates
from tests.processes import SECONDS
from tests.servers import MariaDB, in_a_loop
from tests.units import Desk, book, furnished, metadata, opened, titles

pytestmark = pytest.mark.engines("mariadb")

COUNT = f"(SELECT COUNT(*) FROM {GATE})"
CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"


def answer(url: str, sql: str) -> Any:
    """The last value of the first row."""

    async def scenario() -> Any:
        async with opened(url) as database:
            return (await database.read(Desk, lambda desk: desk.look(sa.text(sql))))[0][-1]

    return in_a_loop(scenario)


def with_options(url: str, **options: str) -> str:
    return make_url(url).set(query=options).render_as_string(hide_password=False)


class TestSilence:
    def test_of_a_server_that_takes_connections_ends_the_attempt(self) -> None:
        """As of one that hangs, or of a proxy before it."""

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async def scenario() -> None:
            async with await asyncio.start_server(say_nothing, "127.0.0.1") as server:
                port = server.sockets[0].getsockname()[1]
                place = Place(parse_url(f"mysql://ananya@127.0.0.1:{port}/registrar?connect_timeout=1"), load({}))
                with pytest.raises(errors.Gone):
                    await asyncio.wait_for(links.open_link(place.dialect, place.backend), SECONDS)
                await place.backend.close()

        in_a_loop(scenario)


class TestUrl:
    @pytest.mark.parametrize(
        ("options", "encrypted"),
        [
            ({}, False),
            ({"ssl_mode": "disabled"}, False),
            ({"charset": "utf8mb4"}, False),
            ({"ssl": "true"}, True),
            ({"ssl-mode": "REQUIRED"}, True),
            ({"ssl_ca": "{authority}"}, True),
            ({"ssl_mode": "verify_identity", "ssl_ca": "{authority}"}, True),
            ({"ssl_ca": "{authority}", "ssl_check_hostname": "true"}, True),
        ],
    )
    def test_encrypts(self, database_url: str, mariadb: MariaDB, options: dict[str, str], encrypted: bool) -> None:
        options = {name: value.format(authority=mariadb.authority) for name, value in options.items()}
        assert bool(answer(with_options(database_url, **options), CIPHER)) is encrypted

    @pytest.mark.parametrize("mode", ["verify_ca", "verify_identity"])
    def test_trusts_nobody_else(self, database_url: str, tmp_path: Path, mode: str) -> None:
        certificates.make(tmp_path)
        url = with_options(database_url, ssl_mode=mode, ssl_ca=str(tmp_path / "authority.pem"))
        with pytest.raises(errors.Gone):
            answer(url, CIPHER)

    def test_certificate_that_is_not_there_is_a_sentence(self, database_url: str) -> None:
        with pytest.raises(SettingsError, match="certificate or key that cannot be used"):
            parse_url(with_options(database_url, ssl_ca="/nowhere/authority.pem"))


class TestConnections:
    def test_take_nothing_for_granted(self, database_url: str) -> None:
        assert answer(database_url, "SELECT @@time_zone") == "+00:00"
        assert answer(database_url, "SELECT @@tx_isolation") == "READ-COMMITTED"
        assert "STRICT_ALL_TABLES" in answer(database_url, "SELECT @@sql_mode")


async def insert(desk: Desk) -> None:
    await desk.add(book, title="once", price=1.0)


async def insert_many(desk: Desk) -> None:
    statement = Statement(sa.insert(book).values(title=sa.bindparam("title"), price=sa.bindparam("price")))
    await desk.session.run_many(statement, [{"title": "once", "price": 1.0}])


async def insert_with_sqlalchemy(desk: Desk) -> None:
    await desk.session.execute(sa.insert(book), [{"title": "once", "price": 1.0}])


class TestWrite:
    @pytest.fixture
    def blind_trigger(self, database_url: str, mariadb: MariaDB) -> Iterator[Callable[[], object]]:
        """The table of books has a trigger that reads a gate which is not there before this is called."""
        name = str(make_url(database_url).database)

        async def furnish() -> None:
            async with furnished(database_url):
                pass

        in_a_loop(furnish)
        mariadb.execute(f"CREATE TRIGGER looks BEFORE INSERT ON book FOR EACH ROW SET @there = {COUNT}", name)
        yield lambda: mariadb.execute(f"CREATE TABLE {GATE} (id INT)", name)
        mariadb.execute(f"DROP TABLE IF EXISTS {GATE}", name)

    @pytest.mark.parametrize("send", [insert, insert_many, insert_with_sqlalchemy])
    def test_is_run_again_on_another_connection_where_a_trigger_overlooks_the_gate(
        self, database_url: str, blind_trigger: Callable[[], object], send: Callable[[Desk], Awaitable[None]]
    ) -> None:
        """As MariaDB does in a statement that it prepared just when the trigger was made, for good."""
        connections: list[int] = []

        async def work(desk: Desk) -> None:
            connections.append((await desk.look(sa.text("SELECT CONNECTION_ID()")))[0][0])
            if len(connections) == 2:
                blind_trigger()
            await send(desk)

        async def scenario() -> list[str]:
            async with opened(database_url) as database:
                await database.write(Desk, work)
                return await titles(database)

        assert in_a_loop(scenario) == ["once"]
        assert len(set(connections)) == len(connections) == 2

    def test_where_another_table_is_missing_is_not_run_again(self, database_url: str) -> None:
        runs: list[Desk] = []

        async def work(desk: Desk) -> None:
            runs.append(desk)
            await desk.look(sa.text("SELECT 1 FROM nowhere"))

        async def scenario() -> None:
            async with opened(database_url) as database:
                with pytest.raises(errors.Outdated):
                    await database.write(Desk, work)

        in_a_loop(scenario)
        assert len(runs) == 1


class TestTables:
    def test_compare_text_by_code_point_whatever_the_servers_character_set(self, database_url: str) -> None:
        async def scenario() -> list[tuple[str, str]]:
            async with furnished(database_url) as database, database.connect() as connection:
                rows: Any = await connection.exec_driver_sql(
                    "SELECT engine, table_collation FROM information_schema.tables WHERE table_schema = DATABASE()"
                )
                return [(str(row[0]), str(row[1])) for row in rows]

        assert set(in_a_loop(scenario)) == {("InnoDB", "utf8mb4_nopad_bin")}

    @pytest.mark.parametrize(
        ("version", "is_mariadb", "collation"),
        [(None, False, "utf8mb4_nopad_bin"), ((8, 4), False, "utf8mb4_0900_bin"), ((11, 8), True, "utf8mb4_nopad_bin")],
    )
    def test_collation_is_the_servers_own(self, version: Any, is_mariadb: bool, collation: str) -> None:
        asked = sa.make_url("mysql+asyncmy://").get_dialect()()
        asked.server_version_info, asked.is_mariadb = version, is_mariadb  # type: ignore[attr-defined]
        for table in metadata.sorted_tables:
            statement = str(sa.schema.CreateTable(table).compile(dialect=asked))
            assert statement.rstrip().endswith(f"ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}")


class TestHazards:
    def test_names_what_endangers_commits(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with opened(database_url) as database, database.connect() as connection:
                return await dialect.hazards(connection)

        found = in_a_loop(scenario)
        assert [sentence.split()[0] for sentence in found] == ["innodb_flush_log_at_trx_commit", "innodb_doublewrite"]


class TestShell:
    def test_keeps_the_password_from_the_list_of_processes(self, tmp_path: Path) -> None:
        certificates.make(tmp_path)
        url = parse_url(f"mysql://ann:s%40cret@db:3307/registrar?ssl_ca={tmp_path}/authority.pem")
        command, environment = dialect.shell(url)
        assert command[0] in ("mariadb", "mysql")
        assert command[1:] == [
            "--host=db",
            "--port=3307",
            "--user=ann",
            f"--ssl-ca={tmp_path}/authority.pem",
            "--protocol=tcp",
            "--default-character-set=utf8mb4",
            "registrar",
        ]
        assert environment == {"MYSQL_PWD": "s@cret"}


class TestSnapshot:
    LARGE = "SELECT REPEAT('x', 1000000) FROM seq_1_to_300"
    MOST = 20 * 2**20

    def test_takes_no_rows_that_nobody_has_asked_for(self, database_url: str) -> None:
        async def scenario() -> int:
            async with opened(database_url) as database:

                async def work(desk: Desk) -> int:
                    chunks = desk.session.held.chunks(self.LARGE, (), 1)
                    first = await anext(chunks)
                    before = psutil.Process().memory_info().rss
                    for _ in range(1000):  # in which much more would have come
                        await database.read(Desk, lambda other: other.look(sa.text("SELECT 1")))
                    grown = psutil.Process().memory_info().rss - before
                    count = len(first) + sum([len(rows) async for rows in chunks])
                    assert count == 300
                    return grown

                return await database.snapshot(Desk, work)

        assert in_a_loop(scenario) < self.MOST

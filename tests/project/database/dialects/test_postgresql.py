import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from project.database import errors, parse_url
from project.database.dialects import postgresql as dialect
from project.settings import SettingsError
from tests import certificates
from tests.lines import line_to
from tests.servers import PostgreSQL, in_a_loop
from tests.units import Desk, opened

pytestmark = pytest.mark.engines("postgresql")


def answer(url: str, sql: str) -> Any:
    async def scenario() -> Any:
        async with opened(url) as database:
            return (await database.read(Desk, lambda desk: desk.look(sa.text(sql))))[0][0]

    return in_a_loop(scenario)


def encrypted(url: str, folder: Path, **options: str) -> int:
    """How many connections were, to a server that takes no others and has a certificate in the folder."""
    certificates.make(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")

    async def scenario() -> int:
        async with line_to(url, context) as (line, through), opened(with_options(through, **options)) as database:
            await database.read(Desk, lambda desk: desk.look(sa.select(sa.literal(1))))
            return line.encrypted

    return in_a_loop(scenario)


def with_options(url: str, **options: str) -> str:
    return make_url(url).set(query=options).render_as_string(hide_password=False)


class TestUrl:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"sslmode": "require"},
            {"ssl": "true"},
            {"sslmode": "verify-full", "sslrootcert": "{folder}/authority.pem"},
        ],
    )
    def test_encrypts(self, database_url: str, tmp_path: Path, options: dict[str, str]) -> None:
        options = {name: value.format(folder=tmp_path) for name, value in options.items()}
        assert encrypted(database_url, tmp_path, **options) == 1

    def test_does_not_encrypt_where_it_is_told_so(self, database_url: str, tmp_path: Path) -> None:
        for off in ({"sslmode": "disable"}, {"ssl": "false"}):
            with pytest.raises(errors.Gone):
                encrypted(database_url, tmp_path, **off)

    def test_insists_on_what_it_is_told(self, database_url: str) -> None:
        with pytest.raises(errors.Gone):
            answer(with_options(database_url, sslmode="require"), "SELECT 1")

    @pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
    def test_trusts_nobody_else(self, database_url: str, tmp_path: Path, mode: str) -> None:
        (tmp_path / "other").mkdir()
        certificates.make(tmp_path / "other")
        with pytest.raises(errors.Gone):
            encrypted(database_url, tmp_path, sslmode=mode, sslrootcert=str(tmp_path / "other" / "authority.pem"))

    def test_certificate_that_is_not_there_is_a_sentence(self, database_url: str) -> None:
        url = with_options(database_url, sslmode="verify-full", sslrootcert="/nowhere/authority.pem")
        with pytest.raises(SettingsError, match="that is not there: /nowhere"):
            parse_url(url)

    def test_passes_settings_on(self, database_url: str) -> None:
        url = with_options(
            database_url, application_name="registrar at night", options="-c work_mem=7MB", connect_timeout="2"
        )
        assert answer(url, "SHOW application_name") == "registrar at night"
        assert answer(url, "SHOW work_mem") == "7MB"

    def test_needs_no_statement_cache(self, database_url: str) -> None:
        assert answer(with_options(database_url, statement_cache_size="0"), "SELECT 1") == 1


class TestConnections:
    def test_take_nothing_for_granted(self, database_url: str) -> None:
        assert answer(database_url, "SHOW timezone") == "UTC"
        assert answer(database_url, "SHOW jit") == "off"

    def test_want_room_for_every_name(self, database_url: str, postgresql: PostgreSQL) -> None:
        postgresql.execute("CREATE DATABASE narrow ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        url = make_url(database_url).set(database="narrow").render_as_string(hide_password=False)
        with pytest.raises(errors.Gone, match="create it with ENCODING 'UTF8'"):
            answer(url, "SELECT 1")

    def test_survive_a_change_of_the_table(self, database_url: str) -> None:
        """What is prepared for the old columns does not fit the new ones."""

        async def scenario() -> None:
            async with opened(database_url) as database:
                table = sa.table("changing", sa.column("a"))
                select = sa.select(sa.text("*")).select_from(table)
                async with database.connect() as connection:
                    await connection.exec_driver_sql("CREATE TABLE changing (a integer)")
                    await connection.exec_driver_sql("INSERT INTO changing VALUES (1)")

                async def look(desk: Desk) -> tuple[Any, ...]:
                    return tuple((await desk.look(select))[0])

                assert await database.read(Desk, look) == (1,)
                assert await database.write(Desk, look) == (1,)
                async with database.connect() as connection:
                    await connection.exec_driver_sql("ALTER TABLE changing ADD b text DEFAULT 'new'")
                assert await database.read(Desk, look) == (1, "new")
                assert await database.write(Desk, look) == (1, "new")

        in_a_loop(scenario)


class TestHazards:
    def test_names_what_endangers_commits(self, database_url: str) -> None:
        async def scenario() -> list[str]:
            async with opened(database_url) as database, database.connect() as connection:
                return await dialect.hazards(connection)

        found = in_a_loop(scenario)
        assert [sentence.split(" = ")[0].rpartition(" ")[2] for sentence in found] == ["fsync", "full_page_writes"]
        assert all(sentence.endswith("Turn it on.") for sentence in found)

    def test_looks_at_the_database_itself(self, new_database: Callable[[str], str], postgresql: PostgreSQL) -> None:
        url = new_database("postgresql")
        postgresql.execute(f"ALTER DATABASE {make_url(url).database} SET synchronous_commit = off")

        async def scenario() -> list[str]:
            async with opened(url) as database, database.connect() as connection:
                return await dialect.hazards(connection)

        assert any("synchronous_commit = off" in sentence for sentence in in_a_loop(scenario))


class TestShell:
    def test_keeps_the_password_from_the_list_of_processes(self) -> None:
        url = parse_url("postgres://ann:s%40cret@db:5433/registrar?sslmode=require&connect_timeout=3")
        command, environment = dialect.shell(url)
        assert command == ["psql", "registrar"]
        assert environment == {
            "PGHOST": "db",
            "PGPORT": "5433",
            "PGUSER": "ann",
            "PGPASSWORD": "s@cret",
            "PGSSLMODE": "require",
            "PGCONNECT_TIMEOUT": "3",
        }

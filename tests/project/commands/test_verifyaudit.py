"""`manage.py verifyaudit`, and what the other commands leave for it."""

import getpass
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from apps.students.schemas import StudentCreate
from apps.students.services import StudentService
from project.commands import cli
from project.settings import load
from tests import commands
from tests.clients import serving
from tests.project.commands.conftest import Manage
from tests.rosters import as_csv, students
from tests.servers import in_a_loop
from tests.trail import Entry, entries, seal_all, tamper
from tests.units import opened

ANANYA = StudentCreate("Ananya", "CSE", 8.9)
SECRETS = {"SUPERUSER_USERNAME": "ananya", "SUPERUSER_PASSWORD": "correct horse battery"}


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of the database that `manage` is about."""
    return f"sqlite:///{tmp_path / 'registrar.sqlite3'}"


def write(url: str, count: int = 1, *, seal: bool = True) -> None:
    async def scenario() -> None:
        async with opened(url) as database:
            for _ in range(count):
                await database.write(StudentService, lambda students: students.create(ANANYA))
            if seal:
                await seal_all(database)

    in_a_loop(scenario)


def harm(url: str, sql: str) -> None:
    async def scenario() -> None:
        async with opened(url) as database:
            await tamper(database, sql)

    in_a_loop(scenario)


def head_of(stdout: str) -> str:
    last = stdout.splitlines()[-1]
    assert last.startswith("HEAD ")
    return last.removeprefix("HEAD ")


class TestVerifyAudit:
    def test_says_that_the_chain_holds_and_where_it_ends(self, manage_everywhere: Manage, database_url: str) -> None:
        assert manage_everywhere("migrate").exit_code == 0
        write(database_url, 3)
        result = manage_everywhere("verifyaudit")
        assert result.exit_code == 0, result.output
        first, last = result.stdout.splitlines()
        assert first == "Checked 3 entries."
        assert last.startswith("HEAD 3-")
        assert manage_everywhere("verifyaudit", "--since", head_of(result.stdout)).exit_code == 0

    def test_of_nothing_holds(self, manage: Manage) -> None:
        assert manage("migrate").exit_code == 0
        result = manage("verifyaudit")
        assert result.stdout == "Checked 0 entries.\nHEAD 0-\n"
        assert manage("verifyaudit", "--since", "0-").exit_code == 0

    def test_names_what_was_changed_and_fails(self, manage: Manage, url: str) -> None:
        assert manage("migrate").exit_code == 0
        write(url, 5)
        harm(url, "UPDATE audit_entries SET actor = 'mallory' WHERE id = 2")
        harm(url, "DELETE FROM audit_entries WHERE id = 4")
        result = manage("verifyaudit")
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "Entry 2 is changed, or written by somebody else.",
            "Entry 4 is missing.",
            "Checked 4 entries.",
        ]

    def test_misses_a_tail_that_was_there_before(self, manage: Manage, url: str) -> None:
        assert manage("migrate").exit_code == 0
        write(url, 3)
        head = head_of(manage("verifyaudit").stdout)
        for table in ("audit_entries", "audit_chain"):
            harm(url, f"DELETE FROM {table}")
        assert manage("verifyaudit").exit_code == 0
        result = manage("verifyaudit", "--since", head)
        assert result.exit_code == 1
        assert "The chain ends with entry 0, and had 3 when HEAD was noted down." in result.stdout

    def test_says_what_is_not_sealed_yet(self, manage: Manage, url: str) -> None:
        assert manage("migrate").exit_code == 0
        write(url, 2, seal=False)
        result = manage("verifyaudit")
        assert result.exit_code == 0
        assert result.stdout.startswith("Not sealed yet: 2. ")

    def test_takes_the_keys_that_there_were_before(self, manage: Manage, url: str) -> None:
        assert manage("migrate").exit_code == 0
        write(url)
        result = manage("verifyaudit", SECRET_KEY="another")
        assert result.exit_code == 1
        assert "SECRET_KEY_FALLBACKS" in result.stdout
        fallbacks = "older,registrar-development-key"
        assert manage("verifyaudit", SECRET_KEY="another", SECRET_KEY_FALLBACKS=fallbacks).exit_code == 0

    def test_refuses_what_is_no_head(self, manage: Manage) -> None:
        result = manage("verifyaudit", "--since", "3")
        assert result.exit_code == 2
        assert "--since is not a HEAD" in result.stderr

    def test_of_a_database_without_tables_says_what_to_do(self, manage: Manage) -> None:
        result = manage("verifyaudit")
        assert result.exit_code == 1
        assert "migrate" in result.stderr


class TestVerifyAuditAfterASwitch:
    @pytest.mark.parametrize(
        ("source", "target"), [("sqlite", "postgresql"), ("postgresql", "mariadb"), ("mariadb", "sqlite")]
    )
    def test_follows_one_chain_from_the_old_database_into_the_new_one(
        self, new_database: Callable[[str], str], tmp_path: Path, source: str, target: str
    ) -> None:
        old, new = new_database(source), new_database(target)
        both = {"DATABASE_URL_OTHER": new}
        file = tmp_path / "students.csv"
        file.write_bytes(as_csv(students(3)))
        commands.managed(old, "migrate")
        change_over_http(old, both)
        head = head_of(commands.managed(old, "verifyaudit", **both))
        assert head.startswith("3-")
        commands.managed(old, "loaddata", str(file), **both)  # waits in the old database, to be sealed in the new one

        commands.managed(old, "switchdb", "other", **both)
        change_over_http(old, both)
        assert in_a_loop(lambda: everything(new))[3]["action"] == "load"
        for since in ([], ["--since", head]):
            told = commands.managed(old, "verifyaudit", *since, **both)
            assert told.startswith("Checked 7 entries.\nHEAD 7-")

        for place in (2, 6):
            harm(new, f"UPDATE audit_entries SET actor = 'mallory' WHERE id = {place}")
        result = commands.manage(old, "verifyaudit", "--since", head, **both)
        assert result.exit_code == 1
        assert result.stdout.splitlines() == [
            "Entry 2 is changed, or written by somebody else.",
            "Entry 6 is changed, or written by somebody else.",
            "Checked 7 entries.",
        ]


def change_over_http(url: str, settings: dict[str, str]) -> None:
    """Leaves three entries, sealed."""
    with serving(load({"DATABASE_URL": url, "LOG_LEVEL": "WARNING", **settings})) as client:
        path = client.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9}).headers["Location"]
        assert client.patch(path, json={"cgpa": 9.1}).status_code == 200
        assert client.delete(path).status_code == 204


WRITES: dict[str, Sequence[Sequence[str]]] = {
    "createsuperuser": [["createsuperuser", "--noinput"]],
    "changepassword": [["createsuperuser", "--noinput"], ["changepassword", "ananya", "--noinput"]],
    "createtoken": [["createsuperuser", "--noinput"], ["createtoken", "ananya", "--name", "nightly"]],
    "loaddata": [["loaddata", "FILE"]],
    "flush": [["loaddata", "FILE"], ["flush", "--noinput"]],
    "shell": [["shell", "-c", "CODE"]],
}
"""For each command that may change something: what is run, it at last."""

OTHERS = {
    "check", "databases", "dbshell", "dumpdata", "generateclient", "makemigrations", "migrate", "openapi", "routes",
    "runserver", "showmigrations", "sqlmigrate", "startapp", "switchdb", "test", "verifyaudit",
}  # fmt: skip
"""Change no records, or leave that to the service or to the database's own client."""

CODE = """
session.add(Student(name="Ada", department="CSE", cgpa=1, created_at=datetime.now(UTC), updated_at=datetime.now(UTC)))
await session.commit()
"""


class TestEveryCommandThatWrites:
    def test_is_known_here(self) -> None:
        assert set(cli.list_commands(None)) == WRITES.keys() | OTHERS  # type: ignore[arg-type]

    @pytest.mark.parametrize("command", WRITES)
    def test_leaves_exactly_one_entry(self, manage: Manage, url: str, tmp_path: Path, command: str) -> None:
        file = tmp_path / "students.csv"
        file.write_bytes(as_csv(students(10)))
        assert manage("migrate").exit_code == 0
        for arguments in WRITES[command]:
            given = [
                {"FILE": str(file), "CODE": "from datetime import UTC, datetime" + CODE}.get(a, a) for a in arguments
            ]
            result = manage(*given, **SECRETS)
            assert result.exit_code == 0, result.output
        [entry] = [entry for entry in in_a_loop(lambda: everything(url)) if entry["request_id"] == command]
        assert entry["channel"] == "command"
        assert entry["actor"] == getpass.getuser()
        assert manage("verifyaudit").stdout.startswith("Checked ")

    def test_counts_what_was_loaded_and_flushed(self, manage: Manage, url: str, tmp_path: Path) -> None:
        file = tmp_path / "students.csv"
        file.write_bytes(as_csv(students(10)))
        for arguments in (["migrate"], ["loaddata", str(file)], ["flush", "--noinput"]):
            assert manage(*arguments).exit_code == 0
        loaded, flushed = in_a_loop(lambda: everything(url))
        assert (loaded["action"], loaded["counts"]) == ("load", {"students.student": {"create": 10}})
        assert (flushed["action"], flushed["counts"]) == ("flush", {"students.student": {"delete": 10}})


async def everything(url: str) -> list[Entry]:
    async with opened(url) as database:
        return await entries(database)

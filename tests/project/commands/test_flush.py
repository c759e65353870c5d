"""`manage.py flush`."""

import re
import sys
from pathlib import Path

import pytest

from tests.project.commands.conftest import Manage
from tests.terminals import terminal
from tests.trees import ROOT

CREATE = """
from apps.students.schemas import StudentCreate
for name in ("Ananya", "Bilal", "Chen"):
    student = await database.write(StudentService, lambda students: students.create(StudentCreate(name, "CSE", 8.9)))
print(student.id)
"""
COUNT = "print(await database.read(StudentService, lambda students: students.repository.count_where({})))"


def created(manage: Manage) -> int:
    """The id of the last one of three."""
    return int(manage("shell", "-c", CREATE).stdout)


def count(manage: Manage) -> int:
    return int(manage("shell", "-c", COUNT).stdout)


class TestFlush:
    def test_deletes_every_row_and_gives_out_no_id_again(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        last = created(manage_everywhere)
        result = manage_everywhere("flush", input="y\n")
        assert result.exit_code == 0
        assert "Deleted 3 of students\n" in result.stdout
        assert count(manage_everywhere) == 0
        assert created(manage_everywhere) == last + 3

    @pytest.mark.parametrize("answer", ["n\n", "\n", "perhaps\nn\n"])
    def test_deletes_nothing_without_a_yes(self, manage: Manage, answer: str) -> None:
        manage("migrate")
        created(manage)
        result = manage("flush", input=answer)
        assert result.exit_code == 1
        assert result.stderr.endswith("Error: Nothing was deleted.\n")
        assert count(manage) == 3

    def test_deletes_nothing_where_nobody_can_answer(self, manage: Manage) -> None:
        manage("migrate")
        created(manage)
        assert manage("flush", input="").exit_code == 1
        assert count(manage) == 3

    def test_deletes_nothing_when_the_question_is_interrupted(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        created(manage)
        command = [sys.executable, "manage.py", "flush"]
        with terminal(command, ROOT, {"DATABASE_URL": f"sqlite:///{tmp_path}/registrar.sqlite3"}) as screen:
            screen.until("[y/N]: ")
            assert screen.interrupt() == 130
        assert count(manage) == 3

    def test_does_not_ask_with_noinput(self, manage: Manage) -> None:
        manage("migrate")
        created(manage)
        result = manage("flush", "--noinput")
        assert result.exit_code == 0
        assert "?" not in result.stdout
        assert count(manage) == 0

    def test_says_which_database_without_its_password(self, manage_everywhere: Manage, database_url: str) -> None:
        manage_everywhere("migrate")
        asked = manage_everywhere("flush", input="n\n").stdout
        password = re.search(r":([^/:@]+)@", database_url)
        assert database_url.rpartition("/")[2] in asked
        assert password is None or password[1] not in asked

    def test_shows_nothing_that_a_url_may_hide(self, manage: Manage) -> None:
        old = "postgres://ananya:p4ss@db.example:5433/old?sslmode=require&sslpassword=s3cret"
        asked = manage("flush", "--database", "old", input="n\n", DATABASE_URL_OLD=old).stdout
        assert asked.startswith("Delete every row of postgresql://ananya:***@db.example:5433/old? [y/N]")

    def test_refuses_a_url_that_is_none(self, manage: Manage) -> None:
        result = manage("flush", "--database", "old", DATABASE_URL_OLD="oops")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: The database URL cannot be read: ")

    def test_refuses_a_database_without_its_tables(self, manage: Manage) -> None:
        result = manage("flush", "--noinput")
        assert result.exit_code == 1
        assert "`python manage.py migrate` first" in result.stderr


class TestFlushOfADatabaseThatWasLeft:
    """It takes writes again, has no rows, and leads nobody anywhere."""

    def test_waits_until_nobody_may_return_or_come_by_it(
        self, manage_everywhere: Manage, database_url: str, tmp_path: Path
    ) -> None:
        new = f"sqlite:///{tmp_path}/new.sqlite3"
        manage_everywhere("migrate")
        created(manage_everywhere)
        assert manage_everywhere("switchdb", "new", DATABASE_URL_NEW=new).exit_code == 0
        refusal = manage_everywhere("flush", "--noinput", "--database", "default", DATABASE_URL_NEW=new)
        assert refusal.exit_code == 1
        assert "DATABASE_URL still leads here" in refusal.stderr
        after = {"DATABASE_URL": new, "DATABASE_URL_OLD": database_url}
        refusal = manage_everywhere("flush", "--noinput", "--database", "old", **after)
        assert refusal.exit_code == 1
        assert "`switchdb --complete`" in refusal.stderr
        assert manage_everywhere("switchdb", "--complete", **after).exit_code == 0
        done = manage_everywhere("flush", "--database", "old", input="y\n", **after)
        assert done.exit_code == 0, done.stderr
        assert "Deleted 3 of students\n" in done.stdout
        assert count(manage_everywhere) == 0
        created(manage_everywhere)
        assert count(manage_everywhere) == 3
        assert manage_everywhere("check").stdout == "Nothing found.\n"
        assert manage_everywhere("flush", "--noinput", "--database", "old", **after).exit_code == 1
        assert manage_everywhere("flush", "--noinput", "--database", "older", **after).exit_code == 2
        assert manage_everywhere("switchdb", "old", **after).exit_code == 1, "it is not empty"
        assert manage_everywhere("flush", "--noinput").exit_code == 0
        refusal = manage_everywhere("switchdb", "old", **after)
        assert refusal.exit_code == 1, "its audit trail is its own"
        assert "is not empty: table audit_" in refusal.stderr

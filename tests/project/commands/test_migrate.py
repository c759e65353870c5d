"""`manage.py migrate`."""

import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.trees import ROOT, Tree

NAMES = migrations.history()

TUTORIAL = """
CREATE TABLE students (id INTEGER NOT NULL, name VARCHAR, department VARCHAR, cgpa FLOAT, PRIMARY KEY (id));
INSERT INTO students VALUES (7, 'Ananya', 'CSE', 8.9);
"""


def applied(manage: Manage) -> list[str]:
    return re.findall(r"^\[X\] (\w+)$", manage("showmigrations").stdout, re.MULTILINE)


class TestMigrate:
    def test_applies_all_that_is_pending_in_order(self, manage_everywhere: Manage) -> None:
        result = manage_everywhere("migrate")
        assert result.exit_code == 0
        assert result.stdout == "".join(f"Applied {name}\n" for name in NAMES)
        assert applied(manage_everywhere) == list(NAMES)

    def test_does_nothing_twice(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        result = manage_everywhere("migrate")
        assert result.exit_code == 0
        assert result.stdout == "Nothing to migrate.\n"

    @pytest.mark.parametrize("revision", [NAMES[0], "1", "0001", "0001_idem"])
    def test_goes_forward_and_back_to_a_number_or_a_name(self, manage_everywhere: Manage, revision: str) -> None:
        assert manage_everywhere("migrate", revision).stdout == f"Applied {NAMES[0]}\n"
        manage_everywhere("migrate", "latest")
        assert manage_everywhere("migrate", revision).stdout == "".join(
            f"Took back {name}\n" for name in reversed(NAMES[1:])
        )
        assert applied(manage_everywhere) == [NAMES[0]]

    @pytest.mark.parametrize("zero", ["zero", "base"])
    def test_takes_back_everything(self, manage_everywhere: Manage, zero: str) -> None:
        manage_everywhere("migrate")
        assert manage_everywhere("migrate", zero).exit_code == 0
        assert applied(manage_everywhere) == []
        assert manage_everywhere("migrate").exit_code == 0

    @pytest.mark.parametrize("revision", ["9999", "nonsense", "", "0001_idempotency_keys_"])
    def test_refuses_a_revision_that_is_not_one(self, manage_everywhere: Manage, revision: str) -> None:
        result = manage_everywhere("migrate", revision)
        assert result.exit_code == 1
        assert (
            result.stderr == f"Error: {revision} names no migration, or more than one: `showmigrations` lists them.\n"
        )
        assert applied(manage_everywhere) == []

    def test_says_that_the_database_is_newer(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        manage_everywhere(
            "shell", "-c",
            "import sqlalchemy as sa\n"
            "await session.execute(sa.text(\"UPDATE alembic_version SET version_num = '9999_later'\"))\n"
            "await session.commit()",
        )  # fmt: skip
        try:
            for command in ("migrate", "showmigrations", "flush"):
                result = manage_everywhere(command)
                assert result.exit_code == 1
                assert "9999_later" in result.stderr
                assert "newer version" in result.stderr
        finally:
            manage_everywhere(
                "shell", "-c",
                "import sqlalchemy as sa\n"
                f"await session.execute(sa.text(\"UPDATE alembic_version SET version_num = '{NAMES[-1]}'\"))\n"
                "await session.commit()",
            )  # fmt: skip

    def test_many_at_once_apply_each_migration_once(self, manage_everywhere: Manage, database_url: str) -> None:
        processes = [
            subprocess.Popen(
                [sys.executable, "manage.py", "migrate"],
                cwd=ROOT, env={"DATABASE_URL": database_url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(4)
        ]  # fmt: skip
        outputs = [process.communicate() for process in processes]
        assert [process.returncode for process in processes] == [0] * 4, outputs
        assert sorted(re.findall(r"Applied (\w+)", "".join(out for out, _ in outputs))) == list(NAMES)
        assert manage_everywhere("check").stdout == "Nothing found.\n"


class TestMigrateOnStrangeFiles:
    def test_refuses_what_is_no_database(self, manage: Manage, tmp_path: Path) -> None:
        file = tmp_path / "notes.txt"
        file.write_text("Ananya owes me a book. " * 1000)
        result = manage("migrate", DATABASE_URL=f"sqlite:///{file}")
        assert result.exit_code == 1
        assert result.stderr == "Error: The database file is not an SQLite database.\n"
        assert file.read_text() == "Ananya owes me a book. " * 1000

    def test_refuses_a_folder(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("migrate", DATABASE_URL=f"sqlite:///{tmp_path}")
        assert result.exit_code == 1
        assert re.fullmatch(r"Error: [^\n]+\.\n", result.stderr)

    def test_leaves_the_tutorials_file_alone_and_says_how_to_bring_it_in(self, manage: Manage, tmp_path: Path) -> None:
        file = tmp_path / "students.db"
        with sqlite3.connect(file) as connection:
            connection.executescript(TUTORIAL)
        connection.close()
        result = manage("migrate", DATABASE_URL=f"sqlite:///{file}")
        assert result.exit_code == 1
        assert "students (id, name, department, cgpa)" in result.stderr
        assert f"loaddata {file}" in result.stderr
        connection = sqlite3.connect(file)
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("students",)]
        assert connection.execute("SELECT * FROM students").fetchall() == [(7, "Ananya", "CSE", 8.9)]
        connection.close()

    def test_works_beside_tables_of_others(self, manage: Manage, tmp_path: Path) -> None:
        file = tmp_path / "shared.sqlite3"
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE recipes (title TEXT)")
        connection.close()
        assert manage("migrate", DATABASE_URL=f"sqlite:///{file}").exit_code == 0
        assert manage("check", DATABASE_URL=f"sqlite:///{file}").stdout == "Nothing found.\n"


BROKEN = '''
"""Goes wrong in its middle."""

import sqlalchemy as sa
from alembic import op

revision = "0099_broken"
down_revision = "{before}"


def upgrade() -> None:
    op.create_table("clubs", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("UPDATE students SET name = 'gone'")
    {then}


def downgrade() -> None:
    op.drop_table("clubs")
'''


class TestMigrationThatFails:
    @pytest.fixture
    def filled(self, tree: Tree) -> Tree:
        tree.managed("migrate")
        tree.managed(
            "shell", "-c",
            "import datetime as dt\n"
            "now = dt.datetime.now(dt.UTC)\n"
            "session.add(Student(name='Ananya', department='CSE', cgpa=8.9, created_at=now, updated_at=now))\n"
            "await session.commit()",
        )  # fmt: skip
        return tree

    def write(self, tree: Tree, then: str) -> None:
        (tree / "migrations/versions/0099_broken.py").write_text(BROKEN.format(before=NAMES[-1], then=then))

    @pytest.mark.parametrize(
        ("then", "reason"),
        [
            ("op.execute('NONSENSE')", r'near "NONSENSE": syntax error \(0099_broken.py, line 14\)'),
            ("raise KeyError('cgpa')", r"KeyError: 'cgpa' \(0099_broken.py, line 14\)"),
        ],
    )
    def test_is_a_sentence_and_leaves_nothing(self, filled: Tree, then: str, reason: str) -> None:
        self.write(filled, then)
        result = filled.manage("migrate")
        assert result.returncode == 1
        assert re.fullmatch(
            rf"Error: 0099_broken cannot be applied, nothing of it was kept: {reason}\.\n", result.stderr
        )
        (filled / "migrations/versions/0099_broken.py").unlink()
        assert filled.managed("check") == "Nothing found.\n"
        assert filled.managed("shell", "-c", "print((await session.get(Student, 1)).name)") == "Ananya\n"

    @pytest.mark.engines("postgresql", "mariadb")
    def test_says_what_stays_of_it(self, tree: Tree, manage_everywhere: Manage, database_url: str, engine: str) -> None:
        manage_everywhere("migrate")
        self.write(tree, "op.execute('NONSENSE')")
        result = tree.manage("migrate", DATABASE_URL=database_url)
        assert result.returncode == 1
        stays = "nothing of it was kept" if engine == "postgresql" else "MySQL/MariaDB keeps what it had done"
        assert result.stderr.startswith(f"Error: 0099_broken cannot be applied, {stays}: ")
        assert result.stderr.endswith("(0099_broken.py, line 14).\n")
        assert result.stderr.count("\n") == 1
        look = "import sqlalchemy as sa\nhas_table = lambda s: sa.inspect(s.connection()).has_table('clubs')\n"
        look += "print(await session.run_sync(has_table))"
        assert manage_everywhere("shell", "-c", look).stdout == f"{engine != 'postgresql'}\n"

    def test_leaves_nothing_when_it_is_killed(self, filled: Tree) -> None:
        self.write(filled, "import os; os.kill(os.getpid(), 9)")
        assert filled.manage("migrate").returncode == -9
        (filled / "migrations/versions/0099_broken.py").unlink()
        assert filled.managed("check") == "Nothing found.\n"
        assert filled.managed("shell", "-c", "print((await session.get(Student, 1)).name)") == "Ananya\n"

    def test_may_not_leave_a_reference_to_nothing(self, filled: Tree) -> None:
        self.write(
            filled,
            "op.execute('CREATE TABLE members (student INTEGER REFERENCES students (id))'); "
            "op.execute('INSERT INTO members VALUES (99)')",
        )
        result = filled.manage("migrate")
        assert result.returncode == 1
        assert result.stderr == "Error: A row of members would refer to one of students that is not there.\n"
        (filled / "migrations/versions/0099_broken.py").unlink()
        assert filled.managed("check") == "Nothing found.\n"

    def test_that_cannot_be_read_is_a_sentence(self, tree: Tree) -> None:
        self.write(tree, "def")
        result = tree.manage("migrate")
        assert result.returncode == 1
        assert re.fullmatch(r"Error: The migrations cannot be used: SyntaxError: [^\n]+\.\n", result.stderr)

    def test_two_after_the_same_one_are_a_sentence(self, tree: Tree) -> None:
        for name in ("0098_clubs", "0099_broken"):
            self.write(tree, "pass")
            file = tree / "migrations/versions/0099_broken.py"
            file.rename(tree / f"migrations/versions/{name}.py").write_text(
                BROKEN.format(before=NAMES[-1], then="pass").replace("0099_broken", name)
            )
        result = tree.manage("migrate")
        assert result.returncode == 1
        assert "0098_clubs and 0099_broken follow the same one" in result.stderr

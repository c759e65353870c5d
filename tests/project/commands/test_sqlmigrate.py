"""`manage.py sqlmigrate`."""

import sqlite3
from pathlib import Path

import pytest

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.trees import Tree

ALL = migrations.history()


class TestSqlMigrate:
    @pytest.mark.parametrize("name", ALL)
    def test_prints_both_directions_and_changes_nothing(self, manage_everywhere: Manage, name: str) -> None:
        forward = manage_everywhere("sqlmigrate", name)
        assert forward.exit_code == 0
        assert "CREATE TABLE" in forward.stdout
        assert "DROP TABLE" not in forward.stdout
        back = manage_everywhere("sqlmigrate", name, "--backwards")
        assert back.exit_code == 0
        assert "DROP TABLE" in back.stdout
        assert "[X]" not in manage_everywhere("showmigrations").stdout

    def test_is_the_sql_that_makes_the_tables(self, manage: Manage, tmp_path: Path) -> None:
        connection = sqlite3.connect(tmp_path / "by_hand.sqlite3")
        url = f"sqlite:///{tmp_path / 'by_hand.sqlite3'}"
        for name in ALL:
            connection.executescript(manage("sqlmigrate", name, DATABASE_URL=url).stdout)
        connection.close()
        assert manage("check", DATABASE_URL=url).stdout == "Nothing found.\n"

    def test_needs_no_connection(self, manage: Manage) -> None:
        result = manage("sqlmigrate", "1", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
        assert result.exit_code == 0
        assert "CREATE TABLE" in result.stdout

    @pytest.mark.parametrize("revision", ["zero", "9999"])
    def test_refuses_what_is_no_migration(self, manage: Manage, revision: str) -> None:
        result = manage("sqlmigrate", revision)
        assert result.exit_code == 1
        assert "`showmigrations` lists them" in result.stderr

    def test_says_what_cannot_be_written_as_text(self, tree: Tree) -> None:
        tree.edit(
            "apps/students/models.py",
            "Mapped[str] = mapped_column(Text(100))",
            "Mapped[str] = mapped_column(Text(150))",
        )
        tree.managed("makemigrations", "-m", "longer")
        result = tree.manage("sqlmigrate", f"{len(ALL) + 1}")
        assert result.returncode == 1
        assert result.stderr.startswith("Error: The migrations cannot be used: ")
        assert result.stderr.count("\n") == 1

"""`manage.py databases`."""

import re
import sys
from pathlib import Path

import pytest

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.project.commands.test_flush import CREATE, created
from tests.terminals import terminal
from tests.trees import ROOT


def table(manage: Manage, **environment: str) -> dict[str, dict[str, str]]:
    """The rows by alias."""
    result = manage("databases", **environment)
    assert result.exit_code == 0
    headings, *rows = [line.split("\t") for line in result.stdout.splitlines()]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in rows}


class TestDatabases:
    def test_says_what_the_active_one_is(self, manage_everywhere: Manage, engine: str) -> None:
        manage_everywhere("migrate")
        manage_everywhere("flush", "--noinput")
        created(manage_everywhere)
        row = table(manage_everywhere)["default"]
        assert engine in row["engine"].lower()
        assert re.search(r"\d+\.\d+", row["version"])
        del row["engine"], row["version"]
        assert row == {"alias": "default", "reachable": "yes", "migrated": "yes", "rows": "3", "active": "yes"}

    def test_says_why_another_is_not_ready(self, manage: Manage, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("Ananya owes me a book. " * 1000)
        rows = table(
            manage,
            DATABASE_URL_NEW=f"sqlite:///{tmp_path}/new.sqlite3",
            DATABASE_URL_NOTES=f"sqlite:///{tmp_path}/notes.txt",
            DATABASE_URL_AWAY="postgresql://registrar:secret-word@127.0.0.1:1/registrar",
            DATABASE_URL_ODD="oracle://host/name",
        )
        assert rows.keys() == {"default", "new", "notes", "away", "odd"}
        assert rows["default"]["active"] == "yes"
        assert not any(rows[alias]["active"] for alias in rows.keys() - {"default"})
        for alias in rows:
            assert rows[alias]["reachable"].startswith("no: ")
        assert "not an SQLite database" in rows["notes"]["reachable"]
        assert "secret-word" not in str(rows)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]

    def test_says_where_the_service_has_moved_and_how_long_the_way_back_has_become(
        self, manage: Manage, tmp_path: Path
    ) -> None:
        elsewhere = {"DATABASE_URL_NEW": f"sqlite:///{tmp_path}/new.sqlite3"}
        manage("migrate")
        assert manage("switchdb", "new", **elsewhere).exit_code == 0
        assert {alias: row["active"] for alias, row in table(manage, **elsewhere).items()} == {
            "default": "",
            "new": "yes",
        }
        assert manage("shell", "-c", CREATE, **elsewhere).exit_code == 0
        # Three students, and what the audit trail says of each.
        sentence = "The way back to default is open, and its log has grown to 6 changes"
        assert f"new: {sentence}" in manage("databases", **elsewhere).stderr
        checked = manage("check", **elsewhere)
        assert checked.exit_code == 1
        assert sentence in checked.stdout
        assert manage("switchdb", "--complete", **elsewhere).exit_code == 0
        assert manage("databases", **elsewhere).stderr == ""
        [finding] = manage("check", **elsewhere).stdout.splitlines()
        assert "give DATABASE_URL the URL of new" in finding

    @pytest.mark.parametrize("revision", ["zero", "1"])
    def test_counts_the_migrations_that_are_missing(self, manage: Manage, revision: str) -> None:
        manage("migrate")
        manage("migrate", revision)
        missing = len(migrations.history()) - (revision != "zero")
        assert table(manage)["default"]["migrated"] == f"no: {missing} to go"

    def test_draws_a_table_on_a_terminal_only(self, manage: Manage, tmp_path: Path) -> None:
        command = [sys.executable, "manage.py", "databases"]
        with terminal(command, ROOT, {"DATABASE_URL": f"sqlite:///{tmp_path}/registrar.sqlite3"}) as screen:
            assert re.search(r"│ default +│ SQLite +│", screen.rest())
        assert "│" not in manage("databases").stdout

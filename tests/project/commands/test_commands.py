"""`manage.py` itself: how commands are found, listed, and how they fail."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.commands.conftest import Manage
from tests.trees import ROOT, Tree

COMMANDS = sorted(path.stem for path in (ROOT / "project/commands").glob("[!_]*.py"))

HEAVY = {"litestar", "sqlalchemy", "alembic", "advanced_alchemy", "rich", "msgspec", "uvicorn"}


class TestHelp:
    def test_lists_every_command_under_a_heading(self, manage: Manage) -> None:
        listing = manage("--help").stdout
        for name in COMMANDS:
            assert re.search(rf"^  {name}  +\w", listing, re.MULTILINE), f"{name} has no line"
        assert "Others:" not in listing

    def test_is_what_no_command_gets(self, manage: Manage) -> None:
        bare = manage()
        assert bare.exit_code == 0
        assert bare.stdout == manage("--help").stdout == manage("-h").stdout

    def test_imports_nothing_heavy(self) -> None:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "manage.py", "--help"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        imported = set(re.findall(r"\|\s+([\w.]+)$", done.stderr, re.MULTILINE))
        assert "click" in imported
        assert not {name.partition(".")[0] for name in imported} & HEAVY

    @pytest.mark.parametrize("name", COMMANDS)
    def test_explains_each_command(self, manage: Manage, name: str) -> None:
        result = manage(name, "--help")
        assert result.exit_code == 0
        assert f"{name} " in result.stdout


class TestFailures:
    def test_unknown_command_is_a_usage_error_that_suggests_the_nearest(self, manage: Manage) -> None:
        result = manage("migrat")
        assert result.exit_code == 2
        assert "No such command 'migrat'" in result.stderr
        assert "migrate" in result.stderr.partition("No such command 'migrat'")[2]

    def test_unknown_option_is_a_usage_error(self, manage: Manage) -> None:
        assert manage("migrate", "--sideways").exit_code == 2

    @pytest.mark.parametrize(
        ("variable", "value"),
        [("DEBUG", "perhaps"), ("DATABASE_URL", "oracle://host/name"), ("DATABASE_POOL_SIZE", "many")],
    )
    def test_setting_that_cannot_be_used_is_a_sentence(self, manage: Manage, variable: str, value: str) -> None:
        result = manage("migrate", **{variable: value})
        assert result.exit_code == 1
        assert result.stdout == ""
        assert re.fullmatch(r"Error: [^\n]+\.\n", result.stderr)

    def test_unreachable_database_is_a_sentence_without_the_password(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("migrate", DATABASE_URL=f"sqlite:///{tmp_path}/no/such/folder/x.sqlite3")
        assert result.exit_code == 1
        assert re.fullmatch(r"Error: [^\n]+\.\n", result.stderr)

    def test_file_that_cannot_be_written_is_a_sentence(self, manage: Manage) -> None:
        result = manage("generateclient", "python", "/dev/null/client")
        assert (result.exit_code, result.stderr) == (1, "Error: /dev/null: File exists.\n")

    @pytest.mark.parametrize("arguments", [(), ("--help",), ("routes",)])
    def test_output_that_cannot_be_written_is_a_sentence(self, arguments: tuple[str, ...]) -> None:
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env={**os.environ, "PYTHONUNBUFFERED": ""},
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        said = "Error: Standard output cannot be written: No space left on device.\n"
        assert (done.returncode, done.stderr) == (1, said)

    def test_output_that_nobody_reads_to_its_end_ends_quietly(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = subprocess.run(
                [sys.executable, "manage.py", "routes"],
                cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (1, "")

    def test_ctrl_c_ends_quietly_with_130(self, database_url: str) -> None:
        waiting = "import asyncio; print('waiting', flush=True); await asyncio.Event().wait()"
        with subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-c", waiting],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate()[1].strip() == ""
        assert process.returncode == 130


class TestAppCommands:
    COMMAND = '''
import click

GROUP = "Registrar's office"


@click.command()
def {name}() -> None:
    """Say {name} from an app."""
    click.echo("from an app")
'''

    def test_stand_beside_the_projects_own(self, tree: Tree) -> None:
        (tree / "apps/students/commands").mkdir()
        (tree / "apps/students/commands/enrol.py").write_text(self.COMMAND.format(name="enrol"))
        listing = tree.managed("--help")
        assert re.search(r"Registrar's office:\n  enrol +Say enrol from an app\n", listing)
        assert tree.managed("enrol") == "from an app\n"

    def test_stand_in_for_the_projects_own(self, tree: Tree) -> None:
        (tree / "apps/students/commands").mkdir()
        (tree / "apps/students/commands/routes.py").write_text(self.COMMAND.format(name="routes"))
        assert tree.managed("routes") == "from an app\n"

    def test_of_apps_that_are_not_installed_are_not_there(self, tree: Tree) -> None:
        (tree / "apps/clubs/commands").mkdir(parents=True)
        (tree / "apps/clubs/commands/enrol.py").write_text(self.COMMAND.format(name="enrol"))
        assert tree.manage("enrol").returncode == 2

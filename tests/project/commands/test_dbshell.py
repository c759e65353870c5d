"""`manage.py dbshell`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.project.commands.conftest import Manage
from tests.requirements import missing
from tests.trees import ROOT

CLIENTS = {"sqlite": "sqlite3", "postgresql": "psql", "mariadb": "mariadb"}
COUNT = {
    "sqlite": ["select 6 * 7, count(*) from students"],
    "postgresql": ["-c", "select 6 * 7, count(*) from students"],
    "mariadb": ["-e", "select 6 * 7, count(*) from students"],
}


class TestDbShell:
    def test_is_the_databases_own_client(self, manage_everywhere: Manage, database_url: str, engine: str) -> None:
        if shutil.which(CLIENTS.get(engine, "mysql")) is None:
            missing(f"The client of {engine}", "install it, so that it is on PATH")
        manage_everywhere("migrate")
        done = subprocess.run(
            [sys.executable, "manage.py", "dbshell", *COUNT.get(engine, COUNT["mariadb"])],
            cwd=ROOT, env={**os.environ, "DATABASE_URL": database_url}, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "42" in done.stdout

    def test_says_what_brings_a_client_that_is_not_there(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("dbshell", PATH=str(tmp_path))
        assert result.exit_code == 1
        assert result.stderr == "Error: sqlite3 is not installed: the package sqlite3 brings it.\n"

"""The command line, in this process, on a database where nothing is migrated yet."""

from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from project.commands import cli
from tests.trees import Tree


class Manage(Protocol):
    """`manage.py` with these arguments; `input` is what is typed, `environment` goes over the settings."""

    def __call__(self, *arguments: str, input: str = "", **environment: str) -> Result: ...  # noqa: A002


@pytest.fixture
def manage(tmp_path: Path) -> Manage:
    """On the embedded database, whose file is not there yet."""
    return _manage(f"sqlite:///{tmp_path / 'registrar.sqlite3'}")


@pytest.fixture
def manage_everywhere(database_url: str) -> Manage:
    """On every engine."""
    manage = _manage(database_url)
    assert manage("migrate", "zero").exit_code == 0
    return manage


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def _manage(database_url: str) -> Manage:
    def run(*arguments: str, input: str = "", **environment: str) -> Result:  # noqa: A002
        runner = CliRunner(env={"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING", **environment})
        result = runner.invoke(cli, arguments, input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run

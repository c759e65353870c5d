"""The command line, in this process: on a database of the test's own, where nothing is migrated yet."""

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
def manage(database_url: str) -> Manage:
    def run(*arguments: str, input: str = "", **environment: str) -> Result:  # noqa: A002
        runner = CliRunner(env={"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING", **environment})
        result = runner.invoke(cli, arguments, input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    assert run("migrate", "zero").exit_code == 0
    return run


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)

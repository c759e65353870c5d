"""The command line in this process, on databases of the test's own."""

import json
from typing import Any

from click.testing import CliRunner, Result

from project.commands import cli


def manage(database_url: str, *arguments: str, **environment: str) -> Result:
    """`manage.py` with these arguments; `environment` goes over the settings."""
    runner = CliRunner(env={"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING", **environment})
    result = runner.invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def managed(database_url: str, *arguments: str, **environment: str) -> str:
    """What a command prints that must not fail."""
    result = manage(database_url, *arguments, **environment)
    assert result.exit_code == 0, result.output
    return result.stdout


def report(result: Result) -> Any:
    """The one JSON object that it prints."""
    return json.loads(result.stdout)

"""Clients as packages, generated once."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from project.clients.typescript import GENERATOR
from project.commands import cli
from project.openapi.contract import COMMITTED
from tests.toolchains import node_modules


def generate(language: str, folder: Path, *options: str) -> Path:
    result = CliRunner().invoke(cli, ["generateclient", language, str(folder), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="session")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate("python", tmp_path_factory.mktemp("clients") / "python")


@pytest.fixture(scope="session")
def typescript_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node_modules(GENERATOR)
    return generate("typescript", tmp_path_factory.mktemp("clients") / "typescript")


@pytest.fixture(scope="session")
def document() -> Path:
    """What generators of other people are given."""
    return COMMITTED

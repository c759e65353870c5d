"""What the README says of clients, as it stands there."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from project.clients.typescript import GENERATOR
from tests.commands import managed
from tests.processes import ROOT, Service, running
from tests.requirements import missing
from tests.toolchains import node_modules, run
from tests.trees import Tree

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('readme') / 'registrar.sqlite3'}"
    managed(url, "migrate")
    return url


@pytest.fixture(scope="module")
def service(database_url: str) -> Iterator[Service]:
    """With a student."""
    with running(database_url) as service:
        httpx.post(f"{service.url}/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9})
        yield service


@pytest.fixture(scope="module")
def token(database_url: str, service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the block leaves that comes before the others."""
    tree = Tree(tmp_path_factory.mktemp("token"))
    block = f"{commands('SUPERUSER_PASSWORD', service)}\necho $TOKEN"
    return run("bash", "-c", block, cwd=tree.root, DATABASE_URL=database_url).splitlines()[-1]


def commands(beginning: str, service: Service) -> str:
    """A block of commands, for a service elsewhere and the Python that runs this."""
    (found,) = re.findall(rf"```sh\n({re.escape(beginning)}.*?)```", README, re.DOTALL)
    return f"set -e\n{found}".replace("http://127.0.0.1:8000", service.url).replace(
        "uv run manage.py", f"{sys.executable} manage.py"
    )


class TestClients:
    def test_print_a_list_in_python(self, service: Service, token: str, tmp_path: Path) -> None:
        if shutil.which("uv") is None:
            missing("uv", "pip install uv")
        block = commands("uv run manage.py generateclient python", service)
        assert run("bash", "-c", block, cwd=Tree(tmp_path).root, TOKEN=token).endswith("\nAnanya CSE 8.9\n")

    def test_print_a_list_in_typescript(self, service: Service, token: str, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        (tree / "project/clients/generator/node_modules").symlink_to(node_modules(GENERATOR))
        block = commands("uv run manage.py generateclient typescript", service)
        assert run("bash", "-c", block, cwd=tree.root, TOKEN=token).endswith("\nAnanya CSE 8.9\n")

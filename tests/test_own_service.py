"""The project as somebody's own start: students go, something else comes."""

import shutil
from pathlib import Path

import httpx
import pytest

from tests.processes import running
from tests.trees import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.uninstall("students")
    return tree


class TestWithoutStudents:
    def test_commands_stand(self, tree: Tree) -> None:
        assert "runserver" in tree.managed("--help")
        assert tree.managed("makemigrations", "--check") == "The migrations are what the models need.\n"
        tree.managed("migrate")
        assert tree.managed("check") == "Nothing found.\n"
        routes = tree.managed("routes")
        assert "\t/health/ready\t" in routes
        assert "students" not in routes.lower()
        assert "\tyes\t0\tyes\n" in tree.managed("databases")
        assert "Deleted 0 of idempotency_keys\n" in tree.managed("flush", "--noinput")
        assert tree.managed("dumpdata") == ""
        assert tree.managed("openapi").startswith("{")
        assert tree.managed("shell", "-c", "print(settings.installed_apps)") == "('accounts',)\n"

    def test_service_stands(self, tree: Tree) -> None:
        with running(f"sqlite:///{tree / 'registrar.sqlite3'}", root=tree.root) as service:
            for path in ("/health/live", "/health/ready", "/docs", "/openapi.json", "/metrics", "/problems/not-found"):
                assert httpx.get(f"{service.url}{path}").status_code == 200, path
            assert httpx.get(f"{service.url}/students").status_code == 404

    def test_history_starts_anew(self, tree: Tree) -> None:
        shutil.rmtree(tree / "migrations/versions")
        assert "  create table idempotency_keys\n" in tree.managed("makemigrations", "-m", "first")
        assert tree.managed("migrate") == "Applied 0001_first\n"
        assert tree.managed("check") == "Nothing found.\n"

    def test_another_app_takes_its_place(self, tree: Tree) -> None:
        printed = tree.managed("startapp", "courses", "--model", "Course")
        line = next(line.strip() for line in printed.splitlines() if "INSTALLED_APPS" in line)
        tree.edit("project/settings.py", 'INSTALLED_APPS: tuple[str, ...] = ("accounts",)', line)
        tree.managed("makemigrations", "--check")
        with running(f"sqlite:///{tree / 'registrar.sqlite3'}", root=tree.root) as service:
            created = httpx.post(f"{service.url}/courses", json={"name": "Algebra"})
            assert created.status_code == 201
            assert httpx.get(f"{service.url}{created.headers['location']}").json() == created.json()
            [entry] = httpx.get(f"{service.url}/audit?record=courses.course").json()["items"]
            assert (entry["action"], entry["key"]) == ("create", str(created.json()["id"]))
        done = tree.manage("test", "tests/apps", "-q", "-k", "sqlite")
        assert done.returncode == 0, done.stdout

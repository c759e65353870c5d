"""`manage.py generateclient`. What its clients do is tried in tests/project/clients."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.project.commands.conftest import Manage
from tests.requirements import missing
from tests.toolchains import run
from tests.trees import Tree


class TestGenerateClient:
    def test_replaces_a_folder_only_when_it_is_told_to(self, manage: Manage, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "client"
        assert manage("generateclient", "python", str(folder)).exit_code == 0
        (folder / "mine.txt").write_text("mine")
        refused = manage("generateclient", "python", str(folder))
        assert refused.exit_code == 1
        assert "--overwrite" in refused.stderr
        assert (folder / "mine.txt").exists()
        done = manage("generateclient", "python", str(folder), "--overwrite", "--name=other-client")
        assert done.stdout == f"Wrote {folder}: its README says how to use it.\n"
        assert {path.name for path in folder.iterdir()} == {"README.md", "LICENSE", "pyproject.toml", "other_client"}
        assert [path.name for path in folder.parent.iterdir()] == ["client"]

    def test_fills_the_folder_that_it_is_run_in(
        self, manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert manage("generateclient", "python", ".").stdout == "Wrote .: its README says how to use it.\n"
        assert Path("README.md").exists()

    def test_fills_the_folder_that_a_link_leads_to(self, manage: Manage, tmp_path: Path) -> None:
        folder, link = tmp_path / "folder", tmp_path / "link"
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
        link.symlink_to(folder)
        assert manage("generateclient", "python", str(link)).exit_code == 1
        assert manage("generateclient", "python", str(link), "--overwrite").exit_code == 0
        assert link.is_symlink()
        assert (folder / "README.md").exists()
        assert not (folder / "mine.txt").exists()

    @pytest.mark.parametrize("options", [(), ("--overwrite",)])
    def test_refuses_what_is_no_folder(self, manage: Manage, tmp_path: Path, options: tuple[str, ...]) -> None:
        (tmp_path / "client").write_text("mine")
        for name in (str(tmp_path / "client"), "/"):
            result = manage("generateclient", "python", name, *options)
            assert result.exit_code == 1
            assert result.stderr == f"Error: {name} is no folder that a client can be written to: name another.\n"
        assert (tmp_path / "client").read_text() == "mine"

    @pytest.mark.parametrize("language", ["python", "typescript"])
    def test_refuses_a_name_that_is_none(self, manage: Manage, tmp_path: Path, language: str) -> None:
        result = manage("generateclient", language, str(tmp_path / "client"), "--name=9 Lives!")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: 9 Lives! is no name for ")
        assert list(tmp_path.iterdir()) == []

    def test_says_that_node_is_missing(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("generateclient", "typescript", str(tmp_path / "client"), PATH=str(tmp_path))
        assert result.exit_code == 1
        assert re.fullmatch(r"Error: Node.js is missing.* install version 20\.19 or newer.*\n", result.stderr)
        assert list(tmp_path.iterdir()) == []

    def test_says_that_node_is_too_old(self, manage: Manage, tmp_path: Path) -> None:
        for name in ("node", "npm"):
            (tmp_path / name).write_text("#!/bin/sh\necho v18.20.4\n")
            (tmp_path / name).chmod(0o755)
        result = manage("generateclient", "typescript", str(tmp_path / "client"), PATH=f"{tmp_path}:/usr/bin:/bin")
        assert result.exit_code == 1
        assert result.stderr == "Error: Node.js is v18.20.4, which is too old: install version 20.19 or newer.\n"

    def test_knows_two_languages(self, manage: Manage, tmp_path: Path) -> None:
        assert manage("generateclient", "cobol", str(tmp_path / "client")).exit_code == 2


class TestPythonPackage:
    def test_is_ready_to_be_published(self, manage: Manage, tmp_path: Path) -> None:
        uv = shutil.which("uv")
        if uv is None:
            missing("uv", "pip install uv")
        assert manage("generateclient", "python", str(tmp_path / "client")).exit_code == 0
        metadata = tomllib.loads((tmp_path / "client" / "pyproject.toml").read_text())["project"]
        assert (metadata["name"], metadata["version"], metadata["license"]) == ("registrar-client", "1.0.0", "MIT")
        run(uv, "build", "--quiet", "--wheel", "--out-dir", tmp_path / "dist", tmp_path / "client")
        (wheel,) = (tmp_path / "dist").glob("*.whl")
        names = set(zipfile.ZipFile(wheel).namelist())
        assert {"registrar_client/py.typed", "registrar_client/retries.py"} <= names
        assert any(name.endswith("/licenses/LICENSE") for name in names)


class TestTypeScriptPackage:
    def test_is_ready_to_be_published(self, typescript_client: Path) -> None:
        listed = run("npm", "pack", "--dry-run", "--json", cwd=typescript_client)
        for name in ("LICENSE", "README.md", "package.json", "dist/index.js", "dist/index.d.ts", "dist/pagination.js"):
            assert f'"{name}"' in listed


class TestAppOfOthers:
    def test_has_clients_too(self, tree: Tree) -> None:
        tree.uninstall("students")
        tree.install(tree.managed("startapp", "courses", "--model", "Course"))
        tree.managed("generateclient", "python", "client")
        subprocess.run([sys.executable, "-m", "mypy", "--strict", "registrar_client"], cwd=tree / "client", check=True)
        readme = (tree / "client" / "README.md").read_text()
        assert "list_courses.iterate(client=client, limit=100)" in readme
        assert 'CourseCreate(name="An example")' in readme

    def test_may_be_missing(self, tree: Tree) -> None:
        tree.uninstall("students")
        tree.uninstall("accounts")
        tree.managed("generateclient", "python", "client")
        readme = (tree / "client" / "README.md").read_text()
        assert "list_audit_entries.iterate(client=client, limit=100)" in readme
        assert "Creating" not in readme

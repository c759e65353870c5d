"""`manage.py openapi`."""

from pathlib import Path

import msgspec
import pytest

from tests.project.commands.conftest import Manage
from tests.trees import Tree

COMMITTED = "project/docs/openapi.json"


class TestOpenapi:
    def test_prints_the_description_as_json(self, manage: Manage) -> None:
        result = manage("openapi")
        assert result.exit_code == 0
        assert msgspec.json.decode(result.stdout)["openapi"].startswith("3.1")
        assert manage("openapi", "--format=json").stdout == result.stdout

    def test_prints_the_same_as_yaml(self, manage: Manage) -> None:
        as_yaml = manage("openapi", "--format=yaml").stdout
        assert as_yaml.startswith("openapi: 3.1")
        assert msgspec.yaml.decode(as_yaml) == msgspec.json.decode(manage("openapi").stdout)

    @pytest.mark.parametrize("name", ["api.json", "api.yaml", "api.yml", "api"])
    def test_writes_a_file_in_the_format_of_its_name(self, manage: Manage, tmp_path: Path, name: str) -> None:
        form = "yaml" if name.endswith(("yaml", "yml")) else "json"
        result = manage("openapi", "--output", str(tmp_path / name))
        assert result.exit_code == 0
        assert result.stdout == f"Wrote {tmp_path / name}.\n"
        assert (tmp_path / name).read_text() == manage("openapi", f"--format={form}").stdout

    def test_writes_the_format_that_is_asked_for(self, manage: Manage, tmp_path: Path) -> None:
        manage("openapi", "--format=yaml", "--output", str(tmp_path / "api.json"))
        assert (tmp_path / "api.json").read_text() == manage("openapi", "--format=yaml").stdout

    def test_says_where_it_cannot_write(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("openapi", "--output", str(tmp_path / "nowhere" / "api.json"))
        assert result.exit_code == 1
        assert (
            result.stderr
            == f"Error: {tmp_path / 'nowhere' / 'api.json'} cannot be written: No such file or directory.\n"
        )

    def test_needs_no_database(self, manage: Manage) -> None:
        result = manage("openapi", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
        assert result.exit_code == 0
        assert result.stdout == manage("openapi").stdout

    def test_is_the_same_in_every_process(self, tree: Tree) -> None:
        assert len({tree.managed("openapi", PYTHONHASHSEED=seed) for seed in "12"}) == 1


class TestCheck:
    def test_finds_what_was_written_up_to_date(self, tree: Tree) -> None:
        tree.managed("openapi", "--output", COMMITTED)
        assert tree.managed("openapi", "--check") == f"{COMMITTED} describes the API as it is.\n"

    def test_finds_it_stale_when_the_code_has_moved_on(self, tree: Tree) -> None:
        tree.managed("openapi", "--output", COMMITTED)
        tree.edit("project/health.py", 'operation_id="getLiveness"', 'operation_id="isAlive"')
        result = tree.manage("openapi", "--check")
        assert result.returncode == 1
        assert f"{COMMITTED} is stale: " in result.stderr
        assert f"`python manage.py openapi --output {COMMITTED}`" in result.stderr

    def test_finds_that_it_was_never_written(self, tree: Tree) -> None:
        (tree / COMMITTED).unlink(missing_ok=True)
        assert tree.manage("openapi", "--check").returncode == 1

    @pytest.mark.parametrize("option", ["--format=json", "--output=api.json"])
    def test_takes_no_other_option(self, manage: Manage, option: str) -> None:
        result = manage("openapi", "--check", option)
        assert result.exit_code == 2
        assert "leave out --format and --output" in result.stderr

"""`manage.py openapi`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.edits import BREAKING, COMPATIBLE, Edit
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
        tree.edit("project/health.py", "Ask whether the service runs.", "Ask whether it runs.")
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


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Described as it is. Its modules are compiled, and an edited one is not compiled for good."""
    tree = Tree(tmp_path_factory.mktemp("contract"))
    tree.managed("openapi", "--output", COMMITTED)
    return tree


@pytest.fixture
def edited(shared_tree: Tree) -> Iterator[Callable[[Edit], Tree]]:
    """The tree with an edit, which is taken back after the test."""
    kept: dict[Path, bytes] = {}

    def make(edit: Edit) -> Tree:
        kept[shared_tree / edit.path] = (shared_tree / edit.path).read_bytes()
        edit.make(shared_tree)
        return shared_tree

    yield make
    for path, content in kept.items():
        path.write_bytes(content)


class TestContract:
    @pytest.mark.parametrize("name", BREAKING)
    def test_names_an_edit_that_breaks_clients(self, edited: Callable[[Edit], Tree], name: str) -> None:
        edit = BREAKING[name]
        result = edited(edit).manage("openapi", "--check", PYTHONDONTWRITEBYTECODE="1")
        assert result.returncode == 2, result.stderr
        assert f"  {edit.named}\n" in result.stderr
        assert "VERSION" in result.stderr

    @pytest.mark.parametrize("name", COMPATIBLE)
    def test_finds_an_edit_that_breaks_nobody_stale_only(self, edited: Callable[[Edit], Tree], name: str) -> None:
        result = edited(COMPATIBLE[name]).manage("openapi", "--check", PYTHONDONTWRITEBYTECODE="1")
        assert result.returncode == 1, result.stderr
        assert f"{COMMITTED} is stale" in result.stderr
        assert "VERSION" not in result.stderr

    def test_is_not_written_over_while_the_version_is_the_same(self, tree: Tree) -> None:
        tree.managed("openapi", "--output", COMMITTED)
        before = (tree / COMMITTED).read_bytes()
        edit = BREAKING["operation renamed"]
        edit.make(tree)
        refused = tree.manage("openapi", "--output", COMMITTED)
        assert refused.returncode == 2
        assert edit.named in refused.stderr
        assert (tree / COMMITTED).read_bytes() == before
        tree.managed("openapi", "--output", "elsewhere.json")
        tree.edit("project/openapi/__init__.py", 'VERSION = "1.', 'VERSION = "2.')
        assert tree.manage("openapi", "--check").returncode == 1
        tree.managed("openapi", "--output", COMMITTED)
        tree.managed("openapi", "--check")

    def test_that_cannot_be_read_is_said_to_be(self, tree: Tree) -> None:
        (tree / COMMITTED).write_text("{")
        result = tree.manage("openapi", "--check")
        assert result.returncode == 1
        assert "is not JSON" in result.stderr

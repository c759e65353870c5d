"""`manage.py test`."""

import subprocess
import sys

from tests.trees import ROOT, Tree

FOUND = "class TestNothing:\n    def test_passes(self) -> None:\n        assert True\n"


class TestTest:
    def test_runs_pytest_with_its_arguments_and_exits_as_it_does(self, tree: Tree) -> None:
        (tree / "tests/project/test_passing.py").write_text(FOUND)
        (tree / "tests/project/test_failing.py").write_text(FOUND.replace("assert True", "raise AssertionError"))
        passed = tree.manage("test", "tests/project/test_passing.py", "-q", "-k", "passes", "-p", "no:cacheprovider")
        assert passed.returncode == 0, passed.stdout
        assert "1 passed" in passed.stdout
        assert tree.manage("test", "tests/project/test_failing.py", "-q").returncode == 1

    def test_says_that_pytest_is_missing(self) -> None:
        hide = "import sys; sys.modules['pytest'] = None; from project.commands import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", hide, "test"], cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert done.returncode == 1
        assert done.stderr == "Error: pytest is not installed: `uv sync` brings it.\n"

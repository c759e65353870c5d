"""What the tools that others check descriptions with find in ours: nothing, in that of a new app neither."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from project.openapi.contract import COMMITTED
from tests.toolchains import JUDGES, node_modules, run
from tests.trees import Tree

SPECTRAL = 'extends: ["spectral:oas"]\n'


def spectral(document: Path) -> None:
    """All of its rules, and hints too."""
    rules = document.with_name("spectral.yaml")
    rules.write_text(SPECTRAL)
    run(_judge("spectral"), "lint", document, f"--ruleset={rules}", "--fail-severity=hint")


def redocly(document: Path) -> None:
    """Its strictest rules, of which warnings are errors."""
    run(
        *(_judge("redocly"), "lint", document, "--extends=recommended-strict"),
        REDOCLY_TELEMETRY="off",
        REDOCLY_SUPPRESS_UPDATE_NOTICE="true",
    )


def openapi_spec_validator(document: Path) -> None:
    run(sys.executable, "-m", "openapi_spec_validator", document)


def _judge(name: str) -> Path:
    return node_modules(JUDGES) / ".bin" / name


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The service's own, and that of a service which has nothing but an app that startapp wrote."""
    folder = tmp_path_factory.mktemp("judges")
    own = folder / "students.json"
    own.write_bytes(COMMITTED.read_bytes())
    tree = Tree(folder)
    tree.uninstall("students")
    tree.install(tree.managed("startapp", "courses", "--model", "Course"))
    new = folder / "courses.json"
    tree.managed("openapi", "--output", str(new))
    return {"students": own, "courses": new}


class TestJudges:
    @pytest.mark.parametrize("name", ["students", "courses"])
    @pytest.mark.parametrize("judge", [spectral, redocly, openapi_spec_validator])
    def test_find_nothing(self, documents: dict[str, Path], judge: Callable[[Path], None], name: str) -> None:
        judge(documents[name])

    @pytest.mark.parametrize(
        ("judge", "old", "new"),
        [
            (spectral, '"operationId": "createCourse"', '"operationId": "create course"'),
            (redocly, '"summary": "Create a course"', '"x-summary": "Create a course"'),
            (openapi_spec_validator, '"name": "limit"', '"names": "limit"'),
        ],
    )
    def test_find_what_is_not_right(
        self, documents: dict[str, Path], judge: Callable[[Path], None], old: str, new: str, tmp_path: Path
    ) -> None:
        text = documents["courses"].read_text()
        assert old in text
        (tmp_path / "wrong.json").write_text(text.replace(old, new))
        with pytest.raises(AssertionError, match="wrong"):
            judge(tmp_path / "wrong.json")

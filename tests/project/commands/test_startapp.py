"""`manage.py startapp`."""

import re
from pathlib import Path

import pytest

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.trees import ROOT, Tree

INSTALLED = 'INSTALLED_APPS: tuple[str, ...] = ("accounts", "students")'


def files(root: Path) -> set[Path]:
    return {
        path
        for part in ("apps", "migrations", "tests/apps")
        for path in (root / part).rglob("*.*")
        if path.suffix != ".pyc"
    }


def install(tree: Tree, printed: str) -> None:
    """Adds the one line that startapp names."""
    lines = [line.strip() for line in printed.splitlines() if line.strip().startswith("INSTALLED_APPS")]
    assert len(lines) == 1
    tree.edit("project/settings.py", INSTALLED, lines[0])


class TestStartApp:
    @pytest.mark.parametrize(("name", "model"), [("courses", "Course"), ("exam", "Exam"), ("blog_posts", "Post")])
    def test_writes_seven_files_and_a_migration_as_the_project_is_formatted(
        self, tree: Tree, name: str, model: str
    ) -> None:
        before = files(tree.root)
        printed = tree.managed("startapp", name, "--model", model)
        written = {str(path.relative_to(tree.root)) for path in files(tree.root) - before}
        modules = ("admin", "controllers", "models", "repositories", "schemas", "services")
        table = {"exam": "exams"}.get(name, name)
        migration = f"migrations/versions/{int(migrations.history()[-1][:4]) + 1:04}_{table}.py"
        assert written == {
            *(f"apps/{name}/{module}.py" for module in modules), f"tests/apps/{name}/test_controllers.py", migration,
        }  # fmt: skip
        assert set(re.findall(r"^Wrote (.+)$", printed, re.MULTILINE)) == written
        for command in (["check"], ["format", "--check"]):
            done = tree.run("-m", "ruff", *command, *written)
            assert done.returncode == 0, done.stdout

    def test_app_passes_its_tests_once_its_line_is_added(self, tree: Tree) -> None:
        printed = tree.managed("startapp", "courses", "--model", "Course")
        install(tree, printed)
        tree.managed("makemigrations", "--check")
        tree.managed("migrate")
        assert tree.managed("check") == "Nothing found.\n"
        assert "createCourse\n" in tree.managed("routes")
        assert tree.manage("openapi", "--check").returncode == 1
        tree.managed(*printed.rpartition("`python manage.py ")[2].partition("`")[0].split())
        tree.managed("openapi", "--check")
        done = tree.manage("test", "tests/apps/courses", "-q", "-k", "sqlite")
        assert done.returncode == 0, done.stdout
        assert re.search(r"^\d\d passed", done.stdout, re.MULTILINE)

    def test_second_app_waits_for_the_line_of_the_first(self, tree: Tree) -> None:
        printed = tree.managed("startapp", "courses", "--model", "Course")
        before = files(tree.root)
        result = tree.manage("startapp", "rooms", "--model", "Room")
        assert result.returncode == 1
        assert "drop table courses" in result.stderr
        assert "INSTALLED_APPS" in result.stderr
        assert files(tree.root) == before
        install(tree, printed)
        tree.managed("startapp", "rooms", "--model", "Room")

    def test_leaves_nothing_when_it_fails_half_way(self, tree: Tree) -> None:
        (tree / "migrations/script.py.mako").write_text("${nothing_of_that_name.at_all}")
        before = files(tree.root)
        result = tree.manage("startapp", "courses", "--model", "Course")
        assert result.returncode == 1
        assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)
        assert files(tree.root) == before

    @pytest.mark.parametrize("name", ["", "2courses", "my-courses", "Courses", "my courses", "../courses", "a" * 31])
    def test_refuses_a_name_that_is_none(self, manage: Manage, name: str) -> None:
        self.refused(manage, name, "Course", "An app's name is of small letters")

    @pytest.mark.parametrize("model", ["", "course", "Course-Section", "Course_Section", "2Course", "Kurs ", "Über"])
    def test_refuses_a_model_that_is_none(self, manage: Manage, model: str) -> None:
        self.refused(manage, "courses", model, "a model's begins with a capital")

    @pytest.mark.parametrize("model", ["Exception", "None", "Record", "Answer", "Id", "Request"])
    def test_refuses_a_model_that_means_something_else(self, manage: Manage, model: str) -> None:
        self.refused(manage, "courses", model, f"{model} means something else")

    @pytest.mark.parametrize(
        ("name", "model", "reason"),
        [
            ("students", "Student", "There is apps/students already"),
            ("student", "Student", "There is a table students already"),
            ("idempotency_keys", "Key", "There is a table idempotency_keys already"),
            ("health", "Checkup", "answers under /health already"),
            ("json", "Document", "a module of Python's own"),
            ("class", "Lesson", "a word of Python's own"),
            ("pupils", "Student", "The API has Student and StudentCreate already"),
            ("coins", "Token", "The API has Token and TokenCreate already"),
            ("issues", "Problem", "The API has Problem already"),
            ("issues", "ProblemDetails", "The API has ProblemDetails already"),
        ],
    )
    def test_refuses_what_is_taken(self, manage: Manage, name: str, model: str, reason: str) -> None:
        self.refused(manage, name, model, reason)

    def test_wants_a_model(self, manage: Manage) -> None:
        result = manage("startapp", "courses")
        assert result.exit_code == 2
        assert "--model" in result.stderr

    def refused(self, manage: Manage, name: str, model: str, reason: str) -> None:
        before = files(ROOT)
        result = manage("startapp", name, "--model", model)
        assert result.exit_code == 1
        assert reason in result.stderr
        assert re.fullmatch(r"Error: [^\n]+\n", result.stderr)
        assert files(ROOT) == before

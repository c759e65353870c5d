"""`manage.py makemigrations`."""

import re
import sqlite3
import subprocess
import sys

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.trees import Tree

MODELS = "apps/students/models.py"
FILL = """
import datetime as dt
now = dt.datetime.now(dt.UTC)
for name in ("Ananya", "Bilal"):
    student = Student(name=name, department="CSE", cgpa=8.9, created_at=now, updated_at=now)
    session.add(student)
await session.commit()
await session.delete(student)
await session.commit()
"""


def number_after_last() -> str:
    return f"{int(migrations.history()[-1][:4]) + 1:04}"


def rows(tree: Tree, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(tree / "registrar.sqlite3")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


class TestMakeMigrations:
    def test_finds_nothing_missing(self, manage: Manage) -> None:
        for arguments in ([], ["--check"]):
            result = manage("makemigrations", *arguments)
            assert result.exit_code == 0
            assert result.stdout == "The migrations are what the models need.\n"

    def test_check_names_each_difference_and_writes_nothing(self, tree: Tree) -> None:
        tree.edit(MODELS, "    cgpa: Mapped[float]\n", "    cgpa: Mapped[float]\n    phone: Mapped[str | None]\n")
        tree.edit(MODELS, '        Index(None, "name", "id"),\n', "")
        tree.edit(MODELS, "Mapped[str] = mapped_column(Text(100))", "Mapped[str | None] = mapped_column(Text(150))")
        tree.edit(MODELS, 'name="cgpa_range"', 'name="cgpa_bounds"')
        before = sorted((tree / "migrations/versions").glob("*.py"))
        result = tree.manage("makemigrations", "--check")
        assert result.returncode == 1
        assert set(result.stdout.splitlines()) == {
            "  add column students.phone",
            "  let column students.department hold null",
            "  change type of column students.department from VARCHAR(length=100) to Text(length=150)",
            "  remove index ix_students_name_id of table students",
            "  remove checkconstraint ck_students_cgpa_range of table students",
            "  add checkconstraint ck_students_cgpa_bounds of table students",
        }
        assert result.stderr == "Error: A migration is missing: `python manage.py makemigrations` writes it.\n"
        assert sorted((tree / "migrations/versions").glob("*.py")) == before

    def test_writes_a_migration_as_the_project_is_formatted(self, tree: Tree) -> None:
        tree.edit(MODELS, "    cgpa: Mapped[float]\n", "    cgpa: Mapped[float]\n    phone: Mapped[str | None]\n")
        path = f"migrations/versions/{number_after_last()}_add_column_students_phone.py"
        assert f"Wrote {path}: read it" in tree.managed("makemigrations")
        text = (tree / path).read_text()
        assert text.startswith('"""Add column students.phone."""\n')
        assert f'down_revision = "{migrations.history()[-1]}"' in text
        for command in (["check"], ["format", "--check"]):
            assert tree.run("-m", "ruff", *command, path).returncode == 0
        tree.managed("migrate")
        tree.managed("makemigrations", "--check")
        assert tree.managed("check") == "Nothing found.\n"
        tree.managed("migrate", migrations.history()[-1])
        tree.managed("migrate")

    def test_names_it_by_the_message(self, tree: Tree) -> None:
        tree.edit(MODELS, "    cgpa: Mapped[float]\n", "    cgpa: Mapped[float]\n    phone: Mapped[str | None]\n")
        for option, message, name, doc in (
            ("-m", "Phone numbers", "phone_numbers", "Phone numbers."),
            ("--message", 'the "new" \\phone\nof Ananya.', "the_new_phone_of_ananya", "The 'new' /phone of Ananya."),
            ("-m", "where to call a student, day or night", "where_to_call_a_student_day", "Where to call"),
            ("-m", "学生", "changes", "学生."),
        ):
            tree.managed("makemigrations", option, message)
            path = tree / f"migrations/versions/{number_after_last()}_{name}.py"
            assert path.read_text().startswith(f'"""{doc}')
            path.unlink()

    def test_writes_the_table_of_a_model_that_came_and_drops_that_of_one_that_went(self, tree: Tree) -> None:
        model = "\n\nclass Club(Record):\n    name: Mapped[str] = mapped_column(Text(200), unique=True)\n"
        path = tree / MODELS
        original = path.read_text()
        path.write_text(original + model)
        assert "  create table club\n" in tree.managed("makemigrations")
        tree.managed("migrate")
        assert rows(tree, "SELECT count(*) FROM club") == [(0,)]
        path.write_text(original)
        assert "  drop table club\n" in tree.managed("makemigrations")
        tree.managed("migrate")
        assert rows(tree, "SELECT count(*) FROM sqlite_master WHERE name = 'club'") == [(0,)]

    def test_changed_column_keeps_rows_rules_and_the_ids_that_were_given_out(self, tree: Tree) -> None:
        tree.managed("migrate")
        tree.managed("shell", "-c", FILL)
        tree.edit(
            MODELS,
            "department: Mapped[str] = mapped_column(Text(100))",
            "department: Mapped[str | None] = mapped_column(Text(150))",
        )
        tree.managed("makemigrations", "-m", "longer departments")
        tree.managed("migrate")
        assert rows(tree, "SELECT id, name, cgpa FROM students") == [(1, "Ananya", 8.9)]
        [(made_by,)] = rows(tree, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'students'")
        assert re.search(r"department VARCHAR\(150\),", str(made_by))
        assert "AUTOINCREMENT" in str(made_by)
        assert "CHECK (cgpa >= 0 AND cgpa <= 10)" in str(made_by)
        tree.managed("shell", "-c", FILL)
        assert rows(tree, "SELECT max(id) FROM students WHERE name = 'Ananya'") == [(3,)]
        assert tree.managed("check") == "Nothing found.\n"

    def test_works_without_the_development_tools(self, tree: Tree) -> None:
        tree.edit(MODELS, "    cgpa: Mapped[float]\n", "    cgpa: Mapped[float]\n    phone: Mapped[str | None]\n")
        hide = "import sys; sys.modules['ruff'] = None; from project.commands import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", hide, "makemigrations", "-m", "phone"], cwd=tree.root, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        tree.managed("migrate")

"""What installed apps bring."""

import re
from pathlib import Path

import pytest

from project import registry
from project.settings import SettingsError
from tests.trees import Tree

CLUBS = '''
"""Clubs and who is in them."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from apps.students.models import Student
from project.database.types import Text
from project.models import Record


class Membership(Record):
    student_id: Mapped[int] = mapped_column(ForeignKey(Student.id))
    club_id: Mapped[int] = mapped_column(ForeignKey("club.id"))


class Club(Record):
    name: Mapped[str] = mapped_column(Text(100))
'''

PRINT = "from project import registry; print(*registry.models(settings.installed_apps))"


class TestModels:
    def test_have_labels_and_come_before_those_that_refer_to_them(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        (tree / "apps/clubs").mkdir()
        (tree / "apps/clubs/models.py").write_text(CLUBS)
        tree.edit("project/settings.py", '"students")', '"students", "clubs")')
        labels = tree.managed("shell", "-c", PRINT).split()
        assert {"clubs.club", "clubs.membership", "students.student"} < set(labels)
        assert labels.index("clubs.membership") > max(labels.index("clubs.club"), labels.index("students.student"))
        created = re.findall(r"create table (\w+)", tree.managed("makemigrations"))
        assert created == ["club", "membership"]

    def test_of_an_app_without_models_are_none(self, tmp_path: Path) -> None:
        tree = Tree(tmp_path)
        (tree / "apps/pages").mkdir()
        tree.edit("project/settings.py", '"students")', '"pages", "students")')
        assert "pages" not in tree.managed("shell", "-c", PRINT)
        tree.managed("makemigrations", "--check")


class TestMissingApp:
    def test_is_named_with_what_to_do(self) -> None:
        with pytest.raises(SettingsError, match="INSTALLED_APPS names 'clubs', but there is no apps/clubs: remove"):
            list(registry.app_modules(("clubs",), "models"))

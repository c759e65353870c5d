"""`manage.py showmigrations`."""

from pathlib import Path

from project.database import migrations
from tests.project.commands.conftest import Manage

FIRST, *OTHERS = migrations.history()


class TestShowMigrations:
    def test_marks_those_that_the_database_has(self, manage_everywhere: Manage) -> None:
        assert manage_everywhere("showmigrations").stdout == "".join(f"[ ] {name}\n" for name in (FIRST, *OTHERS))
        manage_everywhere("migrate", FIRST)
        assert manage_everywhere("showmigrations").stdout == f"[X] {FIRST}\n" + "".join(
            f"[ ] {name}\n" for name in OTHERS
        )

    def test_makes_no_file(self, manage: Manage, tmp_path: Path) -> None:
        file = tmp_path / "new.sqlite3"
        result = manage("showmigrations", DATABASE_URL=f"sqlite:///{file}")
        assert result.stdout == "".join(f"[ ] {name}\n" for name in (FIRST, *OTHERS))
        assert not file.exists()

"""`manage.py check`."""

import secrets
from pathlib import Path

import pytest

from project.database import migrations
from tests.project.commands.conftest import Manage
from tests.trees import Tree

SOUND = {"DEBUG": "false", "SECRET_KEY": secrets.token_urlsafe(48), "ALLOWED_HOSTS": "students.example"}


class TestCheck:
    def test_finds_nothing_on_a_migrated_database(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        result = manage_everywhere("check")
        assert result.exit_code == 0
        assert result.stdout == "Nothing found.\n"

    def test_names_pending_migrations_and_makes_no_file(self, manage: Manage, tmp_path: Path) -> None:
        result = manage("check")
        assert result.exit_code == 1
        assert result.stdout == f"The database lacks migrations, run migrate: {', '.join(migrations.history())}.\n"
        assert list(tmp_path.iterdir()) == []

    def test_names_what_somebody_changed_by_hand(self, manage_everywhere: Manage) -> None:
        manage_everywhere("migrate")
        drop = "DROP INDEX ix_students_name_id"
        manage_everywhere(
            "shell", "-c",
            "import sqlalchemy as sa\n"
            f"drop = '{drop}' + (' ON students' if session.bind.dialect.name in ('mysql', 'mariadb') else '')\n"
            "await session.execute(sa.text(drop)); await session.commit()",
        )  # fmt: skip
        result = manage_everywhere("check")
        assert result.exit_code == 1
        assert result.stdout == (
            "The database is not what its migrations made, it would take: "
            "add index ix_students_name_id of table students.\n"
        )
        manage_everywhere(
            "shell", "-c",
            "import sqlalchemy as sa\n"
            "await session.execute(sa.text('CREATE INDEX ix_students_name_id ON students (name, id)'))\n"
            "await session.commit()",
        )  # fmt: skip

    def test_names_models_without_a_migration(self, tree: Tree) -> None:
        tree.edit(
            "apps/students/models.py", "    cgpa: Mapped[float]\n", "    cgpa: Mapped[float]\n    phone: Mapped[str]\n"
        )
        tree.managed("migrate")
        result = tree.manage("check")
        assert result.returncode == 1
        assert result.stdout == (
            "The models have changes without a migration, run makemigrations: add column students.phone.\n"
        )

    def test_names_every_url_that_cannot_be_used(self, manage: Manage) -> None:
        result = manage("check", DATABASE_URL="nonsense", DATABASE_URL_OLD="oracle://host/name")
        assert result.exit_code == 1
        assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["DATABASE_URL", "DATABASE_URL_OLD"]

    def test_names_all_else_beside_a_url_that_cannot_be_used(self, manage: Manage) -> None:
        lines = manage("check", "--deploy", DATABASE_URL="nonsense").stdout.splitlines()
        assert [line.partition(" ")[0] for line in lines] == ["DATABASE_URL:", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS"]

    def test_says_that_the_database_cannot_be_reached(self, manage: Manage) -> None:
        result = manage("check", DATABASE_URL="postgresql://registrar:secret-word@127.0.0.1:1/registrar")
        assert result.exit_code == 1
        assert result.stdout.startswith("The database cannot be used: ")
        assert result.stdout.count("\n") == 1
        assert "secret-word" not in result.stdout

    def test_says_which_app_is_not_there(self, tree: Tree) -> None:
        tree.edit("project/settings.py", '"students")', '"students", "clubs")')
        result = tree.manage("check")
        assert result.returncode == 1
        assert "INSTALLED_APPS names 'clubs', but there is no apps/clubs" in result.stderr


class TestCheckDeploy:
    def found(self, manage: Manage, tmp_path: Path, **environment: str) -> list[str]:
        """The findings on a migrated database that only its owner may read."""
        manage("migrate")
        (tmp_path / "registrar.sqlite3").chmod(0o600)
        return manage("check", "--deploy", **{**SOUND, **environment}).stdout.splitlines()

    def test_finds_nothing_on_a_sound_installation(self, manage: Manage, tmp_path: Path) -> None:
        assert self.found(manage, tmp_path) == ["Nothing found."]

    def test_names_all_that_development_leaves_open(self, manage: Manage, tmp_path: Path) -> None:
        manage("migrate")
        (tmp_path / "registrar.sqlite3").chmod(0o644)
        result = manage("check", "--deploy")
        assert result.exit_code == 1
        lines = result.stdout.splitlines()
        for name in ("DEBUG is true", "SECRET_KEY is not set", "ALLOWED_HOSTS is not set", "The database file is open"):
            assert sum(line.startswith(name) for line in lines) == 1
        assert len(lines) == 4

    @pytest.mark.parametrize("key", ["hunter2", "a" * 64, "abcabcabc" * 10, "registrar"])
    def test_names_a_key_that_can_be_guessed(self, manage: Manage, tmp_path: Path, key: str) -> None:
        [finding] = self.found(manage, tmp_path, SECRET_KEY=key)
        assert finding.startswith("SECRET_KEY can be guessed")
        assert key not in finding.replace("SECRET_KEY", "")

    def test_names_hosts_that_let_any_in(self, manage: Manage, tmp_path: Path) -> None:
        [finding] = self.found(manage, tmp_path, ALLOWED_HOSTS="students.example,*")
        assert finding.startswith("ALLOWED_HOSTS has *")

    @pytest.mark.parametrize(
        ("variable", "text"),
        [
            ("CORS_ORIGINS", "https://school.example, *"),
            ("CORS_ORIGINS", "http://school.example"),
            ("TRUSTED_PROXIES", "10.0.0.0/8, 0.0.0.0/0"),
            ("TRUSTED_PROXIES", "::/0"),
        ],
    )
    def test_names_what_strangers_gain_by(self, manage: Manage, tmp_path: Path, variable: str, text: str) -> None:
        [finding] = self.found(manage, tmp_path, **{variable: text})
        assert finding.startswith(f"{variable} has {text.rpartition(', ')[2]}, ")

    def test_names_no_proxies_and_origins_that_are_ones_own(self, manage: Manage, tmp_path: Path) -> None:
        given = {"CORS_ORIGINS": "https://school.example", "TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8, unix"}
        assert self.found(manage, tmp_path, **given) == ["Nothing found."]

    def test_names_secrets_that_everybody_may_read(self, tree: Tree) -> None:
        tree.managed("migrate")
        (tree / "registrar.sqlite3").chmod(0o600)
        (tree / ".env").write_text("".join(f"{name}={value}\n" for name, value in SOUND.items()))
        for mode in (0o644, 0o602):
            (tree / ".env").chmod(mode)
            finding = f".env is open to every user of this machine: `chmod o-rwx {tree / '.env'}`.\n"
            assert tree.manage("check", "--deploy").stdout == finding
        for mode in (0o640, 0o600):
            (tree / ".env").chmod(mode)
            assert tree.managed("check", "--deploy") == "Nothing found.\n"

    @pytest.mark.parametrize(
        ("url", "host", "options"),
        [
            ("postgresql://db.example/r", "db.example", "sslmode=verify-full&sslrootcert=FILE"),
            ("postgres://10.0.0.7:6432/r?sslmode=prefer", "10.0.0.7", "sslmode=verify-full&sslrootcert=FILE"),
            ("postgresql:///r?host=/run/postgresql,db.example", "db.example", "sslmode=verify-full&sslrootcert=FILE"),
            ("mysql://db.example/r", "db.example", "ssl_mode=verify_identity&ssl_ca=FILE"),
            ("mariadb://db.example/r?ssl_mode=disabled", "db.example", "ssl_mode=verify_identity&ssl_ca=FILE"),
        ],
    )
    def test_names_a_database_elsewhere_without_tls(
        self, manage: Manage, tmp_path: Path, url: str, host: str, options: str
    ) -> None:
        [finding] = self.found(manage, tmp_path, DATABASE_URL_OTHER=url)
        assert finding.startswith(f"DATABASE_URL_OTHER leads to {host} without TLS")
        assert f"Add {options} to the URL" in finding

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://db.example/r?sslmode=require",
            "postgresql://127.0.0.1/r",
            "postgresql://[::1]/r?sslmode=disable",
            "postgresql:///r?host=/run/postgresql",
            "postgresql:///r",
            "mysql://db.example/r?ssl=true",
            "mysql://db.example/r?unix_socket=/run/mysqld/mysqld.sock",
            "mysql://localhost/r",
        ],
    )
    def test_names_no_database_that_strangers_do_not_hear(self, manage: Manage, tmp_path: Path, url: str) -> None:
        assert self.found(manage, tmp_path, DATABASE_URL_OTHER=url) == ["Nothing found."]

    @pytest.mark.engines("postgresql", "mariadb")
    def test_names_what_a_server_may_lose(self, manage_everywhere: Manage, engine: str) -> None:
        manage_everywhere("migrate")
        result = manage_everywhere("check", "--deploy", **SOUND)
        assert result.exit_code == 1
        assert {"postgresql": "fsync", "mariadb": "innodb_flush_log_at_trx_commit"}[engine] in result.stdout

"""The settings, from the environment and from `.env`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from project.settings import DEVELOPMENT_KEY, SettingsError, load
from tests.trees import Tree

DEPLOYED = {"DEBUG": "false", "SECRET_KEY": "k" * 40, "ALLOWED_HOSTS": "students.example"}


class TestLoad:
    def test_everything_has_a_default_for_development(self) -> None:
        settings = load({})
        assert settings.databases == {"default": "sqlite:///registrar.sqlite3"}
        assert settings.debug
        assert settings.secret_key == DEVELOPMENT_KEY
        assert settings.allowed_hosts == settings.cors_origins == ()

    @pytest.mark.parametrize(
        ("variable", "text", "field", "value"),
        [
            ("DEBUG", "true", "debug", True),
            ("DEBUG", " Yes ", "debug", True),
            ("SECRET_KEY", " two words ", "secret_key", "two words"),
            ("ALLOWED_HOSTS", "a.example, b.example,", "allowed_hosts", ("a.example", "b.example")),
            ("CORS_ORIGINS", "https://a.example", "cors_origins", ("https://a.example",)),
            ("LOG_LEVEL", "warning", "log_level", "WARNING"),
            ("LOG_FORMAT", "JSON", "log_format", "json"),
            ("DATABASE_POOL_SIZE", "3", "pool_size", 3),
            ("DATABASE_STATEMENT_TIMEOUT", "0.5", "statement_timeout", 0.5),
            ("DATABASE_URL", " postgres://host/name ", "database_url", "postgres://host/name"),
        ],
    )
    def test_each_variable_is_read(self, variable: str, text: str, field: str, value: Any) -> None:
        assert getattr(load({variable: text}), field) == value

    @pytest.mark.parametrize("variable", ["DEBUG", "SECRET_KEY", "LOG_LEVEL", "DATABASE_URL", "DATABASE_POOL_SIZE"])
    @pytest.mark.parametrize("text", ["", "  "])
    def test_empty_is_as_not_set(self, variable: str, text: str) -> None:
        assert load({variable: text}) == load({})

    @pytest.mark.parametrize("word", ["0", "no", "OFF", "False"])
    def test_debug_may_be_turned_off_in_many_words(self, word: str) -> None:
        assert not load({**DEPLOYED, "DEBUG": word}).debug

    @pytest.mark.parametrize(
        ("variable", "text"),
        [
            ("DEBUG", "maybe"),
            ("LOG_LEVEL", "loud"),
            ("LOG_FORMAT", "xml"),
            ("DATABASE_POOL_SIZE", "0"),
            ("DATABASE_POOL_SIZE", "1.5"),
            ("TRUSTED_PROXIES", "10.0.0.0/8, proxy.example"),
            ("TRUSTED_PROXIES", "10.0.0.1/8"),
            ("FORWARDED_HEADER", "x-real-ip"),
            ("RATE_LIMIT", "600"),
            ("RATE_LIMIT", "0/minute"),
            ("RATE_LIMIT", "600/day"),
            ("DATABASE_POOL_SIZE", "many"),
            ("DATABASE_STATEMENT_TIMEOUT", "0"),
            ("DATABASE_STATEMENT_TIMEOUT", "nan"),
            ("DATABASE_STATEMENT_TIMEOUT", "inf"),
            ("DATABASE_URL_DEFAULT", "sqlite:///x"),
            ("DATABASE_URL_MY-OLD", "sqlite:///x"),
            ("DATABASE_URL_", "sqlite:///x"),
        ],
    )
    def test_what_does_not_parse_is_refused_by_the_name_of_its_variable(self, variable: str, text: str) -> None:
        with pytest.raises(SettingsError, match=rf"^{variable} .+\.$"):
            load({variable: text})

    @pytest.mark.parametrize("variable", ["SECRET_KEY", "ALLOWED_HOSTS", "LOG_LEVEL", "DATABASE_URL", "DATABASE_URL_X"])
    def test_what_is_not_utf_8_is_refused_by_the_name_of_its_variable(self, variable: str) -> None:
        with pytest.raises(SettingsError, match=rf"^{variable} is not UTF-8: set it to text in UTF-8\.$"):
            load({**DEPLOYED, variable: os.fsdecode(b"k\xff")})

    @pytest.mark.parametrize("variable", ["SECRET_KEY", "ALLOWED_HOSTS"])
    @pytest.mark.parametrize("text", [None, "", " "])
    def test_deployed_it_wants_a_key_and_hosts(self, variable: str, text: str | None) -> None:
        given = {name: value for name, value in {**DEPLOYED, variable: text}.items() if value is not None}
        with pytest.raises(SettingsError, match=rf"^{variable} is not set: with DEBUG=false it must be .+\.$"):
            load(given)

    def test_a_list_without_hosts_is_none(self) -> None:
        with pytest.raises(SettingsError, match=r"^ALLOWED_HOSTS is not set"):
            load({**DEPLOYED, "ALLOWED_HOSTS": " , "})

    def test_proxies_are_addresses_and_networks(self) -> None:
        settings = load({"TRUSTED_PROXIES": "10.0.0.1, 2001:DB8::/32,unix", "FORWARDED_HEADER": "Forwarded"})
        assert settings.trusted_proxies == ("10.0.0.1/32", "2001:db8::/32", "unix")
        assert settings.forwarded_header == "forwarded"

    @pytest.mark.parametrize(
        ("text", "rate"), [("600/minute", (600, 60)), ("5 / second", (5, 1)), ("1/hour", (1, 3600)), ("", None)]
    )
    def test_a_rate_is_a_number_in_a_time(self, text: str, rate: tuple[int, int] | None) -> None:
        assert load({"RATE_LIMIT": text}).rate_limit == rate

    def test_aliases_name_other_databases(self) -> None:
        settings = load(
            {"DATABASE_URL_OLD": "mysql://host/a", "DATABASE_URL_New2": "sqlite:///b", "DATABASE_URL_X": " "}
        )
        assert settings.databases == {
            "default": "sqlite:///registrar.sqlite3",
            "old": "mysql://host/a",
            "new2": "sqlite:///b",
        }


class TestDotEnv:
    PRINT = ("shell", "-c", "print(settings.log_level, settings.databases)")

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Tree:
        return Tree(tmp_path)

    def test_is_read_and_the_environment_wins(self, tree: Tree) -> None:
        (tree / ".env").write_text("# for this machine\nLOG_LEVEL='ERROR'\nDATABASE_URL=sqlite:///from$env.sqlite3\n")
        assert tree.managed(*self.PRINT) == "ERROR {'default': 'sqlite:///from$env.sqlite3'}\n"
        assert tree.managed(*self.PRINT, LOG_LEVEL="DEBUG").startswith("DEBUG {")

    def test_that_cannot_be_read_is_a_sentence(self, tree: Tree) -> None:
        (tree / ".env").write_bytes(b"SECRET_KEY=\xff\xfe\n")
        result = tree.manage("check")
        assert result.returncode == 1
        assert result.stderr.startswith("Error: .env cannot be read (")

    def test_its_relative_paths_count_from_its_own_folder(self, tree: Tree, tmp_path: Path) -> None:
        (tree / ".env").write_text("DATABASE_URL=sqlite:///data.sqlite3\n")
        command = [sys.executable, str(tree / "manage.py"), "migrate"]
        subprocess.run(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, check=True)
        assert (tree / "data.sqlite3").exists()

"""What every dialect has to keep to, and that nothing else knows of them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.database import dialects, parse_url
from project.settings import SettingsError

ROOT = Path(dialects.__file__).parents[3]
DIALECTS = Path(dialects.__file__).parent
NAMES = re.compile(r"sqlite|postgres|mysql|mariadb|asyncpg|asyncmy|psycopg", re.IGNORECASE)
URL = re.compile(r"\b(sqlite|postgresql)://\S+")
"""A URL says which database it is of: settings and messages may give one for an example."""


def sources() -> Iterator[Path]:
    for folder in ("project", "apps"):
        yield from (path for path in (ROOT / folder).rglob("*.py") if DIALECTS not in path.parents)
    yield ROOT / "migrations" / "env.py"
    yield ROOT / "manage.py"


def naming(source: str) -> list[str]:
    """The names and texts of a module, but for its docstrings, that are about one database."""
    tree = ast.parse(source)
    texts: list[str] = []
    documentation = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                documentation.add(node.value)
            case ast.Constant(value=str(text)) if node not in documentation:
                texts.append(text)
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                texts.append(name)
            case ast.Import(names=aliases):
                texts += [alias.name for alias in aliases]
            case ast.ImportFrom(module=module, names=aliases):
                texts += [module or "", *(alias.name for alias in aliases)]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                texts.append(name)
    return [text for text in texts if NAMES.search(URL.sub("", text))]


class TestRestOfTheProject:
    def test_names_no_database(self) -> None:
        found = {str(path.relative_to(ROOT)): naming(path.read_text()) for path in sources()}
        assert {path: names for path, names in found.items() if names} == {}

    @pytest.mark.parametrize(
        "source",
        [
            "import asyncpg",
            "from sqlalchemy.dialects import mysql",
            "if engine.dialect.name == 'sqlite': pass",
            "Column(sqlite_autoincrement=True)",
            "def reset_postgresql(): pass",
        ],
    )
    def test_would_be_found_out(self, source: str) -> None:
        assert naming(source)


class TestParseUrl:
    @pytest.mark.parametrize(
        ("given", "driver"),
        [
            ("sqlite:///registrar.sqlite3", "sqlite+aiosqlite"),
            ("sqlite+pysqlite:///registrar.sqlite3", "sqlite+aiosqlite"),
            ("sqlite+aiosqlite:////tmp/registrar.sqlite3", "sqlite+aiosqlite"),
            ("SQLite:///registrar.sqlite3", "sqlite+aiosqlite"),
            ("postgres://ann@db/registrar", "postgresql+asyncpg"),
            ("postgresql://ann@db/registrar", "postgresql+asyncpg"),
            ("postgresql+psycopg2://ann@db/registrar", "postgresql+asyncpg"),
            ("postgresql+psycopg://ann@db/registrar", "postgresql+asyncpg"),
            ("postgresql+asyncpg://ann@db/registrar", "postgresql+asyncpg"),
            ("pgsql://ann@db/registrar", "postgresql+asyncpg"),
            ("mysql://ann@db/registrar", "mysql+asyncmy"),
            ("mysql+pymysql://ann@db/registrar", "mysql+asyncmy"),
            ("mysql+mysqldb://ann@db/registrar", "mysql+asyncmy"),
            ("mysql+aiomysql://ann@db/registrar", "mysql+asyncmy"),
            ("mysql2://ann@db/registrar", "mysql+asyncmy"),
            ("mariadb://ann@db/registrar", "mysql+asyncmy"),
            ("mariadb+mariadbconnector://ann@db/registrar", "mysql+asyncmy"),
        ],
    )
    def test_reaches_the_driver_however_it_is_typed(self, given: str, driver: str) -> None:
        assert parse_url(given).drivername == driver

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("oracle://ann:hush@db/registrar", "starts with one of mariadb, mysql, mysql2, pgsql, postgres"),
            ("registrar.sqlite3", "looks like sqlite:///file"),
            ("", "looks like sqlite:///file"),
            ("postgresql://ann:hu@sh@db/registrar", "@ is written %40"),
            ("postgresql://ann:hush@db:port/registrar", "cannot be read"),
            ("postgresql://ann:hush@db:1,db:2/registrar", "cannot be read"),
            ("sqlite://", "wants a file"),
            ("sqlite:///:memory:", "wants a file"),
            ("sqlite://registrar.sqlite3", "wants a file"),
            ("sqlite:///registrar.sqlite3?mode=ro", "a path and nothing else"),
            ("postgresql://ann:hush@db", "names no database"),
            ("mysql://ann:hush@db/", "names no database"),
            ("postgresql://ann:hush@db/registrar?sslmod=require", "sslmod: remove it, or use one of sslmode"),
            ("postgresql://ann:hush@db/registrar?connect_timeout=soon", "sets connect_timeout to soon"),
            ("postgresql://ann:hush@db/registrar?connect_timeout=0", "whole number of seconds"),
            ("mysql://ann:hush@db/registrar?connect_timeout=0", "whole number of seconds"),
            ("postgresql://ann:hush@db/registrar?sslmode=require&sslmode=disable", "sslmode more than once"),
            ("postgresql://ann:hush@db/registrar?sslmode=perhaps", "sets sslmode to perhaps"),
            ("mysql://ann:hush@db/registrar?charset=latin1", "charset: remove it"),
            ("mysql://ann:hush@db/registrar?ssl_mode=preferred", "one of disabled, required, verify_ca and"),
            ("mysql://ann:hush@db/registrar?local_infile=1", "local_infile: remove it"),
        ],
    )
    def test_says_what_is_wrong_but_not_the_password(self, given: str, words: str) -> None:
        with pytest.raises(SettingsError) as raised:
            parse_url(given)
        assert words in str(raised.value)
        assert "hu" not in str(raised.value)

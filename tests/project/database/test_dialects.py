"""What is said of databases in general, and where a particular one may be named."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.settings import BASE_DIR

ENGINES = re.compile(r"sqlite|postgres|mysql|mariadb|asyncpg|asyncmy", re.IGNORECASE)
SOURCES = [
    path
    for folder in ("project", "apps")
    for path in sorted((BASE_DIR / folder).rglob("*.py"))
    if BASE_DIR / "project/database/dialects" not in path.parents
]


def names_in_code(source: str) -> Iterator[str]:
    """Identifiers, imports and texts, but no docstrings, nor texts that say what a URL looks like."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.alias(name=name):
                yield name
            case ast.ImportFrom(module=str(name)):
                yield name
            case ast.Constant(value=str(text)) if id(node) not in prose and "://" not in text:
                yield text


class TestOtherModules:
    @pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(BASE_DIR)))
    def test_name_no_engine(self, path: Path) -> None:
        assert [name for name in names_in_code(path.read_text()) if ENGINES.search(name)] == []

    def test_would_be_found_out(self) -> None:
        planted = "import asyncpg\nif dialect.name == 'mysql': pass\n"
        assert [name for name in names_in_code(planted) if ENGINES.search(name)] == ["asyncpg", "mysql"]

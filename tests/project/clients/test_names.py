"""What operations are called in each language, and whether the README says so."""

import re
from pathlib import Path

from tests.trees import ROOT


class TestNames:
    """Of operations, in the words of each language."""

    def test_are_those_of_the_clients(self, python_client: Path, typescript_client: Path) -> None:
        rows = re.findall(
            r"^\| `([A-Z]+ /\S*)` \| (.+?) \| (.+?) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
        )
        expected = {
            place: (name, typescript_names(typescript_client)[place])
            for place, name in python_names(python_client).items()
        }
        assert {place: tuple(names) for place, *names in rows} == expected


def python_names(client: Path) -> dict[str, str]:
    """By operation."""
    found = {}
    for path in (client / "registrar_client" / "api").glob("*/[a-z]*.py"):
        source = path.read_text(encoding="utf-8")
        method, url = (re.findall(rf'"{key}": "(.+?)"', source)[0] for key in ("method", "url"))
        pages = " (`.iterate` for all pages)" if "def iterate(" in source else ""
        found[f"{method.upper()} {url}"] = f"`{path.parent.name}.{path.stem}`{pages}"
    return found


def typescript_names(client: Path) -> dict[str, str]:
    source = (client / "src/api/sdk.gen.ts").read_text(encoding="utf-8")
    pages = dict.fromkeys(
        re.findall(r"retry\(\(\) => (\w+)\(", (client / "src/pagination.ts").read_text(encoding="utf-8"))
    )
    iterators = re.findall(r"function\* (\w+)\(", (client / "src/pagination.ts").read_text(encoding="utf-8"))
    by_name = dict(zip(pages, iterators, strict=True))
    return {
        f"{method.upper()} {url}": f"`{name}`" + (f" (`{by_name[name]}` for all pages)" if name in by_name else "")
        for name, method, url in re.findall(
            r"export const (\w+) = .*?client\)\.(\w+)<.*?url: '(.+?)'", source, re.DOTALL
        )
    }

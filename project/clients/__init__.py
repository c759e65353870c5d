"""Clients of the API as packages that are ready to be published.

They come from generators that others maintain, pinned with all that these need: openapi-python-client by `uv.lock`
(the dependency group `clients`), @hey-api/openapi-ts by `generator/package-lock.json`. What the generators leave out is
added here, for every operation that it makes sense for: to walk through all pages, to try again, a README.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from project.clients.api import Api
from project.clients.errors import ClientError
from project.clients.python import generate_python
from project.clients.typescript import generate_typescript
from project.openapi.structs import Json

__all__ = ["GENERATORS", "ClientError", "generate"]

Generator = Callable[[Api, str, Path, Callable[[str], None]], None]

GENERATORS: Mapping[str, Generator] = {"python": generate_python, "typescript": generate_typescript}
"""By language. Each is given the name of the package, an empty folder for it, and whom to tell what takes long."""


def generate(
    language: str,
    document: Json,
    folder: Path,
    name: str = "",
    *,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Write the client of the document's API to the folder, as a package of that name.

    Nothing is written, nor overwritten, where it fails. Raises ClientError.
    """
    api = Api(document)
    folder = folder.resolve()
    if not folder.name or (folder.exists() and not folder.is_dir()):
        raise ClientError(f"{folder} is no folder that a client can be written to: name another.")
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise ClientError(f"There is something in {folder} already: name another folder, or say --overwrite.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        GENERATORS[language](api, name or f"{api.title.lower().replace(' ', '-')}-client", made, say)
        _refill(folder, made)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _refill(folder: Path, made: Path) -> None:
    """The folder stays the one that it is: somebody may be in it, and it may be on a disk of its own."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in made.iterdir():
        shutil.move(path, folder)

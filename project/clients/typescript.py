"""Clients in TypeScript, by @hey-api/openapi-ts and the compiler."""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from project.clients.api import Api
from project.clients.errors import ClientError
from project.clients.rendering import render, write_common

GENERATOR = Path(__file__).parent / "generator"
"""A package whose lock file names all that is run here."""

HERE = Path(__file__).parent / "templates" / "typescript"
STAMP = ".installed"
"""A file in `node_modules` with the digest of the lock file that it was made from."""

OLDEST_NODE = (20, 19)

OPTIONS = {"plugins": ["@hey-api/client-fetch", "@hey-api/typescript", "@hey-api/sdk"]}
OUTPUT = {"module": {"extension": ".js"}}
"""Node finds no module that is imported without its extension."""


def generate_typescript(api: Api, name: str, folder: Path, say: Callable[[str], None]) -> None:
    """The sources, and what is compiled of them. Raises ClientError."""
    if not re.fullmatch(r"(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*", name):
        raise ClientError(f"{name} is no name for an npm package: take one of small letters, digits and -.")
    _need_node()
    modules = install(GENERATOR, say)
    for part in ("package.json", "tsconfig.json", "README.md", "src/index.ts", "src/pagination.ts"):
        (folder / part).parent.mkdir(exist_ok=True)
        (folder / part).write_text(render(f"typescript/{part}", api, name=name), encoding="utf-8")
    shutil.copy(HERE / "retries.ts", folder / "src")
    write_common(folder)
    with tempfile.TemporaryDirectory(prefix="client-") as temporary:
        source, configuration = Path(temporary) / "api.json", Path(temporary) / "configuration.mjs"
        source.write_bytes(msgspec.json.encode(api.document))
        options = {**OPTIONS, "input": str(source), "output": {**OUTPUT, "path": str(folder / "src" / "api")}}
        configuration.write_text(f"export default {json.dumps(options)};", encoding="utf-8")
        _run("node", str(modules / "@hey-api/openapi-ts/bin/run.js"), f"--file={configuration}", "--no-log-file")
    _run("node", str(modules / "typescript/bin/tsc"), "--project", str(folder))


def install(package: Path, say: Callable[[str], None]) -> Path:
    """The folder `node_modules` beside a lock file, with what that names and nothing else.

    Others may do the same meanwhile: it is made elsewhere, and is there whole or not at all. Raises ClientError.
    """
    modules = package / "node_modules"
    digest = hashlib.sha256((package / "package-lock.json").read_bytes()).hexdigest()
    if not _is_of(digest, modules):
        say(f"Fetching what {package.name}/package-lock.json names from the npm registry, once.")
        with tempfile.TemporaryDirectory(prefix=".installing-", dir=package) as temporary:
            made = Path(temporary) / modules.name
            for part in ("package.json", "package-lock.json"):
                shutil.copy(package / part, temporary)
            _run("npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", temporary)
            (made / STAMP).write_text(digest)
            if not _is_of(digest, modules):
                shutil.rmtree(modules, ignore_errors=True)
                with suppress(OSError):  # another was faster
                    made.rename(modules)
    return modules


def _is_of(digest: str, modules: Path) -> bool:
    stamp = modules / STAMP
    return stamp.exists() and stamp.read_text() == digest


def _need_node() -> None:
    least = ".".join(map(str, OLDEST_NODE))
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise ClientError(
            f"Node.js is missing, with which clients in TypeScript are generated: install version {least} or newer and "
            "its npm, from your system's packages or from nodejs.org."
        )
    version = _run("node", "--version").strip()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_NODE:
        raise ClientError(f"Node.js is {version}, which is too old: install version {least} or newer.")


def _run(*command: str) -> str:
    done = subprocess.run(  # noqa: S603
        [shutil.which(command[0]) or command[0], *command[1:]],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise ClientError(f"{' '.join(command[:2])} failed:\n{(done.stdout + done.stderr).strip()}")
    return done.stdout

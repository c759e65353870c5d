"""What other languages' clients are made, checked and run with."""

import os
import shutil
import subprocess
from pathlib import Path

import openapi_generator_cli

from project.clients.typescript import GENERATOR, install
from tests.requirements import missing

JUDGES = Path(__file__).parent / "judges"
ARCHIVE = Path(openapi_generator_cli.__file__).parent / "openapi-generator.jar"
"""openapi-generator, and among much else the library that clients in Java read and write JSON with."""


def node_modules(package: Path) -> Path:
    """What the package's lock file names, installed once for all runs of this clone."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("Node.js", "apt-get install nodejs npm")
    return install(package, print)


def compile_typescript(folder: Path, *options: str) -> None:
    """Checks the types of a program that uses packages, and writes JavaScript beside it."""
    modules = folder / "node_modules"
    modules.mkdir(exist_ok=True)
    if not (modules / "@types").exists():
        (modules / "@types").symlink_to(node_modules(JUDGES) / "@types")
    tsc = node_modules(GENERATOR) / "typescript/bin/tsc"
    run("node", tsc, "--strict", *options, cwd=folder)


def openapi_generator(generator: str, document: Path, folder: Path, **properties: str) -> None:
    if shutil.which("java") is None:
        missing("Java", "apt-get install default-jdk-headless")
    run(
        *("java", "-jar", ARCHIVE, "generate", f"--generator-name={generator}"),
        *(f"--input-spec={document}", f"--output={folder}"),
        "--additional-properties=" + ",".join(f"{name}={value}" for name, value in properties.items()),
        "--global-property=apiDocs=false,modelDocs=false,apiTests=false,modelTests=false",
    )


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints that must not fail."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

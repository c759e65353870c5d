"""Files that commands write, formatted as the project is."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from project.settings import BASE_DIR


def tidy(paths: Sequence[Path]) -> None:
    """Sort imports and break lines, where the project's development tools are installed."""
    if importlib.util.find_spec("ruff") is not None:
        for command in (["check", "--select=I", "--fix"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *command, "--quiet", *paths], cwd=BASE_DIR, check=False)  # noqa: S603

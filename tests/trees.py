"""Copies of the project, to be changed and run as installations of their own.

tree = Tree(tmp_path)
tree.edit("project/settings.py", '"students")', '"students", "courses")')
tree.manage("check")
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

PARTS = ("project", "apps", "migrations", "tests", "manage.py", "pyproject.toml")


class Tree:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "copy"
        self.root.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                shutil.copytree(
                    ROOT / part,
                    self.root / part,
                    ignore=shutil.ignore_patterns("__pycache__", "benchmarks", "node_modules"),
                )
            else:
                shutil.copy(ROOT / part, self.root / part)

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces a text that stands in the file once."""
        text = (self.root / path).read_text()
        assert text.count(old) == 1, f"{path} has {old!r} {text.count(old)} times"
        (self.root / path).write_text(text.replace(old, new))

    def uninstall(self, app: str) -> None:
        """Removes the app with all that is its own: folder, tests, migrations, and name."""
        shutil.rmtree(self.root / "apps" / app)
        shutil.rmtree(self.root / "tests" / "apps" / app)
        for path in (self.root / "migrations" / "versions").glob(f"*_{app}*.py"):
            before = re.search(r"^down_revision = .*$", path.read_text(), re.MULTILINE)
            assert before is not None
            path.unlink()
            for other in path.parent.glob("*.py"):
                text = other.read_text()
                other.write_text(text.replace(f'down_revision = "{path.stem}"', before[0]))
        text = (self.root / "project/settings.py").read_text()
        names = re.search(r"^INSTALLED_APPS: .* = \((.*)\)$", text, re.MULTILINE)
        assert names is not None
        left = [name for name in names[1].rstrip(",").split(", ") if name != f'"{app}"']
        line = ", ".join(left) + ("," if len(left) == 1 else "")
        self.edit("project/settings.py", f"({names[1]})", f"({line})")

    def install(self, printed: str) -> None:
        """Adds the app whose line startapp has printed."""
        line = re.search(r"^ +(INSTALLED_APPS: .*)$", printed, re.MULTILINE)
        now = re.search(r"^INSTALLED_APPS: .*$", (self.root / "project/settings.py").read_text(), re.MULTILINE)
        assert line is not None
        assert now is not None
        self.edit("project/settings.py", now[0], line[1])

    def run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A Python command, such as `-m pytest`, with no settings but its own."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        return subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env={**inherited, **environment},
            check=False,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def manage(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.run("manage.py", *arguments, **environment)

    def managed(self, *arguments: str, **environment: str) -> str:
        """What a command prints that must not fail."""
        done = self.manage(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

"""`manage.py shell`: Python beside the data."""

import ast
import asyncio
import code
import inspect
import sys
from types import CodeType, FunctionType
from typing import Any

import click
from sqlalchemy.ext.asyncio import AsyncSession

from project import registry
from project.database import Database
from project.services import Service
from project.settings import Settings, load

GROUP = "Development"

FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@click.command()
@click.option("-c", "--command", help="Run this code instead of asking for some.")
def shell(command: str | None) -> None:
    """Open Python with the settings, the models, the services, the database and a session at hand.

    `await` works at the prompt. What standard input holds is run if it is no terminal.
    """
    settings = load()
    database = Database(settings)
    session = _session(database)
    names = {**_names(settings), "settings": settings, "database": database, "session": session}
    if command is None and not sys.stdin.isatty():
        command = sys.stdin.read()
    with asyncio.Runner() as runner:
        try:
            if command is not None:
                _run(compile(command, "<command>", "exec", FLAGS), names, runner)
            else:
                banner = f"Python {sys.version.split()[0]} with {', '.join(sorted(names))}. `await` works here."
                _Console(names, runner).interact(banner, exitmsg="")
        finally:
            runner.run(session.close())
            runner.run(database.close())


def _names(settings: Settings) -> dict[str, Any]:
    models = {model.__name__: model for model in registry.models(settings.installed_apps).values()}
    services = {
        name: item
        for module in registry.app_modules(settings.installed_apps, "services")
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, Service) and item.__module__ == module.__name__
    }
    return {**models, **services}


def _session(database: Database) -> AsyncSession:
    """A session with transactions, which the engine itself does without."""
    levels = database.engine.dialect.get_isolation_level_values(None)  # type: ignore[arg-type]  # none of them asks it
    level = "READ COMMITTED" if "READ COMMITTED" in levels else "SERIALIZABLE"
    return AsyncSession(database.engine.execution_options(isolation_level=level), expire_on_commit=False)


class _Console(code.InteractiveConsole):
    def __init__(self, names: dict[str, Any], runner: asyncio.Runner) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= FLAGS
        self._runner = runner

    def runcode(self, code: CodeType) -> None:
        try:
            _run(code, self.locals, self._runner)
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()


def _run(compiled: CodeType, names: dict[str, Any], runner: asyncio.Runner) -> None:
    result = FunctionType(compiled, names)()
    if inspect.iscoroutine(result):
        runner.run(result)

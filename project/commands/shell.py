"""`manage.py shell`: Python beside the data."""

import ast
import asyncio
import code
import contextlib
import inspect
import sys
import traceback
from types import CodeType, FunctionType
from typing import Any

import click

from project import registry
from project.database import Database
from project.database.errors import DatabaseError
from project.settings import Settings, load
from project.transfer.visiting import Visitor

GROUP = "Development"


@click.command()
@click.option("-c", "--command", help="Run this code instead of asking for some.")
@click.pass_context
def shell(ctx: click.Context, command: str | None) -> None:
    """Open Python with the settings, the models, the services, the database and a session at hand.

    `await` works at the prompt. What standard input holds is run if it is no terminal.
    """
    settings = load()
    database = Database(settings, Visitor(settings))
    with asyncio.Runner() as runner:
        with contextlib.suppress(DatabaseError):  # whoever does not use the database need not know
            runner.run(database.find())
        session = database.session()
        names = {**_names(settings), "settings": settings, "database": database, "session": session}
        console = _Console(names, runner)
        try:
            if command is not None or not sys.stdin.isatty():
                console.run(sys.stdin.buffer.read() if command is None else command)
                ctx.exit(console.failed)
            banner = f"Python {sys.version.split()[0]} with {', '.join(sorted(names))}. `await` works here."
            console.interact(banner, exitmsg="")
        finally:
            runner.run(session.close())
            runner.run(database.close())


def _names(settings: Settings) -> dict[str, Any]:
    models = {model.__name__: model for model in registry.models(settings.installed_apps).values()}
    services = {service.__name__: service for service in registry.services(settings.installed_apps)}
    return {**models, **services}


class _Console(code.InteractiveConsole):
    """Python's, which takes `await`, and shows no frames but those of the code that it was given."""

    def __init__(self, names: dict[str, Any], runner: asyncio.Runner) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self.failed = False
        self._runner = runner

    def run(self, source: str | bytes) -> None:
        """Run a whole text, or the bytes of a file; `failed` says whether it raised."""
        try:
            compiled = compile(source, self.filename, "exec", self.compile.compiler.flags, dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError):
            self.failed = True
            self.showsyntaxerror(self.filename)
        else:
            self.runcode(compiled)

    def runcode(self, code: CodeType) -> None:
        self.failed = False
        try:
            result = FunctionType(code, self.locals)()
            if inspect.iscoroutine(result):
                self._runner.run(result)
        except Exception as error:
            self.failed = True
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename != self.filename:
                trace = trace.tb_next
            self.write("".join(traceback.format_exception(error.with_traceback(trace))))

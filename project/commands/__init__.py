"""`python manage.py COMMAND`: every module of this folder, and of an app's `commands` folder, is a command of its name.

Such a module holds one click command named like itself, whose docstring is the help, and `GROUP`, the heading under
which the help lists it. Modules whose name starts with `_` are no commands. The help reads the files without running
them, and this module imports nothing that takes long: a command's module is imported when the command is called.
"""

import ast
import errno
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import click

ROOT = Path(__file__).resolve().parents[2]

GROUPS = ("Service", "Database", "Data", "Accounts", "Development")
"""The order of the headings; others come after these."""

INTERRUPTED = 130
"""What shells report for a process that Ctrl-C ended: 128 and the number of SIGINT."""


class Entry(NamedTuple):
    """What the help says of a command."""

    group: str
    summary: str


class Commands(click.Group):
    """The commands that the folders hold. A foreseeable failure is one sentence and exit code 1."""

    @cached_property
    def paths(self) -> dict[str, Path]:
        """The modules by the names of their commands; an app's own command stands in for the project's."""
        folders = [Path(__file__).parent, *_folders_of_apps()]
        modules = [path for folder in folders for path in sorted(folder.glob("*.py"))]
        return {path.stem: path for path in modules if not path.stem.startswith("_")}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        path = self.paths.get(cmd_name)
        if path is None:
            return None
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from project import callers

        callers.current.set(callers.of_command(args[0]))
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.paths, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        entries = {name: _entry(path) for name, path in sorted(self.paths.items())}
        others = sorted({entry.group for entry in entries.values()}.difference(GROUPS))
        width = max(map(len, entries))
        for group in (*GROUPS, *others):
            rows = [(name.ljust(width), entry.summary) for name, entry in entries.items() if entry.group == group]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        with _telling_why():  # the help is written here
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _telling_why():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            _interrupted(ctx)
        except click.Abort as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                _interrupted(ctx)
            raise
        except Exception as error:
            from project.database.errors import DatabaseError
            from project.settings import SettingsError

            if isinstance(error, SettingsError | DatabaseError):
                raise click.ClickException(str(error)) from error
            raise


def _folders_of_apps() -> list[Path]:
    """Of those that are installed, which the settings say without being run."""
    for statement in ast.parse((ROOT / "project" / "settings.py").read_bytes()).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id="INSTALLED_APPS"), value=ast.Tuple() as apps):
                return [ROOT / "apps" / app / "commands" for app in ast.literal_eval(apps)]
    return []


def _entry(path: Path) -> Entry:
    group, summary = "Others", ""
    for statement in ast.parse(path.read_bytes()).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="GROUP")], value=ast.Constant(value=str(text))):
                group = text
            case ast.FunctionDef(name=path.stem):
                first, _, _ = (ast.get_docstring(statement) or "").partition("\n\n")
                summary = first.replace("\n", " ").rstrip(".")
    return Entry(group, summary)


@contextmanager
def _telling_why() -> Iterator[None]:
    """For what the operating system refuses."""
    try:
        yield
    except OSError as error:
        if error.errno in (None, errno.EPIPE):
            raise
        from project.commands._output import writing_out

        with writing_out():
            pass
        named = "" if error.filename is None else f"{error.filename}: "
        raise click.ClickException(f"{named}{error.strerror}.") from error


def _interrupted(ctx: click.Context) -> None:
    click.echo(err=True)
    ctx.exit(INTERRUPTED)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Registrar: `python manage.py COMMAND --help` explains a command."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    cli(prog_name="python manage.py")

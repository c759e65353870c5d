"""New apps, written from the templates of `project/app_template`."""

import ast
import asyncio
import builtins
import importlib
import keyword
import re
import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from string import Template

from project import registry
from project.database import migrations
from project.formatting import tidy
from project.settings import BASE_DIR, Settings

TEMPLATES = BASE_DIR / "project" / "app_template"
TESTS = "test_controllers"
"""The template that goes to the tests; the others are the app's modules."""


class ScaffoldError(Exception):
    """The app cannot be written under that name; the message is a sentence that says why."""


def start(app: str, model: str, settings: Settings) -> list[Path]:
    """Write the app, its tests and its migration: all of them, or on failure nothing. Their paths.

    Raises ScaffoldError and MigrationError.
    """
    words = _words(app, model)
    folder, tests = BASE_DIR / "apps" / app, BASE_DIR / "tests" / "apps" / app
    modules = _render(words)
    _refuse_what_is_taken(words, modules, settings)
    with ExitStack() as undo:
        for path in (folder, tests):
            path.mkdir(parents=True)
            undo.callback(shutil.rmtree, path)
        written = []
        for name, text in modules.items():
            path = (tests if name == TESTS else folder) / f"{name}.py"
            path.write_text(text, encoding="utf-8")
            written.append(path)
        tidy(written)
        importlib.invalidate_caches()
        migration = asyncio.run(migrations.write(registry.metadata((*settings.installed_apps, app)), words["models"]))
        assert migration is not None
        undo.pop_all()
    return [*written, migration]


def _words(app: str, model: str) -> Mapping[str, str]:
    """What the templates call the app and its model."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,29}", app) or not re.fullmatch(r"[A-Z][A-Za-z0-9]{0,29}", model):
        raise ScaffoldError(
            "An app's name is of small letters, digits and _, a model's begins with a capital and has no _, and both "
            "are at most 30 characters long: `startapp courses --model Course`."
        )
    if keyword.iskeyword(app) or app in sys.stdlib_module_names:
        kind = "word" if keyword.iskeyword(app) else "module"
        raise ScaffoldError(f"{app} is a {kind} of Python's own: take another name for the app.")
    one = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", model).lower()
    many = app if app != one else _plural(one)
    article = "an" if one[0] in "aeiou" else "a"
    return {
        "app": app,
        "Model": model,
        "Models": "".join(part.capitalize() for part in many.split("_")),
        "model": one,
        "models": many,
        "path": many.strip("_").replace("_", "-"),
        "one": one.replace("_", " "),
        "many": many.replace("_", " "),
        "Many": many.replace("_", " ").capitalize(),
        "a_one": f"{article} {one.replace('_', ' ')}",
        "A_one": f"{article.capitalize()} {one.replace('_', ' ')}",
    }


def _plural(noun: str) -> str:
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if re.search(r"(s|x|z|ch|sh)$", noun) else f"{noun}s"


def _render(words: Mapping[str, str]) -> dict[str, str]:
    """The modules by name. Raises ScaffoldError where a word of theirs would mean two things."""
    templates = {path.stem: Template(path.read_text(encoding="utf-8")) for path in sorted(TEMPLATES.glob("*.py-tpl"))}
    stand_ins = {word: f"stand_in_{word}" for word in words}
    taken = {name for template in templates.values() for name in _names(template.substitute(stand_ins))}
    if words["Model"] in taken or words["Model"] in vars(builtins):
        raise ScaffoldError(
            f"{words['Model']} means something else in Python or in an app's modules: take another word, or two, such "
            f"as School{words['Model']}."
        )
    return {name: template.substitute(words) for name, template in templates.items()}


def _names(module: str) -> set[str]:
    """All names that a module imports, defines or uses."""
    found = set()
    for node in ast.walk(ast.parse(module)):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
            case ast.alias(name=name, asname=other):
                found.add(other or name.partition(".")[0])
    return found


def _described(modules: Mapping[str, str]) -> set[str]:
    """What the description of the API calls the app's structs and operations."""
    found = set()
    for name in ("schemas", "controllers"):
        for node in ast.walk(ast.parse(modules[name])):
            match node:
                case ast.ClassDef(name=struct) if name == "schemas":
                    found.add(struct)
                case ast.keyword(arg="operation_id", value=ast.Constant(value=str(operation))):
                    found.add(operation)
    return found


def _refuse_what_is_taken(words: Mapping[str, str], modules: Mapping[str, str], settings: Settings) -> None:
    """Raises ScaffoldError, and MigrationError where the new app's migration would be of something else too."""
    from project.asgi import create_app
    from project.openapi.documents import names

    app = words["app"]
    for path in (BASE_DIR / "apps" / app, BASE_DIR / "tests" / "apps" / app):
        if path.exists():
            raise ScaffoldError(f"There is {path.relative_to(BASE_DIR)} already: take another name, or remove it.")
    metadata = registry.metadata(settings.installed_apps)
    if words["models"] in metadata.tables:
        raise ScaffoldError(f"There is a table {words['models']} already: take another name.")
    service = create_app(settings)
    if words["path"] in {route.path.split("/")[1] for route in service.routes}:
        raise ScaffoldError(f"The service answers under /{words['path']} already: take another name.")
    if both := _described(modules) & names(service.state.document.content):
        raise ScaffoldError(
            f"The API has {' and '.join(sorted(both)[:2])} already, which clients could not tell apart: take another "
            f"word for the model, or two, such as School{words['Model']}."
        )
    if differences := asyncio.run(migrations.missing(metadata)):
        raise ScaffoldError(
            f"The installed models are not what the migrations make ({'; '.join(differences)}): run makemigrations "
            "first, or add the app that is missing to INSTALLED_APPS."
        )

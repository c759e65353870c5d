"""The installed apps: what each brings is found in its modules by name, so that adding an app is adding its name."""

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from project.settings import Settings, SettingsError

if TYPE_CHECKING:
    from litestar import Controller
    from sqlalchemy import MetaData, Table

    from project.admin import RecordView
    from project.database import Database


MODULES_WITH_TABLES = ("project.audit.models", "project.idempotency", "project.throttling", "project.transfer.gates")
"""The project's own, beside those of the apps."""


def app_modules(apps: Sequence[str], name: str) -> Iterator[ModuleType]:
    """The module `apps.APP.name` of every app that has one.

    Raises SettingsError for an app without a folder.
    """
    for app in apps:
        if importlib.util.find_spec(f"apps.{app}") is None:
            raise SettingsError(
                f"INSTALLED_APPS names {app!r}, but there is no apps/{app}: remove the name or add the app."
            )
        if importlib.util.find_spec(f"apps.{app}.{name}") is not None:
            yield importlib.import_module(f"apps.{app}.{name}")


def controllers(apps: Sequence[str]) -> "list[type[Controller]]":
    from litestar import Controller

    return [
        item
        for module in app_modules(apps, "controllers")
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Controller) and item.__module__ == module.__name__
    ]


def metadata(apps: Sequence[str]) -> "MetaData":
    """The tables of the installed apps and of the project itself."""
    from project import models

    for module in MODULES_WITH_TABLES:
        importlib.import_module(module)
    for _ in app_modules(apps, "models"):
        pass
    return models.Base.metadata


def tables(apps: Sequence[str]) -> "list[Table]":
    """Those that hold what the service was given, parents before the tables that refer to them.

    What a database says of itself alone is marked with `info={"local": True}`, and stays where it is.
    """
    return [table for table in metadata(apps).sorted_tables if not table.info.get("local")]


def models(apps: Sequence[str]) -> "dict[str, type[Any]]":
    """Every app's model classes by label, such as `students.student`, parents before the rows that refer to them."""
    from project.models import Base, label

    order: dict[Any, int] = {table: position for position, table in enumerate(metadata(apps).sorted_tables)}
    found = {
        label(item): item
        for module in app_modules(apps, "models")
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Base)
        and item.__module__ == module.__name__
        and hasattr(item, "__table__")
    }
    return dict(sorted(found.items(), key=lambda pair: order[pair[1].__table__]))


def services(apps: Sequence[str]) -> "list[type[Any]]":
    """Every app's service classes."""
    from project.services import Service

    return [
        item
        for module in app_modules(apps, "services")
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Service) and item.__module__ == module.__name__
    ]


def accounts(apps: Sequence[str]) -> "Callable[[Database, Settings], Any] | None":
    """What makes the accounts of an application: the class `Accounts` in the `guards` of an app, where one has it.

    What `project.access` asks of it is the protocol there of the same name.
    """
    return next((module.Accounts for module in app_modules(apps, "guards") if hasattr(module, "Accounts")), None)


def admin_views(apps: Sequence[str]) -> "list[type[RecordView[Any]]]":
    """What every app shows at the admin site."""
    from project.admin import RecordView

    return [
        item
        for module in app_modules(apps, "admin")
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, RecordView) and item.__module__ == module.__name__
    ]

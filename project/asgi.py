"""The service as an ASGI application: `uvicorn project.asgi:app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from project import problems, registry
from project.database import Database
from project.middleware import Envelope
from project.pagination import Cursors
from project.queries import NoQuery, parse
from project.settings import Settings, load

MOST_BODY = 1024 * 1024


def create_app(settings: Settings) -> Litestar:
    """Raises SettingsError for settings that cannot work together."""
    database = Database(settings)
    cursors = Cursors(settings.secret_key)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await database.close()

    app = Litestar(
        route_handlers=registry.controllers(settings.installed_apps),
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "cursors": Provide(lambda: cursors, sync_to_thread=False),
        },
        before_request=check_query,
        exception_handlers={Exception: problems.respond},
        lifespan=[lifespan],
        openapi_config=OpenAPIConfig(
            title="Registrar", version="1.0.0", path="/", render_plugins=[JsonRenderPlugin(path="/openapi.json")]
        ),
        request_max_body_size=MOST_BODY,
        state=State({"database": database, "settings": settings}),
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = Envelope(app.asgi_handler)
    return app


async def check_query(request: Request[Any, Any, Any]) -> None:
    """Refuses parameters on routes that declare no query."""
    if request.scope["query_string"] and "parameters" not in request.route_handler.resolve_dependencies():
        parse(request.scope["query_string"], NoQuery)


def __getattr__(name: str) -> Any:
    """`app` is made when a server asks for it, so that importing this module reads no settings."""
    if name == "app":
        return create_app(load())
    raise AttributeError(name)

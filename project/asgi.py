"""The service as an ASGI application: `uvicorn project.asgi:app`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from litestar import Controller, Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import ImproperlyConfiguredException
from litestar.middleware import MiddlewareProtocol
from litestar.routes import HTTPRoute

from project import admin, logs, openapi, problems, registry, requests
from project.access import Access
from project.audit.controllers import AuditController
from project.audit.sealing import sealing
from project.database import Database
from project.docs.controllers import DocsController
from project.health import OperationsController
from project.lifetime import end_with_parent, handing_over_soon, keeping_what_is_loaded
from project.middleware import Envelope, cors
from project.pagination import Cursors
from project.routing import Check, Routes
from project.settings import Settings, load
from project.throttling import Limit
from project.transfer.following import Follower

MOST_BODY = 1024 * 1024


def create_app(settings: Settings) -> Litestar:
    """Raises SettingsError for settings that cannot work together."""
    logs.configure(settings)
    follower = Follower(settings)
    database = Database(settings, follower)
    cursors = Cursors(settings.secret_key)
    create_accounts = registry.accounts(settings.installed_apps)
    accounts = None if create_accounts is None else create_accounts(database, settings)
    limit = None if settings.rate_limit is None else Limit(database, settings.secret_key, settings.rate_limit)
    access = Access(settings, accounts, limit)

    async def before_request(request: Request[Any, Any, Any]) -> Response[None] | None:
        await access.check(request)
        return requests.check(request)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        end_with_parent()
        try:
            await follower.start()
            following = asyncio.create_task(follower.run())
            async with sealing(database):
                with keeping_what_is_loaded(), handing_over_soon():
                    yield
            following.cancel()
            await asyncio.wait({following})
        finally:
            if accounts is not None:
                await accounts.close()
            await database.close()

    controllers: list[type[Controller]] = [
        *registry.controllers(settings.installed_apps),
        AuditController,
        OperationsController,
    ]
    sites = []
    if accounts is not None:
        sites.append(
            admin.handler(admin.Site(settings, database, accounts, registry.admin_views(settings.installed_apps)))
        )
    cors_config = cors(settings)
    app = Litestar(
        route_handlers=[*controllers, DocsController, *sites],
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "cursors": Provide(lambda: cursors, sync_to_thread=False),
            "accounts": Provide(lambda: accounts, sync_to_thread=False),
        },
        before_request=before_request,
        cors_config=cors_config,
        exception_handlers={Exception: problems.respond},
        lifespan=[lifespan],
        openapi_config=openapi.config(controllers),
        plugins=[openapi.Structs()],
        request_class=requests.WholeRequest,
        request_max_body_size=MOST_BODY,
        state=State({"database": database, "settings": settings, "accounts": accounts}),
        logging_config=None,
        debug=False,
    )
    _require(app, before_request)
    app.state.document = openapi.Document(app)
    _shorten(app, before_request)
    app.asgi_handler = Envelope(app.asgi_handler, settings, cors_config)
    return app


def _require(app: Litestar, before_request: Any) -> None:
    """Raises ImproperlyConfiguredException for a route that would be served without its check.

    Litestar's guards, which no layer can take away, copy the handler for each request.
    """
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else []
        if not handlers or any(handler.resolve_before_request() is not before_request for handler in handlers):
            raise ImproperlyConfiguredException(
                f"{route.path} would let everybody in: serve it by a handler of HTTP without a `before_request`."
            )


def _shorten(app: Litestar, before_request: Check) -> None:
    """Puts the short ways in front of Litestar's router, behind what it does for CORS."""
    if app.cors_config is None:
        app.asgi_handler = Routes(app, before_request, app.asgi_handler)
    else:
        outer = cast(MiddlewareProtocol, app.asgi_handler)
        outer.app = Routes(app, before_request, outer.app)


def __getattr__(name: str) -> Any:
    """`app` is made when a server asks for it, so that importing this module reads no settings."""
    if name == "app":
        return create_app(load())
    raise AttributeError(name)

"""The service as an ASGI application: `uvicorn project.asgi:app`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Controller, Litestar
from litestar.datastructures import State
from litestar.di import Provide

from project import logs, openapi, problems, registry, requests
from project.database import Database
from project.docs.controllers import DocsController
from project.health import OperationsController
from project.lifetime import end_with_parent
from project.middleware import Envelope, cors
from project.pagination import Cursors
from project.settings import Settings, load
from project.transfer.following import Follower

MOST_BODY = 1024 * 1024


def create_app(settings: Settings) -> Litestar:
    """Raises SettingsError for settings that cannot work together."""
    logs.configure(settings)
    follower = Follower(settings)
    database = Database(settings, follower)
    cursors = Cursors(settings.secret_key)

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        end_with_parent()
        try:
            await follower.start()
            following = asyncio.create_task(follower.run())
            yield
            following.cancel()
            await asyncio.wait({following})
        finally:
            await database.close()

    controllers: list[type[Controller]] = [*registry.controllers(settings.installed_apps), OperationsController]
    cors_config = cors(settings)
    app = Litestar(
        route_handlers=[*controllers, DocsController],
        dependencies={
            "database": Provide(lambda: database, sync_to_thread=False),
            "cursors": Provide(lambda: cursors, sync_to_thread=False),
        },
        before_request=requests.check,
        cors_config=cors_config,
        exception_handlers={Exception: problems.respond},
        lifespan=[lifespan],
        openapi_config=openapi.config(controllers),
        plugins=[openapi.Structs()],
        request_max_body_size=MOST_BODY,
        state=State({"database": database, "settings": settings}),
        logging_config=None,
        debug=False,
    )
    app.state.document = openapi.Document(app)
    app.asgi_handler = Envelope(app.asgi_handler, settings, cors_config)
    return app


def __getattr__(name: str) -> Any:
    """`app` is made when a server asks for it, so that importing this module reads no settings."""
    if name == "app":
        return create_app(load())
    raise AttributeError(name)

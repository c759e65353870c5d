"""The admin site itself: the library's application, mounted at /admin, under the rules of the rest of the service."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import litestar
from adminsite import Admin
from advanced_alchemy.exceptions import NotFoundError
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from project import openapi, problems
from project.admin import transfers
from project.admin.cards import ActiveDatabase, Changes
from project.admin.forms import Endpoint, with_comparable_token
from project.admin.history import Trail
from project.admin.links import within_the_calendar
from project.admin.sessions import Rules, Source
from project.admin.signing_in import Accounts, SignIn
from project.admin.views import RecordView
from project.database import Database
from project.database.errors import DatabaseError
from project.problems import Problem, TooLarge
from project.requests import AS_SENT
from project.settings import Settings

HERE = Path(__file__).parent
PATH = "/admin"
COOKIE = "registrar_admin"

MOST_FORM = 1024 * 1024
"""Bytes of a form; a file to import may have any size."""

POLICY = (
    b"content-security-policy",
    (
        b"default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
)
"""The library's pages hold scripts, and Alpine evaluates attributes; all else they load comes from this server."""

FOR_EVER = (b"cache-control", b"public, max-age=31536000, immutable")
NO_STORE = (b"cache-control", b"no-store")


class Site(Admin):
    def __init__(
        self, settings: Settings, database: Database, accounts: Accounts, views: Sequence[type[RecordView[Any]]]
    ) -> None:
        self.settings = settings
        self.source = Source(database, accounts)
        self.trail = Trail(self.source)
        sign_in = SignIn(accounts)
        super().__init__(
            self.source,
            title=openapi.TITLE,
            views=sorted(views, key=lambda view: view.group),
            auth=sign_in,
            audit=self.trail,
            dashboard=[*(card for view in views for card in view.cards), Changes(), ActiveDatabase()],
            secret_key=hashlib.blake2b(settings.secret_key.encode(), digest_size=32, person=b"admin").hexdigest(),
            session_cookie=COOKIE,
            session_https_only=not settings.debug,
            session_max_age=None,
            template_dirs=[HERE / "templates"],
        )
        self.add_static("registrar", HERE / "static")
        self.add_stylesheet("-/static/registrar/site.css")
        built: list[RecordView[Any]] = list(self.views)  # type: ignore[arg-type]
        for view in built:
            self.source.rules[view.model] = Rules(view.service, view.creates, view.updates)
        self.trail.know(built)
        sign_in.know(built)
        for kind in (Problem, DatabaseError, NotFoundError, Exception):
            self.app.add_exception_handler(kind, self._failed)

    def routes(self) -> list[Route | Mount]:
        handler = super()._handler
        ours = [
            Route("/{view}/export", handler(transfers.export)),
            Route("/{view}/import", handler(transfers.import_form), methods=["GET"]),
            Route("/{view}/import", handler(transfers.import_file), methods=["POST"]),
        ]
        return [*ours, *(route for route in super().routes() if not _is_import(route))]

    def middleware(self) -> list[Middleware]:
        [sessions] = super().middleware()
        sessions.kwargs["path"] = PATH
        return [sessions]

    def _handler(self, endpoint: Endpoint, guarded: bool = True) -> Any:
        return super()._handler(within_the_calendar(with_comparable_token(endpoint)), guarded)

    async def render(
        self, name: str, request: Request, context: dict[str, Any] | None = None, status_code: int = 200
    ) -> Response:
        response = await super().render(name, request, context, status_code)
        problem = getattr(request.state, "problem", None)
        if problem is not None:
            response.status_code = problem.status
            response.headers.update({name: value for name, value in problem.headers.items() if name == "Retry-After"})
        return response

    async def _failed(self, request: Request, error: Exception) -> Response:
        outer: Any = {**request.scope, "root_path": ""}
        problem = problems.of_exception(litestar.Request(outer), error)
        self.speak(request)
        request.state.problem = problem
        if request.headers.get("hx-request") == "true":
            return PlainTextResponse(problem.detail, problem.status, headers=problem.headers)
        context = {"status": problem.status, "heading": problem.title, "message": problem.detail}
        return await self.render("error.html", request, context, problem.status)


def _is_import(route: Route | Mount) -> bool:
    """The library's own: it writes row by row, and keeps the file between two requests on the disk of one machine."""
    return route.path.startswith("/{view}/import")


def handler(site: Site) -> HTTPRouteHandler:
    """What Litestar serves at /admin and below. A mount of its own would match /administrators too."""
    app = _Mounted(site)

    @litestar.route(
        [PATH, f"{PATH}/{{rest:path}}"],
        http_method=[HttpMethod.GET, HttpMethod.POST],
        opt={AS_SENT: True},
        include_in_schema=False,
    )
    async def admin() -> ASGIApp:
        return app

    return admin


class _Mounted:
    """The site as one response: with its headers, and with a limit to what is sent to it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0])
        inner: Any = {**scope, "root_path": PATH, "path": f"{PATH}/" if path == PATH else path}
        is_asset = path.startswith(f"{PATH}/static/") and bool(scope["query_string"])
        started = False

        async def send_out(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                keep = FOR_EVER if is_asset and message["status"] == 200 else NO_STORE
                message["headers"] = [*message["headers"], POLICY, keep]
            await send(message)

        try:
            await self._site(inner, _limited(receive, None if path.endswith("/import") else MOST_FORM), send_out)
        except Exception:
            if not started:
                raise  # or else the page that says so is sent already


def _limited(receive: Receive, most: int | None) -> Receive:
    """Raises TooLarge once more has come."""
    received = 0

    async def receive_some() -> Any:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))  # type: ignore[arg-type]
        if most is not None and received > most:
            raise TooLarge
        return message

    return receive_some

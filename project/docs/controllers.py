"""The document of the API, and its pages for people."""

import html
from functools import cache, lru_cache
from pathlib import Path
from string import Template
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.datastructures import State
from litestar.params import FromPath
from litestar.response import Redirect

from project import openapi, problems
from project.docs.assets import ASK_EACH_TIME, FOR_EVER, Asset, Folder

HERE = Path(__file__).parent
ASSETS = Folder(HERE / "static")
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS_POLICY = f"{PAGE_POLICY}; script-src 'self'; connect-src 'self'".replace("img-src 'self'", "img-src 'self' data:")
"""Swagger UI's icons are data: URLs; all else comes from this server, and no script or style stands in the page."""


class DocsController(Controller):
    """Everything here may be shared by all requests of a process: it is made when it is first asked for."""

    include_in_schema = False

    @get("/", sync_to_thread=False)
    def home(self) -> Redirect:
        return Redirect("/docs")

    @get("/docs", sync_to_thread=True)
    def docs(self, request: Request[Any, Any, State]) -> Response[bytes]:
        return _docs_page().respond(request, ASK_EACH_TIME, {"Content-Security-Policy": DOCS_POLICY})

    @get("/docs/assets/{name:str}", sync_to_thread=True)
    def asset(self, request: Request[Any, Any, State], name: FromPath[str]) -> Response[bytes]:
        if name not in ASSETS.by_name:
            raise problems.NotFound(f"There is nothing at {request.scope['path']}.")
        return ASSETS.by_name[name].respond(request, FOR_EVER)

    @get("/favicon.ico", sync_to_thread=True)
    def icon(self, request: Request[Any, Any, State]) -> Response[bytes]:
        """What a browser asks for where a page names no icon, as those of the admin site."""
        return ASSETS.by_name[ASSETS.name("favicon.svg")].respond(request, ASK_EACH_TIME)

    @get("/openapi.json", sync_to_thread=True)
    def json(self, request: Request[Any, Any, State], state: State) -> Response[bytes]:
        return _document(state.document, "json").respond(request, ASK_EACH_TIME)

    @get("/openapi.yaml", sync_to_thread=True)
    def yaml(self, request: Request[Any, Any, State], state: State) -> Response[bytes]:
        return _document(state.document, "yaml").respond(request, ASK_EACH_TIME)

    @get("/problems/{slug:str}", sync_to_thread=True)
    def problem(self, request: Request[Any, Any, State], slug: FromPath[str]) -> Response[bytes]:
        if slug not in problems.KINDS:
            raise problems.NotFound(f"There is no kind of problem called {slug}.")
        return _problem_page(slug).respond(request, ASK_EACH_TIME, {"Content-Security-Policy": PAGE_POLICY})


@lru_cache(maxsize=2)
def _document(document: openapi.Document, form: openapi.Format) -> Asset:
    return Asset(document.encoded(form), {"json": "application/json", "yaml": "application/yaml"}[form])


@cache
def _docs_page() -> Asset:
    return _page(
        "docs.html",
        title=f"{openapi.TITLE} API",
        schema="/openapi.json",
        swagger_ui=_url("swagger-ui/swagger-ui-bundle.js"),
        swagger_ui_style=_url("swagger-ui/swagger-ui.css"),
        script=_url("docs.js"),
        style=_url("docs.css"),
    )


@cache
def _problem_page(slug: str) -> Asset:
    kind = problems.KINDS[slug]
    return _page(
        "problem.html",
        title=kind.title,
        status=str(kind.status),
        slug=kind.slug,
        meaning=kind.meaning,
        style=_url("page.css"),
    )


def _page(name: str, **values: str) -> Asset:
    template = Template((HERE / "pages" / name).read_text(encoding="utf-8"))
    escaped = {key: html.escape(value) for key, value in values.items()}
    return Asset(template.substitute(escaped, favicon=_url("favicon.svg")).encode(), "text/html")


def _url(file: str) -> str:
    return f"/docs/assets/{ASSETS.name(file)}"

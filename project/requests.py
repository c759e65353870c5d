"""What a request must be before its handler is called, whatever the route."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Headers
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope
from litestar.utils.scope.state import ScopeState

from project.problems import NotAcceptable, NotFound
from project.queries import NoQuery, parse

MEDIA_TYPES = "media_types"
"""The key of a handler's `opt` for all media types that it answers with, where `media_type` cannot say it."""

AS_SENT = "as_sent"
"""The key of a handler's `opt` for one that sees itself to what it is asked, whatever the query and the media type."""

LISTS = frozenset({b"accept", b"accept-encoding", b"if-match", b"if-none-match"})
"""The fields in use here whose lines, where there are several, are one list (RFC 9110, section 5.3)."""

ANYTHING = (b"*/*", b"")

BIGINT = 2**63


async def check(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Raises BadQuery, NotFound or NotAcceptable. Answers OPTIONS itself."""
    scope, handler = request.scope, request.route_handler
    if AS_SENT in handler.opt:
        return None
    if scope["query_string"] and "parameters" not in handler.resolve_dependencies():
        parse(scope["query_string"], NoQuery)
    if scope["path_params"] and not _are_plain(scope["path_params"].values(), scope["path"]):
        raise NotFound(f"There is nothing at {scope['path']}.")
    accept = _lists(scope).get(b"accept", b"")
    if accept not in ANYTHING and not _accepts(accept, media_types := _media_types(handler)):
        raise NotAcceptable(f"This path answers with {' or '.join(media_types)} only.")
    return _options(request) if scope["method"] == "OPTIONS" else None


def _lists(scope: HTTPScope) -> dict[bytes, bytes]:
    """The lists in the headers, each on one line, as whoever asks for them from here on gets them too."""
    lists: dict[bytes, bytes] = {}
    is_split = False
    for name, value in scope["headers"]:
        if name in LISTS:
            is_split = is_split or name in lists
            lists[name] = b", ".join(filter(None, (lists[name], value))) if name in lists else value
    if is_split:
        scope["headers"] = [*((name, value) for name, value in scope["headers"] if name not in LISTS), *lists.items()]
        ScopeState.from_scope(scope).headers = Headers(scope["headers"])  # Litestar may have read them before
    return lists


def _options(request: Request[Any, Any, Any]) -> Response[None]:
    """Litestar's own answer names the methods of the first handler of the path only."""
    template = request.scope["path_template"]
    routes = [route for route in request.app.routes if isinstance(route, HTTPRoute) and route.path_format == template]
    methods = {method for route in routes for method in route.methods}
    return Response(None, status_code=204, headers={"Allow": ", ".join(sorted(methods))})


def _are_plain(values: Iterable[Any], path: str) -> bool:
    """Whether the numbers stand in the path as they are: Python reads `1_0`, `+1`, ` 1` and `١` too.

    Those that no database has room for are nowhere.
    """
    for value in values:
        if type(value) is int and (f"/{value}/" not in f"{path}/" or not -BIGINT <= value < BIGINT):
            return False
    return True


@lru_cache(1024)
def _media_types(handler: HTTPRouteHandler) -> tuple[str, ...]:
    """What the handler answers with; empty where that is not known, or nothing."""
    if declared := handler.opt.get(MEDIA_TYPES):
        return tuple(declared)
    if handler.status_code == 204:
        return ()
    if handler.media_type:
        return (str(getattr(handler.media_type, "value", handler.media_type)),)
    content = handler.parsed_fn_signature.return_type.inner_types
    return () if not content or content[0].is_subclass_of((bytes, str)) else ("application/json",)


@lru_cache(1024)
def _accepts(header: bytes, media_types: tuple[str, ...]) -> bool:
    """RFC 9110, section 12.5.1: of the ranges that fit a type, the narrowest decides."""
    qualities = dict(map(_quality, header.decode("latin-1").lower().split(",")))
    for media_type in media_types:
        kind = media_type.partition(";")[0]
        ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        if next((qualities[each] for each in ranges if each in qualities), 0.0) > 0:
            return True
    return not media_types


def _quality(text: str) -> tuple[str, float]:
    media_range, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media_range, float(parameter[2:])
            except ValueError:
                break
    return media_range, 1.0

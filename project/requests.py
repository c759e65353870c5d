"""What a request is to its handler, and what it must be before that is called, whatever the route."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from litestar import Request, Response
from litestar.exceptions import InternalServerException
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Empty

from project.fields import Fields
from project.problems import ENDED_EARLY, Malformed, NotAcceptable, NotFound, TooLarge
from project.queries import NoQuery, parse

MEDIA_TYPES = "media_types"
"""The key of a handler's `opt` for all media types that it answers with, where `media_type` cannot say it."""

AS_SENT = "as_sent"
"""The key of a handler's `opt` for one that sees itself to what it is asked, whatever the query and the media type."""

ANYTHING = (b"*/*", b"")

BIGINT = 2**63

LENGTH_DIGITS = 20
"""So many of a length are looked at: whatever has more is too much."""


class WholeRequest(Request[Any, Any, Any]):
    """Takes its body in the pieces that it comes in, mostly one; Litestar's goes through a generator."""

    async def body(self) -> bytes:
        """Raises TooLarge, or Malformed where the connection ends before the body does."""
        state = self._connection_state
        if state.body is Empty:
            state.body = await self._received()
        self._body = state.body
        return self._body

    async def _received(self) -> bytes:
        if not self.is_connected:
            raise InternalServerException("stream consumed")
        most = self.route_handler.resolve_request_max_body_size()
        announced = Fields.of(self.scope).get(b"content-length", b"")[:LENGTH_DIGITS]
        if most is not None and announced.isdigit() and int(announced) > most:
            raise TooLarge
        pieces: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Malformed(ENDED_EARLY)
            pieces.append(message["body"])
            size += len(message["body"])
            if most is not None and size > most:
                raise TooLarge
            if not message.get("more_body"):
                return b"".join(pieces)


def check(request: Request[Any, Any, Any]) -> Response[None] | None:
    """Raises BadQuery, NotFound or NotAcceptable. Answers OPTIONS itself."""
    scope, handler = request.scope, request.route_handler
    if AS_SENT in handler.opt:
        return None
    if scope["query_string"] and not _takes_parameters(handler):
        parse(scope["query_string"], NoQuery)
    if scope["path_params"] and not _are_plain(scope["path_params"].values(), scope["path"]):
        raise NotFound(f"There is nothing at {scope['path']}.")
    accept = Fields.of(scope).get(b"accept", b"")
    if accept not in ANYTHING and not _accepts(accept, media_types := _media_types(handler)):
        raise NotAcceptable(f"This path answers with {' or '.join(media_types)} only.")
    return _options(request) if scope["method"] == "OPTIONS" else None


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
def _takes_parameters(handler: HTTPRouteHandler) -> bool:
    return "parameters" in handler.resolve_dependencies()


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


@lru_cache(128)
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

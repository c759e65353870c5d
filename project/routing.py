"""The short way from a request to its handler, found once for each route.

With every request Litestar works out anew what a handler's parameters are, looks for each in several places, and checks
what it found: that takes longer than to read a record. What handlers take here is of few kinds and needs no check that
is not made anyway, so a request that is plainly for one of them goes straight there. All others go Litestar's way.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, KwargDefinition
from litestar.response import Stream
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from litestar.typing import FieldDefinition
from msgspec import Struct

from project.dto import StrictDTO
from project.fields import Fields
from project.problems import EMPTY, Malformed, respond
from project.requests import WholeRequest
from project.responses import Encoded

Check = Callable[[Request[Any, Any, Any]], Awaitable[Response[None] | None]]
"""What every request passes first: raises what refuses it, or has the answer already."""
Source = Callable[[WholeRequest], Any]

MOST_DIGITS = 18
"""Of a number in a path: what has more may not fit the 64 bits of an id."""


class Way(NamedTuple):
    """To a handler that takes nothing but what is here."""

    handler: HTTPRouteHandler
    template: str
    prefix: str
    """The path, without the number that it may end in."""
    number: str | None
    """The name of that number."""
    sources: Mapping[str, Source]
    dto: type[StrictDTO[Any]] | None
    """Of its `data`."""


class Routes:
    """In front of Litestar's router, which has whatever is not plainly for one of its handlers.

    `check` is that of every handler.
    """

    def __init__(self, app: Litestar, check: Check, router: ASGIApp) -> None:
        self._app = app
        self._check = check
        self._router = router
        self._ways: dict[tuple[str, str], Way] = {}
        self._ways_to_numbers: dict[tuple[str, str], Way] = {}
        self._paths = {route.path for route in app.routes}
        for way in _ways(app):
            known = self._ways if way.number is None else self._ways_to_numbers
            known.update(((method, way.prefix), way) for method in way.handler.http_methods)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._way(scope) if scope["type"] == ScopeType.HTTP else None
        if way is None:
            await self._router(scope, receive, send)
            return
        request = WholeRequest(scope, receive, send)
        try:
            answer = await self._answer(way, request)
        except Exception as error:
            answer = respond(request, error).to_asgi_response(app=None, request=request)
        await answer(scope, receive, send)

    def _way(self, scope: HTTPScope) -> Way | None:
        """Leaves in the scope what Litestar would."""
        if scope["root_path"]:
            return None
        method, path = scope["method"], scope["path"]
        parameters: dict[str, Any] = {}
        way = self._ways.get((method, path))
        if way is None:
            prefix, _, last = path.rpartition("/")
            way = self._ways_to_numbers.get((method, prefix))
            if way is None or not _is_plain(last) or path in self._paths:
                return None
            parameters[str(way.number)] = int(last)
        scope["path_params"] = parameters
        scope["route_handler"] = way.handler
        scope["path_template"] = way.template
        return way

    async def _answer(self, way: Way, request: WholeRequest) -> ASGIApp:
        refusal = await self._check(request)
        if refusal is not None:
            return refusal.to_asgi_response(app=None, request=request)
        values = {name: source(request) for name, source in way.sources.items()}
        if way.dto is not None:
            body = await request.body()
            if not body:
                raise Malformed(EMPTY)
            values["data"] = way.dto(request).decode_bytes(body)
        result = await way.handler.fn(**values)
        if isinstance(result, Encoded):
            return result.to_asgi_response(app=None, request=request)
        return await way.handler.to_response(self._app, result, request)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isdecimal() and text[0] != "0" and len(text) <= MOST_DIGITS


def _ways(app: Litestar) -> Iterator[Way]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                way = None if _has_more_to_it(handler, app) else _way_to(handler, route)
                if way is not None:
                    yield way


def _way_to(handler: HTTPRouteHandler, route: HTTPRoute) -> Way | None:
    """None to a handler that takes or gives anything else."""
    number = None
    for place, component in enumerate(route.path_components, start=1):
        if not isinstance(component, str):
            if component.type is not int or place < len(route.path_components):
                return None
            number = component.name
    dependencies = handler.resolve_dependencies()
    sources: dict[str, Source] = {}
    dto = None
    for name, field in handler.parsed_fn_signature.parameters.items():
        if name == "data":
            given = handler.resolve_data_dto()
            if given is None or not issubclass(given, StrictDTO) or not field.is_required:
                return None
            dto = given
        else:
            source = _from_dependency(dependencies[name]) if name in dependencies else _source(name, field, number)
            if source is None:
                return None
            sources[name] = source
    prefix = route.path_format if number is None else route.path_format.rpartition("/")[0]
    return Way(handler, route.path_format, prefix, number, sources, dto)


def _has_more_to_it(handler: HTTPRouteHandler, app: Litestar) -> bool:
    """Whether its answer is not made at once, it runs in a thread, or has anything done that not every handler has."""
    signature = handler.parsed_fn_signature
    return bool(
        not signature.return_type.is_subclass_of((Response, Struct, NoneType))
        or signature.return_type.is_subclass_of(Stream)
        or handler.has_sync_callable
        or handler.sync_to_thread
        or handler.cache
        or handler.resolve_request_class() is not WholeRequest
        or handler.resolve_guards()
        or handler.resolve_middleware()
        or handler.resolve_after_response()
        or handler.resolve_exception_handlers() != app.exception_handlers
        or handler.resolve_response_cookies()
        or any(not header.documentation_only for header in handler.resolve_response_headers())
        or any(layer.after_request for layer in handler.ownership_layers)
        or handler.resolve_layered_parameters().keys() - signature.parameters.keys()
    )


def _source(name: str, field: FieldDefinition, number: str | None) -> Source | None:
    kind = field.kwarg_definition
    if isinstance(kind, KwargDefinition) and kind.is_constrained:
        return None
    if name == "request":
        return lambda request: request
    if name == number:
        return _from_path(name) if field.annotation is int else None
    if isinstance(kind, HeaderParameter) and field.annotation == str | None and field.default is None:
        return _from_header((kind.name or name).lower().encode())
    return None


def _from_path(name: str) -> Source:
    return lambda request: request.path_params[name]


def _from_header(name: bytes) -> Source:
    def value(request: WholeRequest) -> str | None:
        text = Fields.of(request.scope).get(name)
        return None if text is None else text.decode("latin-1")

    return value


def _from_dependency(provide: Provide) -> Source | None:
    dependency = provide.dependency
    is_generator = provide.has_sync_generator_dependency or provide.has_async_generator_dependency
    if is_generator or provide.use_cache or not provide.has_sync_callable:
        return None
    match list(provide.parsed_fn_signature.parameters):
        case []:
            return lambda request: dependency()
        case ["request"]:
            return lambda request: dependency(request)
    return None

"""A request is answered the same whichever way it takes: with a slash at its end it is left to Litestar's router."""

from collections.abc import AsyncIterator, Iterator
from enum import IntEnum
from itertools import count
from typing import Annotated, Any

import httpx
import pytest
from litestar import Controller, Litestar, Request, Response, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie, ResponseHeader
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.params import FromHeader, FromPath, FromQuery, HeaderParameter, JSONBody, PathParameter
from litestar.response import Stream
from litestar.testing import TestClient
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct
from msgspec.structs import replace

from project.dto import StrictDTO
from project.idempotency import Answer
from project.requests import WholeRequest
from project.responses import json_response
from project.routing import Routes
from project.settings import Settings
from tests.clients import serving

Client = TestClient[Litestar]
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
JSON = {"Content-Type": "application/json"}


@pytest.mark.engines("sqlite")
class TestBothWays:
    @pytest.mark.parametrize(
        ("method", "path", "options"),
        [
            ("GET", "/students", {}),
            ("GET", "/students", {"params": {"limit": 1, "sort": "-cgpa", "count": "true"}}),
            ("GET", "/students", {"params": {"limit": 0, "x": 1}}),
            ("GET", "/students", {"headers": {"Accept": "text/html"}}),
            ("GET", "/students/{id}", {}),
            ("HEAD", "/students/{id}", {}),
            ("GET", "/students/{id}", {"params": {"x": 1}}),
            ("GET", "/students/{id}", {"headers": {"If-None-Match": "{tag}"}}),
            ("GET", "/students/{id}", {"headers": [("If-None-Match", '"x"'), ("If-None-Match", "{tag}")]}),
            ("GET", "/students/{id}", {"headers": {"If-Match": '"x"'}}),
            ("GET", "/students/9999999999", {}),
            ("GET", "/students/9223372036854775808", {}),
            ("GET", "/student/{id}", {}),
            ("OPTIONS", "/students/{id}", {}),
            ("TRACE", "/students/{id}", {}),
            ("POST", "/students/{id}", {"json": STUDENT}),
            ("POST", "/students", {"json": STUDENT}),
            ("POST", "/students", {"json": STUDENT, "headers": {"Idempotency-Key": "é".encode("latin-1")}}),
            ("POST", "/students", {"json": STUDENT, "headers": {"Host": "elsewhere.example"}}),
            ("POST", "/students", {"json": {"name": 1, "cgpa": 11, "x": 2}}),
            ("POST", "/students", {"content": b"", "headers": JSON}),
            ("POST", "/students", {"content": b""}),
            ("POST", "/students", {"content": b"{", "headers": JSON}),
            ("POST", "/students", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
            ("POST", "/students", {"content": b"{}", "headers": {"Content-Type": "application/json; charset=UTF-8"}}),
            ("POST", "/students", {"content": b" " * (1024 * 1024 + 1), "headers": JSON}),
            ("POST", "/students/batch", {"json": [STUDENT, STUDENT]}),
            ("PUT", "/students/{id}", {"json": STUDENT, "headers": {"If-Match": "{tag}"}}),
            ("PATCH", "/students/{id}", {"json": {"cgpa": 1}}),
            ("PATCH", "/students/{id}", {"json": {"cgpa": 1}, "headers": {"If-Match": '"x"'}}),
            ("DELETE", "/students/{id}", {"headers": {"If-Match": '"x"'}}),
            ("DELETE", "/students/{id}", {}),
            ("GET", "/students/statistics", {}),
            ("GET", "/audit", {}),
            ("GET", "/auth/me", {}),
            ("GET", "/health/live", {}),
        ],
    )
    def test_lead_to_the_same_answer(self, client: Client, method: str, path: str, options: Any) -> None:
        answers = []
        for end in ("", "/"):
            made = client.post("/students", json=STUDENT)
            filled = _filled(options, made.headers["etag"])
            answers.append(client.request(method, path.format(id=made.json()["id"]) + end, **filled))
        short, long = map(_comparable, answers)
        assert short == long

    def test_know_the_pages_that_may_ask(self, settings: Settings) -> None:
        page = {"Origin": "https://pages.example"}
        with serving(replace(settings, cors_origins=(page["Origin"],))) as client:
            for path in ("/students", "/students/"):
                assert client.get(path, headers=page).headers["access-control-allow-origin"] == page["Origin"]
                asking = {**page, "Access-Control-Request-Method": "POST"}
                assert client.options(path, headers=asking).status_code == 204

    def test_take_a_body_in_pieces(self, client: Client) -> None:
        def pieces() -> Iterator[bytes]:
            yield from (b'{"name": "Ananya", ', b'"department": "CSE", ', b'"cgpa": 8.9}')

        for path in ("/students", "/students/"):
            assert client.post(path, content=pieces(), headers=JSON).status_code == 201


def _filled(options: Any, tag: str) -> Any:
    match options:
        case dict():
            return {name: _filled(value, tag) for name, value in options.items()}
        case list():
            return [_filled(each, tag) for each in options]
        case (name, value):
            return name, _filled(value, tag)
        case "{tag}":
            return tag
    return options


def _comparable(answer: httpx.Response) -> Any:
    """All but what no two answers have in common."""
    headers = sorted(
        (name, value)
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "etag", "location", "content-length", "date")
    )
    named = sorted(name for name in answer.headers if name in ("etag", "location", "content-length"))
    return answer.status_code, headers, named, _shape(answer.json() if answer.content else None)


def _shape(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: "..." if name in ("id", "key", "request_id", "instance") or name.endswith("_at") else _shape(each)
                for name, each in value.items()
                if name not in ("total", "next_cursor", "place", "at", "count")
            }
        case list():
            return _shape(value[0]) if value else []
    return value


def no_entry(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    raise NotAuthorizedException


class Marking(ASGIMiddleware):
    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        scope["path_params"]["marked"] = "by a middleware"
        await next_app(scope, receive, send)


async def after_request(response: Response[Any]) -> Response[Any]:
    response.set_header("after", "yes")
    return response


async def awaited() -> str:
    return "awaited"


async def generated() -> AsyncIterator[str]:
    yield "generated"


def given(given: NamedDependency[str]) -> str:
    return f"on what is {given}"


@get("/", sync_to_thread=False)
def at_once() -> str:
    return "at once"


@get("/guarded", guards=[no_entry])
async def guarded() -> None:
    return None


@get("/marked", middleware=[Marking()])
async def marked(request: Request[Any, Any, Any]) -> dict[str, str]:
    return request.path_params


@get("/after", after_request=after_request)
async def after() -> Response[None]:
    return Response(None)


@get("/query")
async def query(q: FromQuery[int]) -> Response[int]:
    return Response(q)


@get("/header")
async def header(number: Annotated[int, HeaderParameter(name="Number")], word: FromHeader[str]) -> Response[str]:
    return Response(f"{number} {word}")


@get("/text/{text:str}")
async def text(text: FromPath[str]) -> Response[str]:
    return Response(text)


@get("/inside/{number:int}/text")
async def inside(number: FromPath[int]) -> Response[int]:
    return Response(number)


@get("/dependent", dependencies={"given": Provide(awaited), "more": Provide(given, sync_to_thread=False)})
async def dependent(given: NamedDependency[str], more: NamedDependency[str]) -> Response[str]:
    return Response(f"{given} {more}")


@get("/generated", dependencies={"given": Provide(generated)})
async def from_a_generator(given: NamedDependency[str]) -> Response[str]:
    return Response(given)


@get("/stream")
async def stream() -> Stream:
    return Stream(generated())


@post("/lax")
async def lax(data: dict[str, int]) -> Response[dict[str, int]]:
    return Response(data)


@get("/mapped", exception_handlers={ZeroDivisionError: lambda request, error: Response("mapped", status_code=418)})
async def mapped() -> Response[float]:
    return Response(1 / 0)


class Kind(IntEnum):
    FIRST = 1


class Own(WholeRequest):
    pass


class Pair(Struct):
    a: int


@get("/short")
async def short(tag: Annotated[str | None, HeaderParameter(max_length=3)] = None) -> Response[str | None]:
    return Response(tag)


@get("/large/{number:int}")
async def large(number: Annotated[int, PathParameter(ge=5)]) -> Response[int]:
    return Response(number)


@get("/kind/{kind:int}")
async def kind(kind: FromPath[Kind]) -> Response[str]:
    return Response(kind.name)


@get("/own", request_class=Own)
async def own(request: Request[Any, Any, Any]) -> Response[str]:
    return Response(type(request).__name__)


numbers = count(1)


def next_number() -> int:
    return next(numbers)


@get("/kept", dependencies={"given": Provide(next_number, use_cache=True, sync_to_thread=False)})
async def kept(given: NamedDependency[int]) -> Response[int]:
    return Response(given)


@post("/optional", dto=StrictDTO[Pair], return_dto=None)
async def optional(data: JSONBody[Pair | None] = None) -> Response[bool]:
    return Response(data is None)


@get("/literal/{number:int}")
async def of_number(number: FromPath[int]) -> Response[int]:
    return Response(number)


@get("/literal/404", sync_to_thread=False)
def literal() -> str:
    return "the literal"


@post("/literal/405", sync_to_thread=False)
def literal_of_another_method() -> str:
    return "posted"


@get("/cookie", response_cookies=[Cookie("a", "b")], response_headers=[ResponseHeader("x", value="y")])
async def cookie() -> Response[Any]:
    return json_response(Answer(200, b"{}", {}))


@get("/added")
async def added() -> Response[Any]:
    response = json_response(Answer(200, b"{}", {"one": "1"}))
    response.set_header("two", "2")
    response.set_cookie("three", "3")
    return response


@get("/annotated")
async def annotated() -> Pair:
    return json_response(Answer(200, b'{"a": 1}', {}))  # type: ignore[return-value]


class Layered(Controller):
    parameters = {"tag": HeaderParameter(name="Tag", annotation=str)}  # noqa: RUF012

    @get("/layered")
    async def layered(self) -> Response[None]:
        return Response(None)


HANDLERS: list[Any] = [
    *(at_once, guarded, marked, after, query, header, text, inside),
    *(dependent, from_a_generator, stream, lax, mapped),
    *(short, large, kind, own, kept, optional, of_number, literal, literal_of_another_method),
    *(cookie, added, annotated, Layered),
]


async def check(request: Request[Any, Any, Any]) -> None:
    return None


@pytest.mark.filterwarnings("ignore:.*declared without a body marker")
@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/", {}),
        ("GET", "/guarded", {}),
        ("GET", "/marked", {}),
        ("GET", "/after", {}),
        ("GET", "/query", {"params": {"q": "17"}}),
        ("GET", "/header", {"headers": {"Number": "17", "Word": "w"}}),
        ("GET", "/header", {}),
        ("GET", "/text/abc", {}),
        ("GET", "/text/17", {}),
        ("GET", "/inside/17/text", {}),
        ("GET", "/dependent", {}),
        ("GET", "/generated", {}),
        ("GET", "/stream", {}),
        ("POST", "/lax", {"json": {"a": "17"}}),
        ("GET", "/mapped", {}),
        ("GET", "/nowhere", {}),
        ("POST", "/", {}),
        ("GET", "/short", {"headers": {"Tag": "long"}}),
        ("GET", "/large/4", {}),
        ("GET", "/kind/1", {}),
        ("GET", "/kind/2", {}),
        ("GET", "/own", {}),
        ("GET", "/kept", {}),
        ("POST", "/optional", {}),
        ("GET", "/literal/403", {}),
        ("GET", "/literal/404", {}),
        ("GET", "/literal/405", {}),
        ("GET", "/cookie", {}),
        ("GET", "/added", {}),
        ("GET", "/annotated", {}),
        ("GET", "/layered", {}),
    ],
)
def test_handlers_with_more_to_them_are_left_to_litestar(method: str, path: str, options: Any) -> None:
    with_ways, without = (Litestar(HANDLERS, request_class=WholeRequest, openapi_config=None) for _ in range(2))
    with_ways.asgi_handler = Routes(with_ways, check, with_ways.asgi_handler)
    answers = []
    for app in (with_ways, without):
        with TestClient(app, raise_server_exceptions=False) as client:
            twice = [client.request(method, path, **options) for _ in range(2)]
            answers.append([(each.status_code, sorted(each.headers.items()), each.content) for each in twice])
    assert answers[0] == answers[1]

"""What happens to every request before it is routed and to every response before it leaves."""

import asyncio
import random
import re
import time
from typing import Any, cast
from urllib.parse import quote

from litestar import Request
from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from project import logs, metrics
from project.fields import Fields
from project.hosts import Hosts
from project.problems import Forbidden, Malformed, Problem, of_stop, respond
from project.proxies import Proxies
from project.settings import Settings

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]

POLICY = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
)
"""Of everything that is not a page with a policy of its own: it may load nothing."""

CACHE = b"cache-control"
FOR_ONE = [(CACHE, b"private, no-cache"), (b"vary", b"Authorization")]
"""What a token decided may be kept by its owner's own cache, which asks each time whether it still holds."""

STRICT_TRANSPORT = (b"strict-transport-security", b"max-age=31536000")

EXPOSED = ["ETag", "Link", "Location", "Retry-After", "X-Request-ID"]
"""The headers that scripts of other origins may read."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=-]{1,128}")


def cors(settings: Settings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(allow_origins=list(settings.cors_origins), expose_headers=EXPOSED)


class Envelope:
    """The outermost layer: hosts, clients behind proxies, request ids, HEAD, security headers, the access log, numbers.

    One layer for all of them, because a second one costs each request as much as the first.
    """

    def __init__(self, app: ASGIApp, settings: Settings, cors: CORSConfig | None = None) -> None:
        self._app = app
        self._refusal_of_host = Hosts(settings).refusal
        self._proxies = Proxies(settings)
        self._cors = cors
        self._log = logs.AccessLog(settings)
        self._headers = SECURITY_HEADERS if settings.debug else [*SECURITY_HEADERS, STRICT_TRANSPORT]
        self._headers_with_policy = [*self._headers, POLICY]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        metrics.began()
        lines = list(scope["headers"])
        fields = Fields.of(scope)
        request_id = fields.get(b"x-request-id")
        if request_id is None or not _REQUEST_ID.fullmatch(request_id):
            request_id = b"%016x" % random.getrandbits(64)
        logs.request_id.set(request_id.decode())
        address, scheme = self._proxies.client(scope["client"], lines)
        scope["client"] = None if address is None else (address, 0)
        scope["scheme"] = scheme or scope["scheme"]
        method = scope["method"]
        inner = scope
        if method == "HEAD":
            inner = cast(HTTPScope, {**scope, "method": "GET"})
            send = _without_body(send)
        status = 0

        async def send_outward(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = message["headers"]
                names = {name for name, _ in given}
                added = self._headers if POLICY[0] in names else self._headers_with_policy
                if b"authorization" in fields and CACHE not in names:
                    added = [*added, *FOR_ONE]
                if status == 405 or method == "OPTIONS":
                    given = [(name, _with_head(value) if name == b"allow" else value) for name, value in given]
                message["headers"] = [*given, *added, (b"x-request-id", request_id)]
            await send(message)

        try:
            refusal = self._refusal(scope, fields)
            app = self._app if refusal is None else _refused(refusal)
            await app(inner, receive, send_outward)
        except asyncio.CancelledError:
            status = status or of_stop(method).status
            raise
        finally:
            status = status or 500
            seconds = time.perf_counter() - started
            metrics.ended(method, inner.get("path_template"), status, seconds)
            self._log.answered(method, _path(scope), status, seconds)

    def _refusal(self, scope: HTTPScope, fields: Fields) -> Problem | None:
        if b"host" in fields.repeated:
            return Malformed("The request names more than one host.")
        refusal = self._refusal_of_host(scope["server"], fields)
        if refusal is None and self._cors is not None and scope["method"] == "OPTIONS":
            origin = fields.get(b"origin", b"").decode("latin-1")
            if origin and not self._cors.is_origin_allowed(origin):
                return Forbidden("CORS_ORIGINS does not have the origin of the page that asks.")
        return refusal


def _refused(problem: Problem) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request[Any, Any, Any](scope, receive, send)
        await respond(request, problem).to_asgi_response(app=None, request=request)(scope, receive, send)

    return app


def _without_body(send: Send) -> Send:
    """Ends the response after its headers: whoever streams a body is then told that nobody listens."""
    ended = False

    async def send_head(message: Message) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_head


def _with_head(allowed: bytes) -> bytes:
    methods = {method.strip() for method in allowed.split(b",")}
    return b", ".join(sorted(methods | {b"HEAD"} if b"GET" in methods else methods))


def _path(scope: HTTPScope) -> str:
    """As it was sent, in percent encoding: it can hold no line break and nothing that a terminal obeys."""
    raw = scope.get("raw_path")
    return raw.decode("ascii", "backslashreplace") if raw else quote(scope["path"])

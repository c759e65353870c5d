"""What happens to every request before it is routed and to every response before it leaves."""

import re
import secrets
import time
from typing import Any

import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

log = structlog.get_logger("request")

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of everything that is not a page: it may load nothing."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._~+/=-]{1,128}")


class Envelope:
    """The outermost layer: request ids, HEAD, security headers, the access log and the count of requests.

    One layer for all of them, because a second one costs each request as much as the first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        method = scope["method"]
        inner: HTTPScope = {**scope, "method": "GET"} if method == "HEAD" else scope  # type: ignore[typeddict-item,assignment]
        status = 500

        async def send_outward(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(message["headers"], request_id)
            elif method == "HEAD" and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        try:
            await self._app(inner, receive, send_outward)
        finally:
            seconds = time.perf_counter() - started
            log.info(
                "answered", method=method, path=scope["path"], status=status, milliseconds=round(seconds * 1000, 2)
            )
            structlog.contextvars.clear_contextvars()


def _request_id(scope: HTTPScope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return secrets.token_hex(8)


_FIXED = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def _headers(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    given = [(name, b"GET, HEAD" if name == b"allow" and value == b"GET" else value) for name, value in headers]
    if not any(name == b"content-security-policy" for name, _ in given):
        given.append((b"content-security-policy", POLICY.encode()))
    return [*given, *_FIXED, (b"x-request-id", request_id.encode())]

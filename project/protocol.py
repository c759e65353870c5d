"""uvicorn's HTTP protocol with bounds: on what a client may send before it makes sense, and on how long it may take.

uvicorn waits for ever, for a request that never ends and for a client that reads no answer, and httptools reads headers
of any size. What is refused here never reaches the application, but is answered like everything else. Whatever is not
begins when it is its turn.
"""

import asyncio
import functools
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from project import turns
from project.middleware import POLICY, SECURITY_HEADERS
from project.problems import (
    MEDIA_TYPE,
    PATH_CHARACTERS,
    HeadersTooLarge,
    Malformed,
    Problem,
    ProblemDetails,
    TooSlow,
    of_stop,
)
from project.responses import JSON

MOST_HEAD = 64 * 1024
"""Bytes of a request line and its headers."""
HEAD_SECONDS = 10.0
"""From the first byte of a request, or from the connection's start, to the end of its headers."""
BODY_SECONDS = 30.0
"""Between two pieces of a body: a slow upload may take its time, but not pause for longer."""
READ_SECONDS = 60.0
"""Between two pieces of an answer that the client takes."""
LOOK_SECONDS = 2.0
"""Between two looks at the clock; one timer a connection costs less than one a request."""
LAST_REQUEST_SECONDS = 0.2
"""How long an idle connection stays when the service stops: a request may be on its way."""

_UNPRINTABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._turns = turns.of(self.loop)
        self._stopping = False
        self._unread = 0
        self._heard = self._taken = self.loop.time()
        self._head_since: float | None = self._heard
        self._has_begun = False
        self._unsent = 0
        self._goes_on = False
        self._refusal: Problem | None = None
        self._watch = self.loop.call_later(LOOK_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        self._turns.flush()  # the transport closes at once, and takes no more

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        self._unread += len(data)
        if self._head_since is None and self._is_idle():
            self._head_since = self._heard
        self._unset_keepalive_if_required()
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._go_on(memoryview(data)[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))
        if self._unread > MOST_HEAD:
            self._refuse(HeadersTooLarge())

    def _go_on(self, rest: memoryview) -> None:
        """As if nothing had been said of an upgrade, which nobody has to grant (RFC 9110, section 7.8).

        The parser takes whatever follows such a request for the other protocol, the request's own body too, which
        Java's client loses that way: it asks for HTTP/2 with every first request. A parser that knows of no upgrade
        reads on, after a head that says no more than how long the body is; and another one after the next such request.
        """
        while True:
            framing = [header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding")]
            head = b"".join(b"%b: %b\r\n" % header for header in framing)
            self.parser = httptools.HttpRequestParser(self)
            self._goes_on = True
            try:
                self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % head)
                return self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]

    def on_message_begin(self) -> None:
        if self._goes_on:
            return
        super().on_message_begin()
        self._head_since = self._heard
        self._has_begun = True

    def on_url(self, url: bytes) -> None:
        if not self._goes_on:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_since is not None:  # otherwise it is a trailer, for which nobody here has a use
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_since = None
        self._has_begun = False
        self._unread = 0
        if self._goes_on:
            self._goes_on = False
            return
        super().on_headers_complete()
        if self._stopping:
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        async def answered(scope: Any, receive: Any, send: Any) -> None:
            try:
                receive = self._receive_for(cycle) if cycle.more_body else receive
                await app(scope, receive, Sending(cycle, self._turns).send)
            except BaseException as error:
                self._turns.flush()  # uvicorn closes the connection now
                if isinstance(error, asyncio.CancelledError):
                    await _tell_of_the_end(cycle)
                raise
            finally:
                self._turns.end()

        begin = functools.partial(super()._start_asgi_task, cycle, answered)
        self._turns.begin(begin, reads=cycle.scope["method"] in ("GET", "HEAD"))

    def _receive_for(self, cycle: RequestResponseCycle) -> Any:
        """Raises what is wrong with the body, where the application waits for it; one that does not goes on."""

        async def receive() -> Any:
            message = None
            if self._refusal is None or not cycle.more_body:
                message = await cycle.receive()
            if self._refusal is not None and cycle.more_body:
                raise self._refusal
            return message

        return receive

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(Malformed("The request is not HTTP as RFC 9112 has it."))

    def shutdown(self) -> None:
        self._stopping = True
        if self._is_idle():
            self.loop.call_later(LAST_REQUEST_SECONDS, self._close_if_idle)
        else:
            super().shutdown()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._is_idle() and not self._has_begun and not self.transport.is_closing():
            self.transport.close()

    def _look(self) -> None:
        self._watch = self.loop.call_later(LOOK_SECONDS, self._look)
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent or not unsent:
            self._unsent, self._taken = unsent, now
        if now - self._taken > READ_SECONDS:
            self.transport.abort()
        elif self._is_idle():
            if self._head_since is not None and now - self._head_since > HEAD_SECONDS:
                self._refuse(TooSlow()) if self._has_begun else self.transport.close()
        elif self._awaits_body() and now - self._heard > BODY_SECONDS:
            self._refuse(TooSlow())

    def _awaits_body(self) -> bool:
        return self.cycle.more_body and not self.cycle.response_started and not self.flow.read_paused

    def _refuse(self, problem: Problem) -> None:
        """Reads no more. Requests that came whole before are done all the same, and get the answers that are theirs."""
        if self.transport.is_closing():
            return
        if self._is_idle():
            self._turns.flush()
            self.transport.write(_answer(problem, self.server_state.default_headers))
            self.transport.close()
            return
        self.parser = Deaf()  # type: ignore[assignment]
        self.cycle.keep_alive = False
        if self.cycle.more_body and self._refusal is None:
            self._refusal = problem
            self.cycle.message_event.set()


class Deaf:
    """In the place of a parser, where nothing of what still comes is a request."""

    def feed_data(self, data: bytes) -> None:
        pass


class Sending:
    """One answer on its way out: one that is whole leaves in one piece.

    uvicorn writes the head and the body one after the other and looks at each header's name and value by itself, which
    takes as long as reading a record. Whatever is more than a head and a body of known length is left to it.
    """

    def __init__(self, cycle: RequestResponseCycle, of_loop: turns.Turns) -> None:
        self._cycle = cycle
        self._turns = of_loop
        self._start: Any = None

    async def send(self, message: Any) -> None:
        if self._start is None and message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if self._sent_whole(start, message):
                return
            self._turns.flush()
            await self._cycle.send(start)
        await self._cycle.send(message)

    def _sent_whole(self, start: Any, message: Any) -> bool:
        cycle = self._cycle
        is_plain = cycle.keep_alive and not (cycle.flow.write_paused or cycle.disconnected or cycle.response_started)
        if not is_plain or message.get("more_body") or cycle.scope["method"] == "HEAD":
            return False
        body = message.get("body", b"")
        head = _head(start["status"], [*cycle.default_headers, *start["headers"]], len(body))
        if head is None:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        self._turns.send(cycle.transport, head + body)
        cycle.message_event.set()
        cycle.on_response()
        return True


def _head(status: int, headers: Iterable[tuple[bytes, bytes]], length: int) -> bytes | None:
    """None where the headers are not plainly those of a body of that length."""
    lines = [STATUS_LINE[status]]
    is_told = False
    for name, value in headers:
        line = _KNOWN_LINES.get((name, value))
        if line is None:
            if name == b"content-length":
                is_told = value == b"%d" % length
            elif name in (b"connection", b"transfer-encoding"):
                return None
            line = b"%b: %b" % (name, value)
            if _UNPRINTABLE.search(line):
                return None
            line += b"\r\n"
        lines.append(line)
    lines.append(b"\r\n")
    return b"".join(lines) if is_told else None


_KNOWN_LINES = {field: b"%b: %b\r\n" % field for field in (*SECURITY_HEADERS, POLICY, JSON)}
"""Of what nearly every answer has."""


async def _tell_of_the_end(cycle: RequestResponseCycle) -> None:
    """Where the service stops and waits no longer for what is in flight."""
    if not cycle.response_started:
        problem = of_stop(cycle.scope["method"])
        fields, body = _content(problem, cycle.scope["path"])
        await cycle.send({"type": "http.response.start", "status": problem.status, "headers": fields})
        await cycle.send({"type": "http.response.body", "body": body, "more_body": False})


def _answer(problem: Problem, headers: list[tuple[bytes, bytes]]) -> bytes:
    fields, body = _content(problem, "/")
    lines = (b"%b: %b\r\n" % field for field in [*headers, *fields])
    return b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body])


def _content(problem: Problem, path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    instance = quote(path, safe=PATH_CHARACTERS)
    body = msgspec.json.encode(
        ProblemDetails(f"/problems/{problem.slug}", problem.title, problem.status, problem.detail, instance)
    )
    fields = [
        *SECURITY_HEADERS,
        POLICY,
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return fields, body

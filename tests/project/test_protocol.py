"""What a client may send before it is a request, and how long it may take: on a real connection to a real server."""

import asyncio
import json
import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from project.middleware import Envelope
from project.settings import load
from tests.processes import SECONDS, Service, running
from tests.servers import in_a_loop

BODY = b'{"name": "Ananya", "department": "CSE", "cgpa": 8.9}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("protocol")
    with running(f"sqlite:///{folder}/registrar.sqlite3") as service:
        yield service


def connect(service: Service) -> socket.socket:
    address, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((address, int(port)), timeout=SECONDS)


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:  # it did not wait for all that was sent
        pass
    return received


def say(service: Service, *pieces: bytes) -> bytes:
    with connect(service) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        return answer(connection)


def refused(received: bytes, status: int, slug: str) -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), received
    headers = dict(re.findall(rb"(?m)^([\w-]+): (.*?)\r?$", head))
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["type"] == f"/problems/{slug}"


class TestMalformed:
    @pytest.mark.parametrize(
        "data",
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /students HTTP/1.1\r\nHost localhost\r\n\r\n",
            b"GET /stud\xc3\xa9nts HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"POST /students HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n",
            b"POST /students HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            b"POST /students HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    )
    def test_requests_are_answered_with_a_problem(self, service: Service, data: bytes) -> None:
        refused(say(service, data), 400, "malformed")

    def test_chunks_are_answered_with_a_problem(self, service: Service) -> None:
        head = b"POST /students HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        refused(say(service, head + b"Content-Type: application/json\r\n\r\nnonsense\r\n"), 400, "malformed")

    def test_bodies_that_break_off_are_no_errors_of_ours(self, service: Service) -> None:
        with connect(service) as connection:
            connection.sendall(_head(b"content-length: 100\r\nx-request-id: breaks-off\r\n") + BODY)
            connection.shutdown(socket.SHUT_WR)
        records = service.wait_for_records(request_id="breaks-off")
        assert [(record["level"], record["status"]) for record in records] == [("info", 400)]

    def test_two_hosts_are_one_too_many(self, service: Service) -> None:
        received = say(
            service, b"GET /students HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        refused(received, 400, "malformed")

    def test_an_upgrade_to_another_protocol_is_not_offered(self, service: Service) -> None:
        received = say(
            service,
            b"GET /students HTTP/1.1\r\nHost: localhost\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n",
        )
        assert received.startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize(
        "body",
        [
            [b"content-length: %d\r\n\r\n" % len(BODY) + BODY],
            [b"content-length: %d\r\n\r\n" % len(BODY), BODY[:20], BODY[20:]],
            [b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(BODY), BODY + b"\r\n0\r\n\r\n"],
        ],
        ids=["whole", "in pieces", "in chunks"],
    )
    def test_a_request_that_would_rather_be_http2_keeps_its_body(self, service: Service, body: list[bytes]) -> None:
        asked = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
        last = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        received = say(service, _head(asked)[:-2] + body[0], *body[1:], last)
        assert received.startswith(b"HTTP/1.1 201 ")
        assert b'"name":"Ananya"' in received
        assert received.endswith(b'{"status":"ok"}')

    def test_many_requests_at_once_that_would_rather_be_something_else_are_all_answered(self, service: Service) -> None:
        asked = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: %b\r\nupgrade: x\r\n\r\n"
        received = say(service, asked % b"upgrade" * 2000 + asked % b"close, upgrade")
        assert received.count(b'{"status":"ok"}') == 2001
        assert received.count(b"HTTP/1.1 ") == 2001


class TestWhatFollowsARequest:
    """What cannot be read is no reason to keep from the client what became of the requests before it."""

    @pytest.mark.parametrize("rest", [b'{"x": 1}', b"GET /students HTTP/9.9\r\n\r\n", b"nonsense" * 20_000])
    def test_takes_nothing_from_the_answers_of_those_before_it(self, service: Service, rest: bytes) -> None:
        made = add_student(service)
        get = b"GET /students/%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % made
        delete = b"DELETE /students/%d HTTP/1.1\r\nhost: localhost\r\n\r\n" % made
        received = say(service, get + delete + rest)
        assert re.findall(rb"HTTP/1.1 (\d+) ", received) == [b"200", b"204"], received
        assert received.count(b"connection: close\r\n") == 1
        assert received.index(b"connection: close\r\n") > received.index(b"HTTP/1.1 204 ")
        assert service.get(f"/students/{made}").status_code == 404

    def test_does_not_undo_what_needed_no_body(self, service: Service) -> None:
        made = add_student(service)
        head = b"DELETE /students/%d HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n" % made
        received = say(service, head + b"nonsense\r\n")
        assert received.startswith(b"HTTP/1.1 204 ")
        assert b"connection: close\r\n" in received
        assert service.get(f"/students/{made}").status_code == 404

    def test_is_answered_in_its_turn_where_it_is_a_body(self, service: Service) -> None:
        head = _head(b"transfer-encoding: chunked\r\n")
        received = say(service, b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n" + head + b"nonsense\r\n")
        first, _, second = received.partition(b'{"status":"ok"}')
        assert first.startswith(b"HTTP/1.1 200 ")
        refused(second, 400, "malformed")

    def test_is_answered_in_its_turn_where_it_is_a_form(self, service: Service) -> None:
        head = b"POST /admin/login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n"
        received = say(service, head + b"transfer-encoding: chunked\r\n\r\nnonsense\r\n")
        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close\r\n" in received


class TestLargeHeads:
    @pytest.mark.parametrize(
        ("beginning", "more"),
        [
            (b"GET /students HTTP/1.1\r\nHost: localhost\r\nX-Long: ", b"a" * 65536),
            (b"GET /students HTTP/1.1\r\nHost: localhost\r\n", b"X-Many: more\r\n" * 5000),
            (b"GET /", b"a" * 65536),
            (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ", b"a" * 65536),
        ],
        ids=["header", "headers", "path", "trailer"],
    )
    def test_are_read_to_a_bound(self, service: Service, beginning: bytes, more: bytes) -> None:
        received = say(service, beginning, *[more] * 200)
        if received:  # whoever goes on sending may lose the answer with the connection
            assert re.match(rb"HTTP/1.1 (400|405|431) ", received)
        assert say(service, b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n").endswith(b'{"status":"ok"}')

    def test_are_answered_with_a_problem(self, service: Service) -> None:
        received = say(service, b"GET /students HTTP/1.1\r\nHost: localhost\r\nX-Long: ", b"a" * 65536)
        refused(received, 431, "headers-too-large")


class TestSlowness:
    def test_of_heads_and_silent_connections_ends(self, service: Service) -> None:
        """All at once, because each takes the time that clients are given."""

        def trickle() -> bytes:
            with connect(service) as connection:
                connection.sendall(b"GET /students HTTP/1.1\r\nHost: loc")
                return answer(connection)

        def second() -> bytes:
            with connect(service) as connection:
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /students")
                return answer(connection)

        with ThreadPoolExecutor() as threads:
            silent, first, later = threads.submit(say, service), threads.submit(trickle), threads.submit(second)
            assert silent.result() == b""
            refused(first.result(), 408, "too-slow")
            ok, _, rest = later.result().partition(b'{"status":"ok"}')
            assert ok.startswith(b"HTTP/1.1 200 ")
            refused(rest, 408, "too-slow")


class TestKeepAlive:
    def test_takes_one_request_after_another(self, service: Service) -> None:
        once = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert say(service, once + once + last).count(b'{"status":"ok"}') == 3

    def test_goes_on_after_a_body_that_nobody_read(self, service: Service) -> None:
        post = _head(b"content-length: %d\r\naccept: text/html\r\n" % len(BODY)) + BODY
        last = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        received = say(service, post + last)
        assert received.startswith(b"HTTP/1.1 406 ")
        assert received.endswith(b'{"status":"ok"}')


class TestStop:
    """Of requests that are not done in the time that there is."""

    @pytest.mark.parametrize(
        ("method", "slug"), [("GET", "unavailable"), ("POST", "outcome-unknown"), ("DELETE", "outcome-unknown")]
    )
    def test_says_what_a_client_can_know(self, method: str, slug: str) -> None:
        received = stopped_during(b"%b /students/%%C3%%A9 HTTP/1.1\r\nhost: localhost\r\n\r\n" % method.encode())
        refused(received, 503, slug)
        assert b"connection: close\r\n" in received
        assert (b"retry-after: " in received) == (method == "GET")
        assert b'"instance":"/students/%C3%A9"' in received

    def test_sends_no_body_to_who_asks_for_a_head(self) -> None:
        received = stopped_during(b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 503 ")
        assert received.endswith(b"\r\n\r\n")

    def test_breaks_off_what_is_on_its_way(self) -> None:
        received = stopped_during(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n", begun=True)
        assert received.count(b"HTTP/1.1 ") == 1
        assert received.endswith(b"5\r\nbegun\r\n")

    @pytest.mark.parametrize(("begun", "status"), [(False, 503), (True, 200)])
    def test_is_logged_as_what_was_said(
        self, begun: bool, status: int, capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        request = b"POST / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        stopped_during(request, begun=begun, around=lambda app: Envelope(app, load({"LOG_FORMAT": "json"})))
        lines = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines() if line.startswith(b"{")]
        answered = [(line["method"], line["status"]) for line in lines if line["event"] == "answered"]
        assert answered == [("POST", status)]


class TestAnswered:
    """An answer that is made leaves, whatever happens in the same moment."""

    def test_before_a_client_has_said_that_it_says_no_more(self, service: Service) -> None:
        for _ in range(20):
            with connect(service) as connection:
                connection.sendall(b"GET /students HTTP/1.1\r\nHost: localhost\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                assert answer(connection).startswith(b"HTTP/1.1 200 ")

    def test_before_the_application_fails(self) -> None:
        async def fail_afterwards(scope: Any, receive: Any, send: Any) -> None:
            fields = [(b"content-length", b"4")]
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": b"done"})
            raise LookupError

        request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        received = in_a_loop(lambda: asyncio.wait_for(said_by(fail_afterwards, request), SECONDS))
        assert received.startswith(b"HTTP/1.1 200 ")
        assert received.endswith(b"\r\n\r\ndone")

    def test_in_the_order_of_the_requests(self, service: Service) -> None:
        request = b"%b /students HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: %d\r\n%b\r\n"
        methods = [b"GET", b"OPTIONS", b"HEAD", b"GET", b"DELETE"] * 10
        sent = [request % (method, place, b"") for place, method in enumerate(methods)]
        sent.append(request % (b"GET", len(methods), b"Connection: close\r\n"))
        received = say(service, b"".join(sent))
        assert re.findall(rb"(?m)^x-request-id: (\d+)\r$", received) == [b"%d" % place for place in range(len(sent))]


async def said_by(app: Any, request: bytes) -> bytes:
    """Until the server closes the connection."""
    server = uvicorn.Server(uvicorn.Config(app, http="project.protocol:Protocol", lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(request)
        received = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
    return received


def stopped_during(request: bytes, *, begun: bool = False, around: Callable[[Any], Any] = lambda app: app) -> bytes:
    """What a client gets of a server that stops at once; the answer has `begun` by then, or not. The application is
    one with something `around` it, or nothing.
    """

    async def scenario() -> bytes:
        under_way = asyncio.Event()

        async def never_done(scope: Any, receive: Any, send: Any) -> None:
            if begun:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            under_way.set()
            await asyncio.Event().wait()

        config = uvicorn.Config(
            around(never_done),
            http="project.protocol:Protocol",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=0,
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(request)
            await under_way.wait()
            server.should_exit = True
            received = await reader.read()
            writer.close()
            await serving
        return received

    return in_a_loop(lambda: asyncio.wait_for(scenario(), SECONDS))


def add_student(service: Service) -> int:
    with service.client() as client:
        made: int = client.post("/students", content=BODY, headers={"content-type": "application/json"}).json()["id"]
    return made


def _head(fields: bytes) -> bytes:
    return b"POST /students HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + fields + b"\r\n"

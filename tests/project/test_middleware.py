"""What every request and every response goes through."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.settings import Settings, load
from tests.problems import refused

pytestmark = pytest.mark.engines("sqlite")

Client = TestClient[Litestar]

ROUTES = ["/students", "/nothing", "/health/live", "/openapi.json", "/docs", "/problems/not-found"]


@contextmanager
def client_with(settings: Settings, **variables: str) -> Iterator[Client]:
    given = {"DATABASE_URL": settings.database_url, "LOG_LEVEL": "ERROR", **variables}
    with TestClient(create_app(load(given)), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def cors_client(module_client: Client, settings: Settings) -> Iterator[Client]:
    with client_with(settings, CORS_ORIGINS="https://school.example, http://localhost:3000") as client:
        yield client


class TestRequestId:
    def test_is_given_to_every_request(self, client: Client) -> None:
        identities = {client.get("/health/live").headers["x-request-id"] for _ in range(20)}
        assert len(identities) == 20
        assert all(re.fullmatch(r"[0-9a-f]{16}", identity) for identity in identities)

    @pytest.mark.parametrize("identity", ["7f3b", "Root=1-67891233-abcdef012345678912345678", "a" * 128])
    def test_is_taken_from_the_request(self, client: Client, identity: str) -> None:
        response = client.get("/nothing", headers={"X-Request-ID": identity})
        assert response.headers["x-request-id"] == identity

    @pytest.mark.parametrize("identity", ["", "two words", "a" * 129, "<script>", 'quote"', "semi;colon"])
    def test_is_given_anew_where_the_request_has_an_odd_one(self, client: Client, identity: str) -> None:
        response = client.get("/health/live", headers={"X-Request-ID": identity})
        assert re.fullmatch(r"[0-9a-f]{16}", response.headers["x-request-id"])


class TestHead:
    @pytest.mark.parametrize("path", [*ROUTES, "/students/export", "/students/statistics", "/metrics"])
    def test_answers_as_get_does_but_without_the_body(self, client: Client, path: str) -> None:
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code
        assert head.content == b""
        for name in ("content-type", "etag", "cache-control"):
            assert head.headers.get(name) == got.headers.get(name)
        if path != "/metrics":
            assert head.headers.get("content-length") == got.headers.get("content-length")

    def test_is_allowed_where_get_is(self, client: Client) -> None:
        for response in (client.put("/students"), client.options("/students")):
            assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"

    def test_is_not_allowed_where_get_is_not(self, client: Client) -> None:
        assert client.head("/students/import").headers["allow"] == "OPTIONS, POST"
        assert client.options("/students/import").headers["allow"] == "OPTIONS, POST"


class TestHeaders:
    @pytest.mark.parametrize("path", ROUTES)
    def test_keep_browsers_from_doing_more_than_showing(self, client: Client, path: str) -> None:
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policies = headers.get_list("content-security-policy")
        assert len(policies) == 1
        assert policies[0].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policies[0]
        assert "unsafe" not in policies[0]
        assert "server" not in headers

    def test_ask_for_https_outside_debug_only(self, client: Client, settings: Settings) -> None:
        assert "strict-transport-security" not in client.get("/students").headers
        with client_with(settings, DEBUG="false", SECRET_KEY="k" * 50, ALLOWED_HOSTS="127.0.0.1") as strict:
            assert strict.get("/students").headers["strict-transport-security"] == "max-age=31536000"
            assert "strict-transport-security" in strict.get("/nothing").headers


class TestErrors:
    """From before any route is found, or any handler is called."""

    @pytest.mark.parametrize("accept", ["text/html", "*/*", "application/json", "image/png"])
    def test_of_unknown_paths_are_problems_for_browsers_too(self, client: Client, accept: str) -> None:
        for path in ("/nothing", "/students/1/nothing", "/docs/nothing", "/a.json", "/%2e%2e/etc/passwd"):
            refused(client.get(path, headers={"Accept": accept}), 404, "not-found")

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
    def test_of_methods_are_problems(self, client: Client, method: str) -> None:
        refused(client.request(method, "/students"), 405, "method-not-allowed")

    def test_carry_the_request_id_and_are_not_kept(self, client: Client) -> None:
        response = client.get("/nothing", headers={"X-Request-ID": "mine"})
        assert response.headers["x-request-id"] == "mine"
        assert response.headers["cache-control"] == "no-store"


class TestCors:
    def test_is_off_unless_asked_for(self, client: Client) -> None:
        headers = client.get("/students", headers={"Origin": "https://school.example"}).headers
        assert not [name for name in headers if name.startswith("access-control")]

    @pytest.mark.parametrize("path", ["/students", "/nothing", "/students?limit=0"])
    def test_lets_pages_of_the_origins_read_answers_and_errors(self, cors_client: Client, path: str) -> None:
        headers = cors_client.get(path, headers={"Origin": "https://school.example"}).headers
        assert headers["access-control-allow-origin"] == "https://school.example"
        assert headers["vary"] == "Origin"
        exposed = {name.strip() for name in headers["access-control-expose-headers"].split(",")}
        assert exposed == {"ETag", "Link", "Location", "Retry-After", "X-Request-ID"}

    def test_lets_no_other_page_read_anything(self, cors_client: Client) -> None:
        for origin in ("https://evil.example", "https://school.example.evil.example", "null"):
            headers = cors_client.get("/students", headers={"Origin": origin}).headers
            assert "access-control-allow-origin" not in headers

    def test_lets_pages_of_the_origins_ask_first(self, cors_client: Client) -> None:
        response = preflight(cors_client, "https://school.example")
        assert response.status_code == 204
        assert response.headers["access-control-allow-origin"] == "https://school.example"
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "if-match" in response.headers["access-control-allow-headers"].lower()

    def test_tells_other_pages_that_they_may_not(self, cors_client: Client) -> None:
        response = preflight(cors_client, "https://evil.example")
        refused(response, 403, "forbidden")
        assert "access-control-allow-origin" not in response.headers


def preflight(client: Client, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "if-match, content-type",
    }
    return client.options("/students/1", headers=headers)

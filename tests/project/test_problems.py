"""How anything that goes wrong in a request is told."""

import asyncio
from collections.abc import Callable

import pytest
from litestar import Litestar, route
from litestar.testing import TestClient

from project.asgi import create_app
from project.database import errors
from project.problems import KINDS
from project.settings import Settings
from tests.problems import refused

pytestmark = pytest.mark.engines("sqlite")

Client = TestClient[Litestar]
Failing = Callable[[Exception], Client]


@pytest.fixture
def failing(client: Client, settings: Settings) -> Failing:
    """A client of the service with one more route, which fails with that error."""

    def client_of(error: Exception) -> Client:
        @route("/failing", http_method=["GET", "POST"], include_in_schema=False)
        async def fail() -> None:
            raise error

        app = create_app(settings)
        app.register(fail)
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return client_of


class TestProblem:
    @pytest.mark.parametrize(
        "path", ["/nothing", "/students/abc", "/students/1/marks", "/Students", "/%C3%A9/%2F", "/a%00b"]
    )
    def test_nothing_there(self, client: Client, path: str) -> None:
        assert refused(client.get(path), 404, "not-found") == {}

    def test_instance_is_the_path_that_was_asked_for(self, client: Client) -> None:
        assert client.get("/caf%C3%A9 au lait?x=1").json()["instance"] == "/caf%C3%A9%20au%20lait"

    def test_is_not_to_be_cached(self, client: Client) -> None:
        assert client.get("/nothing").headers["cache-control"] == "no-store"

    def test_of_a_head_request_has_no_body(self, client: Client) -> None:
        response = client.head("/nothing")
        assert (response.status_code, response.content) == (404, b"")
        assert response.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("error", "status", "slug", "retry_after"),
        [
            (errors.Busy(), 503, "unavailable", "1"),
            (errors.Gone(), 503, "unavailable", "1"),
            (errors.TimedOut(), 503, "unavailable", "10"),
            (errors.ReadOnly(), 503, "unavailable", "10"),
            (errors.Full(), 503, "unavailable", "60"),
            (errors.OutcomeUnknown(), 503, "outcome-unknown", None),
            (errors.Conflict("A record with the same key exists."), 409, "conflict", None),
            (errors.Invalid("A value does not fit its column."), 422, "invalid-body", None),
        ],
    )
    def test_says_what_the_database_cannot_do(
        self, failing: Failing, error: Exception, status: int, slug: str, retry_after: str | None
    ) -> None:
        with failing(error) as client:
            response = client.post("/failing")
        assert refused(response, status, slug) == {}
        assert response.headers.get("retry-after") == retry_after

    def test_of_a_value_is_the_query_where_there_is_no_body(self, failing: Failing) -> None:
        with failing(errors.Invalid("Text cannot hold the character NUL.")) as client:
            refused(client.get("/failing"), 400, "bad-query")

    @pytest.mark.parametrize(
        "error",
        [
            RuntimeError("password=secret"),
            KeyError("SELECT * FROM students"),
            FileNotFoundError("/root/secret"),
            RecursionError(),
            asyncio.InvalidStateError(),
            ExceptionGroup("secret", [ValueError("secret")]),
        ],
    )
    def test_keeps_to_itself_what_nobody_foresaw(
        self, failing: Failing, error: Exception, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with failing(error) as client:
            response = client.get("/failing", headers={"X-Request-ID": "find-me"})
        assert refused(response, 500, "internal-error") == {}
        assert "secret" not in response.text
        assert response.headers["x-request-id"] == "find-me"
        logged = capfd.readouterr()
        assert type(error).__name__ in logged.out + logged.err
        assert "find-me" in logged.out + logged.err

    @pytest.mark.parametrize("slug", KINDS)
    def test_is_explained_where_its_type_points(self, client: Client, slug: str) -> None:
        response = client.get(f"/problems/{slug}")
        assert response.status_code == 200
        for words in (KINDS[slug].title, str(KINDS[slug].status)):
            assert words in response.text

    def test_of_no_known_kind_is_not_found(self, client: Client) -> None:
        refused(client.get("/problems/bad-luck"), 404, "not-found")

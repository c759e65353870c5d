"""What is refused before any handler is called."""

from collections.abc import Iterator

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused
from tests.processes import running

pytestmark = pytest.mark.engines("sqlite")

Client = TestClient[Litestar]

LARGEST = 2**63 - 1


class TestPathNumbers:
    @pytest.mark.parametrize(
        "number",
        ["+{}", "0{}", "{}.0", "{}e0", "0x{}", "%20{}", "{}%20", "{}%0A", "{}_0", "_{}", "--{}", "%2B{}", "{}%00"],
    )
    def test_are_plain_decimals(self, client: Client, number: str) -> None:
        made = client.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9}).json()["id"]
        assert client.get(f"/students/{made}").status_code == 200
        for method in ("GET", "DELETE", "HEAD"):
            assert client.request(method, f"/students/{number.format(made)}").status_code == 404
        assert client.get(f"/students/{made}").status_code == 200

    @pytest.mark.parametrize("digits", ["١", "１", "𝟙", "৪", "²"])
    def test_are_written_in_ascii(self, client: Client, digits: str) -> None:
        assert client.get(f"/students/{digits}").status_code == 404

    @pytest.mark.parametrize(
        "number",
        ["0", "-1", "-0", f"{LARGEST}", f"{LARGEST + 1}", f"-{LARGEST + 1}", f"-{LARGEST + 2}", "1" * 30, "9" * 5000],
        ids=lambda number: number[:25],
    )
    def test_that_no_record_has_are_not_found(self, client: Client, number: str) -> None:
        refused(client.get(f"/students/{number}"), 404, "not-found")


class TestAccept:
    @pytest.mark.parametrize(
        "accept",
        [
            "*/*",
            "application/json",
            "application/*",
            "APPLICATION/JSON",
            "text/html, */*;q=0.1",
            "application/json;q=0.5",
            "text/html, application/json; charset=utf-8",
            "text/*;q=0, application/json",
            "*/*;q=0, application/json",
            "application/json;q=nonsense",
            "text/csv,application/json",
        ],
    )
    def test_that_takes_json_gets_it(self, client: Client, accept: str) -> None:
        response = client.get("/students", headers={"Accept": accept})
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"

    @pytest.mark.parametrize(
        "accept",
        [
            "text/html",
            "application/xml",
            "image/*",
            "application/json;q=0",
            "*/*, application/json;q=0",
            "application/*;q=0, */*",
            "application/problem+json",
            "json",
            "application/jsonx",
            ";",
            "nonsense",
        ],
    )
    def test_that_takes_no_json_gets_none(self, client: Client, accept: str) -> None:
        refused(client.get("/students", headers={"Accept": accept}), 406, "not-acceptable")

    def test_that_is_empty_takes_anything(self, client: Client) -> None:
        assert client.get("/students", headers={"Accept": ""}).status_code == 200

    def test_refuses_before_anything_is_changed(self, client: Client) -> None:
        student = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
        refused(client.post("/students", json=student, headers={"Accept": "text/html"}), 406, "not-acceptable")
        assert client.get("/students").json()["items"] == []

    def test_does_not_matter_where_there_is_nothing_to_read(self, client: Client) -> None:
        made = client.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9}).json()["id"]
        assert client.delete(f"/students/{made}", headers={"Accept": "text/html"}).status_code == 204
        assert client.get("/", headers={"Accept": "image/png"}, follow_redirects=False).is_redirect
        assert client.options("/students", headers={"Accept": "text/html"}).status_code == 204

    @pytest.mark.parametrize(
        ("path", "accept"),
        [
            ("/docs", "text/html"),
            ("/openapi.json", "application/json"),
            ("/openapi.yaml", "application/yaml"),
            ("/metrics", "text/plain;version=0.0.4"),
            ("/students/export?format=csv", "text/csv"),
            ("/students/export?format=jsonl", "application/x-ndjson"),
        ],
    )
    def test_of_other_types_is_met(self, client: Client, path: str, accept: str) -> None:
        assert client.get(path, headers={"Accept": accept}).status_code == 200


class TestQueries:
    @pytest.mark.parametrize("path", ["/students/1", "/health/live", "/health/ready", "/metrics"])
    def test_are_refused_where_a_route_takes_none(self, client: Client, path: str) -> None:
        assert refused(client.get(path, params={"verbose": "1"}), 400, "bad-query").keys() == {"/verbose"}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("lines")
    url = f"sqlite:///{folder}/registrar.sqlite3"
    with running(url, CORS_ORIGINS="https://school.example") as service, service.client() as client:
        yield client


class TestListsOnSeveralLines:
    """On a real connection: other clients of tests make one line of them."""

    @pytest.fixture
    def made(self, remote: httpx.Client) -> httpx.Response:
        return remote.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9})

    @pytest.mark.parametrize("accept", [["text/html", "application/json"], ["application/json", "text/html"], ["", ""]])
    def test_say_together_what_is_accepted(self, remote: httpx.Client, accept: list[str]) -> None:
        assert remote.get("/students", headers=lines("Accept", *accept)).status_code == 200

    def test_say_together_what_is_not(self, remote: httpx.Client) -> None:
        refused(remote.get("/students", headers=lines("Accept", "text/html", "image/png")), 406, "not-acceptable")
        refused(remote.get("/students", headers=lines("Accept", "*/*", "application/json;q=0")), 406, "not-acceptable")

    def test_say_together_which_states_may_be_changed(self, remote: httpx.Client, made: httpx.Response) -> None:
        path, tag = made.headers["location"], made.headers["etag"]
        refused(remote.delete(path, headers=lines("If-Match", '"x"', '"y"')), 412, "precondition-failed")
        assert remote.delete(path, headers=lines("If-Match", '"x"', tag)).status_code == 204

    @pytest.mark.parametrize("origin", ["https://school.example", "https://elsewhere.example"])
    def test_say_together_which_states_are_known(self, remote: httpx.Client, made: httpx.Response, origin: str) -> None:
        headers = [*lines("If-None-Match", '"x"', '"y"', made.headers["etag"]), ("Origin", origin)]
        assert remote.get(made.headers["location"], headers=headers).status_code == 304

    def test_say_together_which_page_is_known(self, remote: httpx.Client) -> None:
        tag = remote.get("/docs").headers["etag"]
        assert remote.get("/docs", headers=lines("If-None-Match", '"x"', tag)).status_code == 304


def lines(name: str, *values: str) -> list[tuple[str, str]]:
    return [(name, value) for value in values]

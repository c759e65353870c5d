"""The document of the API, and its pages for people."""

import gzip
import html
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.problems import KINDS
from project.settings import load

Client = TestClient[Litestar]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of the service without any tables: nothing here is in the database."""
    folder: Path = tmp_path_factory.mktemp("docs")
    settings = load({"DATABASE_URL": f"sqlite:///{folder / 'registrar.sqlite3'}", "LOG_LEVEL": "WARNING"})
    with TestClient(create_app(settings), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


class TestDocs:
    def test_home_leads_to_it(self, client: Client) -> None:
        response = client.get("/", follow_redirects=False)
        assert response.status_code == 302
        assert response.headers["location"] == "/docs"

    def test_allows_only_what_this_service_serves(self, client: Client) -> None:
        response = client.get("/docs")
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"

    def test_holds_no_script_and_no_style(self, client: Client) -> None:
        page = client.get("/docs").text
        assert re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", page) is None

    def test_head_has_no_body(self, client: Client) -> None:
        response = client.head("/docs")
        assert response.status_code == 200
        assert response.content == b""


class TestAssets:
    def urls(self, client: Client) -> list[str]:
        return re.findall(r'"(/docs/assets/[^"]+)"', client.get("/docs").text)

    def test_are_kept_for_ever(self, client: Client) -> None:
        urls = self.urls(client)
        assert len(urls) == 5
        for url in urls:
            response = client.get(url)
            assert response.status_code == 200
            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"

    def test_travel_compressed(self, client: Client) -> None:
        for url in self.urls(client):
            plain = client.get(url, headers={"Accept-Encoding": "identity"})
            with client.stream("GET", url, headers={"Accept-Encoding": "br, gzip"}) as packed:
                assert packed.headers["content-encoding"] == "gzip"
                assert packed.headers["vary"] == "Accept-Encoding"
                assert packed.headers["etag"] != plain.headers["etag"]
                assert gzip.decompress(b"".join(packed.iter_raw())) == plain.content

    @pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0, br", "x-gzip-not"])
    def test_travel_plain_to_who_wants_them_so(self, client: Client, accepted: str) -> None:
        response = client.get(self.urls(client)[0], headers={"Accept-Encoding": accepted})
        assert "content-encoding" not in response.headers

    @pytest.mark.parametrize("name", ["docs.css", "none.js", "README.md", "..%2Fcontrollers.py"])
    def test_are_no_other_files(self, client: Client, name: str) -> None:
        response = client.get(f"/docs/assets/{name}")
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"


class TestIcon:
    def test_is_where_browsers_look_for_one(self, client: Client) -> None:
        icon = client.get("/favicon.ico", headers={"Accept": "image/avif,image/svg+xml,image/*,*/*;q=0.8"})
        assert icon.status_code == 200
        assert icon.headers["content-type"] == "image/svg+xml"
        assert icon.text.startswith("<svg")


class TestDocument:
    def test_is_the_same_in_json_and_yaml(self, client: Client) -> None:
        as_json, as_yaml = client.get("/openapi.json"), client.get("/openapi.yaml")
        assert as_json.headers["content-type"] == "application/json"
        assert as_yaml.headers["content-type"] == "application/yaml"
        assert as_json.json()["openapi"].startswith("3.1")
        assert msgspec.yaml.decode(as_yaml.content) == as_json.json()

    @pytest.mark.parametrize("path", ["/openapi.json", "/openapi.yaml", "/docs", "/problems/conflict"])
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    def test_is_not_sent_again_to_who_has_it(self, client: Client, path: str, encoding: str) -> None:
        first = client.get(path, headers={"Accept-Encoding": encoding})
        assert first.headers["cache-control"] == "no-cache"
        again = client.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
        other = client.get(path, headers={"Accept-Encoding": encoding, "If-None-Match": '"another"'})
        assert other.content == first.content

    def test_takes_no_parameters(self, client: Client) -> None:
        assert client.get("/openapi.json?x=1").status_code == 400

    def test_leaves_out_what_is_for_people(self, client: Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        assert not [path for path in paths if path.startswith(("/docs", "/openapi", "/problems", "/student/"))]
        assert "/" not in paths


class TestProblems:
    @pytest.mark.parametrize("slug", KINDS)
    def test_each_kind_is_explained(self, client: Client, slug: str) -> None:
        response = client.get(f"/problems/{slug}")
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert KINDS[slug].meaning in html.unescape(response.text)
        assert str(KINDS[slug].status) in response.text
        assert "script-src" not in response.headers["content-security-policy"]

    def test_another_kind_is_not_there(self, client: Client) -> None:
        response = client.get("/problems/nonsense")
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/not-found"

    def test_a_problem_leads_to_its_page(self, client: Client) -> None:
        problem = client.get("/nothing-here").json()
        assert problem["title"] in client.get(problem["type"]).text

from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused

Client = TestClient[Litestar]
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
WRITES = [("PUT", STUDENT), ("PATCH", {"cgpa": 1}), ("PATCH", {}), ("DELETE", None)]
NAMES_IT = ["{tag}", '"x", {tag}', '{tag},"x"', ' "a" , {tag} , "b"', "*", " * "]
"""Values of If-Match and If-None-Match that name the record as it is, strongly."""
NAMES_ANOTHER = ['"x"', "", '""', '"x", "y"', "x", '"{inner}', "{inner}", '"{inner} "', "'{inner}'", ",", '"*"']


@pytest.fixture
def created(client: Client) -> Response:
    return client.post("/students", json=STUDENT)


def conditions(template: str, tag: str) -> str:
    return template.format(tag=tag, inner=tag.strip('"'))


def write(client: Client, method: str, path: str, body: Any, **headers: str) -> Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, path, headers=names, **({} if body is None else {"json": body}))


class TestETag:
    def test_is_strong_and_quoted(self, created: Response) -> None:
        tag = created.headers["etag"]
        assert tag.startswith('"')
        assert tag.endswith('"')
        assert len(tag) > 8

    def test_tells_records_and_their_states_apart(self, client: Client, created: Response) -> None:
        tags = {created.headers["etag"], client.post("/students", json=STUDENT).headers["etag"]}
        for _ in range(5):
            tags.add(client.put(created.headers["location"], json=STUDENT).headers["etag"])
        assert len(tags) == 7


@pytest.mark.engines("sqlite")
class TestIfMatch:
    @pytest.mark.parametrize(("method", "body"), WRITES)
    @pytest.mark.parametrize("template", NAMES_IT)
    def test_lets_a_change_through_that_knows_the_record(
        self, client: Client, created: Response, method: str, body: Any, template: str
    ) -> None:
        header = conditions(template, created.headers["etag"])
        response = write(client, method, created.headers["location"], body, if_match=header)
        assert response.status_code in (200, 204)

    @pytest.mark.parametrize(("method", "body"), WRITES)
    @pytest.mark.parametrize("template", [*NAMES_ANOTHER, "W/{tag}", 'W/{tag}, "x"'])
    def test_stops_a_change_of_what_the_client_has_not_seen(
        self, client: Client, created: Response, method: str, body: Any, template: str
    ) -> None:
        header = conditions(template, created.headers["etag"])
        response = write(client, method, created.headers["location"], body, if_match=header)
        refused(response, 412, "precondition-failed")
        assert client.get(created.headers["location"]).content == created.content

    @pytest.mark.parametrize(("method", "body"), WRITES)
    def test_no_longer_holds_after_a_change(self, client: Client, created: Response, method: str, body: Any) -> None:
        path = created.headers["location"]
        changed = client.patch(path, json={"cgpa": 2})
        refused(write(client, method, path, body, if_match=created.headers["etag"]), 412, "precondition-failed")
        assert write(client, method, path, body, if_match=changed.headers["etag"]).status_code in (200, 204)

    @pytest.mark.parametrize(("method", "body"), WRITES)
    @pytest.mark.parametrize("header", ["*", '"x"'])
    def test_of_nothing_is_not_found(
        self, client: Client, created: Response, method: str, body: Any, header: str
    ) -> None:
        client.delete(created.headers["location"])
        refused(write(client, method, created.headers["location"], body, if_match=header), 404, "not-found")

    def test_is_asked_after_the_body_is_valid(self, client: Client, created: Response) -> None:
        response = write(client, "PATCH", created.headers["location"], {"cgpa": "9"}, if_match='"x"')
        refused(response, 422, "invalid-body")

    def test_on_several_lines_is_one_list(self, client: Client, created: Response) -> None:
        headers = [("If-Match", '"x"'), ("If-Match", created.headers["etag"]), ("If-Match", '"y"')]
        assert client.patch(created.headers["location"], json={"cgpa": 1}, headers=headers).status_code == 200

    def test_is_heeded_by_reads(self, client: Client, created: Response) -> None:
        path = created.headers["location"]
        assert client.get(path, headers={"if-match": created.headers["etag"]}).content == created.content
        refused(client.get(path, headers={"if-match": '"x"'}), 412, "precondition-failed")


@pytest.mark.engines("sqlite")
class TestIfNoneMatch:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("template", [*NAMES_IT, "W/{tag}", '"x", W/{tag}'])
    def test_spares_the_reader_what_it_has(self, client: Client, created: Response, method: str, template: str) -> None:
        headers = {"if-none-match": conditions(template, created.headers["etag"])}
        response = client.request(method, created.headers["location"], headers=headers)
        assert response.status_code == 304
        assert response.content == b""
        assert response.headers["etag"] == created.headers["etag"]
        assert "content-length" not in response.headers
        assert "content-type" not in response.headers

    @pytest.mark.parametrize("template", NAMES_ANOTHER)
    def test_gives_the_reader_what_it_has_not(self, client: Client, created: Response, template: str) -> None:
        headers = {"if-none-match": conditions(template, created.headers["etag"])}
        response = client.get(created.headers["location"], headers=headers)
        assert response.status_code == 200
        assert (response.content, response.headers["etag"]) == (created.content, created.headers["etag"])

    def test_on_several_lines_is_one_list(self, client: Client, created: Response) -> None:
        headers = [("If-None-Match", created.headers["etag"]), ("If-None-Match", '"x"')]
        assert client.get(created.headers["location"], headers=headers).status_code == 304

    def test_gives_what_changed_since(self, client: Client, created: Response) -> None:
        changed = client.patch(created.headers["location"], json={"cgpa": 1})
        response = client.get(created.headers["location"], headers={"if-none-match": created.headers["etag"]})
        assert (response.status_code, response.content) == (200, changed.content)

    @pytest.mark.parametrize(("method", "body"), WRITES)
    @pytest.mark.parametrize("template", [*NAMES_IT, "W/{tag}"])
    def test_stops_a_change_of_what_is_there(
        self, client: Client, created: Response, method: str, body: Any, template: str
    ) -> None:
        header = conditions(template, created.headers["etag"])
        response = write(client, method, created.headers["location"], body, if_none_match=header)
        refused(response, 412, "precondition-failed")
        assert client.get(created.headers["location"]).content == created.content

    @pytest.mark.parametrize(("method", "body"), WRITES)
    def test_lets_a_change_through_where_the_record_is_another(
        self, client: Client, created: Response, method: str, body: Any
    ) -> None:
        response = write(client, method, created.headers["location"], body, if_none_match='"x"')
        assert response.status_code in (200, 204)

    @pytest.mark.parametrize("method", ["GET", "PUT"])
    def test_never_creates(self, client: Client, method: str) -> None:
        body = STUDENT if method == "PUT" else None
        refused(write(client, method, "/students/1", body, if_none_match="*"), 404, "not-found")

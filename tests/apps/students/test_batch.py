"""POST /students/batch."""

import json
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused
from tests.rosters import fields, students

Client = TestClient[Litestar]
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


def send(client: Client, body: Any, key: str | None = None) -> Response:
    return client.post("/students/batch", json=body, headers={} if key is None else {"Idempotency-Key": key})


def count(client: Client) -> int:
    total: int = client.get("/students?count=true&limit=1").json()["total"]
    return total


class TestBatch:
    @pytest.mark.parametrize("size", [1, 1000])
    def test_creates_all_in_order(self, client: Client, size: int) -> None:
        sent = students(size)
        response = send(client, sent)
        assert response.status_code == 201, response.text
        assert response.json().keys() == {"items"}
        items = response.json()["items"]
        assert list(map(fields, items)) == list(map(fields, sent))
        assert [item["id"] for item in items] == sorted({item["id"] for item in items})
        assert client.get(f"/students/{items[-1]['id']}").json() == items[-1]
        assert count(client) == size

    def test_created_students_are_found_by_their_names(self, client: Client) -> None:
        items = send(client, [STUDENT, {**STUDENT, "name": "Straße", "cgpa": -0.0}]).json()["items"]
        assert str(items[1]["cgpa"]) == "0.0"
        assert client.get("/students", params={"q": "STRASSE"}).json()["items"] == [items[1]]

    def test_creates_none_if_one_is_not_valid_and_names_every_bad_field(self, client: Client) -> None:
        bad = {"name": "", "department": 1, "cgpa": 11}
        response = send(client, [STUDENT] * 17 + [bad] + [STUDENT] * 3 + [{**STUDENT, "phone": 1}, 5])
        named = refused(response, 422, "invalid-body")
        assert named.keys() == {"/17/name", "/17/department", "/17/cgpa", "/21/phone", "/22"}
        assert count(client) == 0

    @pytest.mark.parametrize("body", [[], [STUDENT] * 1001, STUDENT, {"items": [STUDENT]}, "x"])
    def test_is_a_list_of_one_to_a_thousand(self, client: Client, body: Any) -> None:
        assert refused(send(client, body), 422, "invalid-body").keys() == {""}
        assert count(client) == 0

    def test_names_a_hundred_errors_at_most(self, client: Client) -> None:
        assert len(refused(send(client, [{}] * 1000), 422, "invalid-body")) == 100

    def test_may_have_eight_mebibytes_and_no_more(self, client: Client) -> None:
        body = json.dumps([STUDENT] * 1000).encode()
        headers = {"Content-Type": "application/json"}
        whole = body + b" " * (8 * 1024 * 1024 - len(body))
        assert client.post("/students/batch", content=whole, headers=headers).status_code == 201
        refused(client.post("/students/batch", content=whole + b" ", headers=headers), 413, "too-large")
        assert count(client) == 1000

    def test_many_tiny_items_are_refused(self, client: Client) -> None:
        body = b"[" + b"0," * (4 * 1024 * 1024 - 2) + b"0]"
        response = client.post("/students/batch", content=body, headers={"Content-Type": "application/json"})
        assert "" in refused(response, 422, "invalid-body")

    def test_a_repetition_with_the_same_key_creates_nothing_more(self, client: Client) -> None:
        first = send(client, [STUDENT] * 3, key="batch-1")
        again = send(client, [STUDENT] * 3, key="batch-1")
        assert first.status_code == again.status_code == 201
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        refused(send(client, [STUDENT] * 2, key="batch-1"), 422, "key-reused")
        assert count(client) == 3

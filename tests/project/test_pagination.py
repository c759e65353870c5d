import base64
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.settings import Settings
from tests.problems import refused

Client = TestClient[Litestar]
SORTS = ["id", "-name", "department", "-cgpa", "created_at", "-updated_at"]


def fill(client: Client, count: int = 6) -> list[dict[str, Any]]:
    students = [{"name": "ab"[number % 2], "department": "CSE", "cgpa": number % 3} for number in range(count)]
    return [client.post("/students", json=student).json() for student in students]


def cursor(client: Client, **parameters: Any) -> str:
    text: str = client.get("/students", params={"limit": 2, **parameters}).json()["next_cursor"]
    return text


class TestCursor:
    @pytest.mark.parametrize("sort", SORTS)
    def test_survives_a_restart(self, client: Client, settings: Settings, sort: str) -> None:
        fill(client)
        parameters: dict[str, Any] = {"sort": sort, "limit": 2, "cursor": cursor(client, sort=sort)}
        page = client.get("/students", params=parameters).json()
        with TestClient(create_app(settings), base_url=str(client.base_url)) as restarted:
            assert restarted.get("/students", params=parameters).json() == page

    def test_of_another_secret_key_is_forged(self, client: Client, settings: Settings) -> None:
        fill(client)
        foreign = msgspec.structs.replace(settings, secret_key="another key")
        with TestClient(create_app(foreign), base_url=str(client.base_url)) as other:
            text = cursor(other)
            assert other.get("/students", params={"cursor": text}).status_code == 200
        refused(client.get("/students", params={"cursor": text}), 400, "bad-cursor")

    @pytest.mark.parametrize("sort", SORTS)
    def test_changed_anywhere_is_forged(self, client: Client, sort: str) -> None:
        fill(client)
        data = base64.urlsafe_b64decode(cursor(client, sort=sort) + "==")
        for position in range(len(data)):
            changed = bytearray(data)
            changed[position] ^= 1
            text = base64.urlsafe_b64encode(changed).decode().rstrip("=")
            response = client.get("/students", params={"sort": sort, "cursor": text})
            refused(response, 400, "bad-cursor")
            assert "start again without one" in response.json()["detail"]

    def test_cut_short_or_made_longer_is_forged(self, client: Client) -> None:
        fill(client)
        text = cursor(client)
        for forged in (text[:-1], text[:10], text[1:], text + "A", text + "AAAA", text * 2):
            refused(client.get("/students", params={"cursor": forged}), 400, "bad-cursor")

    @pytest.mark.parametrize(
        "text",
        ["x", "1", "0", "null", "-", "====", "é", "😀", "A" * 4096, "../..", "' OR 1=1 --", "e30", "kQE", "\\", "+/"],
    )
    def test_made_up_is_forged(self, client: Client, text: str) -> None:
        fill(client)
        refused(client.get("/students", params={"cursor": text}), 400, "bad-cursor")

    def test_too_long_is_refused_unread(self, client: Client) -> None:
        assert refused(client.get("/students", params={"cursor": "A" * 4097}), 400, "bad-query").keys() == {"/cursor"}

    @pytest.mark.parametrize(
        "other",
        [
            {"sort": "-name"}, {"sort": "cgpa"}, {"sort": "id"}, {"sort": "department"},
            {"sort": "name", "department": "CSE"}, {"sort": "name", "q": "a"}, {"sort": "name", "cgpa_min": 0},
            {"sort": "name", "cgpa_max": 10}, {"sort": "name", "updated_after": "2000-01-01T00:00:00Z"},
        ],
    )  # fmt: skip
    def test_belongs_to_its_sort_and_filters(self, client: Client, other: dict[str, Any]) -> None:
        fill(client)
        first = cursor(client, sort="name")
        second = cursor(client, **other)
        for parameters in ({**other, "cursor": first}, {"sort": "name", "cursor": second}):
            response = client.get("/students", params=parameters)
            refused(response, 400, "bad-cursor")
            assert "another sort or other filters" in response.json()["detail"]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"q": "a"}, {"q": "b"}),
            ({"cgpa_min": 0}, {"cgpa_min": 1}),
            ({"department": "CSE"}, {"department": ["CSE", "EEE"]}),
            ({"cgpa_min": 0}, {"cgpa_max": 0}),
        ],
    )
    def test_belongs_to_the_values_of_its_filters(
        self, client: Client, first: dict[str, Any], second: dict[str, Any]
    ) -> None:
        fill(client)
        response = client.get("/students", params={**second, "cursor": cursor(client, limit=1, **first)})
        refused(response, 400, "bad-cursor")

    def test_does_not_mind_how_the_same_filters_are_written(self, client: Client) -> None:
        students = fill(client)
        text = cursor(client, department=["EEE", "CSE"], cgpa_min="0")
        page = client.get("/students?cgpa_min=-0.0&department=CSE&department=EEE&sort=id&limit=2", params=None)
        assert page.status_code == 200
        response = client.get(
            f"/students?cgpa_min=0.0&department=CSE&department=EEE&department=CSE&sort=id&cursor={text}"
        )
        assert response.json()["items"] == students[2:]

    @pytest.mark.parametrize("name", ["x" * 200, "😀" * 200, "\U0010ffff" * 200])
    def test_holds_the_longest_name(self, client: Client, name: str) -> None:
        students = [
            client.post("/students", json={"name": name, "department": "b", "cgpa": 1}).json() for _ in range(3)
        ]
        text = cursor(client, sort="name", limit=1)
        assert len(text) <= 4096
        rest = client.get("/students", params={"sort": "name", "cursor": text}).json()
        assert rest == {"items": students[1:]}

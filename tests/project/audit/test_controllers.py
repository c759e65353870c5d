import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from tests.clients import Client
from tests.people import PASSWORD, add_user
from tests.problems import refused
from tests.rosters import as_csv

STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

Entry = dict[str, Any]


def walk(client: Client, **parameters: Any) -> list[Entry]:
    """The entries on all pages."""
    response = client.get("/audit", params=parameters)
    assert response.status_code == 200, response.text
    page = response.json()
    items: list[Entry] = page["items"]
    if "next_cursor" in page:
        items += walk(client, **{**parameters, "cursor": page["next_cursor"]})
    return items


def created(client: Client, **changes: Any) -> int:
    response = client.post("/students", json={**STUDENT, **changes})
    assert response.status_code == 201, response.text
    number: int = response.json()["id"]
    return number


class TestList:
    def test_is_empty_at_first(self, client: Client) -> None:
        assert client.get("/audit", params={"action": "create"}).json() == {"items": []}

    def test_has_what_was_answered_a_moment_ago(self, client: Client) -> None:
        number = created(client)
        response = client.patch(f"/students/{number}", json={"cgpa": 9.5}, headers={"X-Request-ID": "abc"})
        assert response.status_code == 200
        entry = walk(client, record="students.student")[0]
        assert TIME.fullmatch(entry.pop("at"))
        assert TIME.fullmatch(entry.pop("sealed_at"))
        assert entry == {
            "id": entry["id"],
            "actor": "",
            "channel": "api",
            "address": entry["address"],
            "request_id": "abc",
            "action": "update",
            "record": "students.student",
            "key": str(number),
            "details": {"changes": {"cgpa": {"before": 8.9, "after": 9.5}}},
        }

    def test_says_which_user_and_token_it_was(self, client: Client) -> None:
        user_id = add_user(client, "ananya", "editor")
        token = client.post("/auth/token", json={"username": "ananya", "password": PASSWORD}).json()
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        assert client.post("/students", json=STUDENT, headers=headers).status_code == 201
        entry = walk(client, actor="ananya", action="create", record="students.student")[0]
        assert (entry["actor_id"], entry["token_id"]) == (user_id, token["id"])

    def test_pages_have_the_newest_first_and_are_complete(self, client: Client) -> None:
        numbers = [str(created(client)) for _ in range(7)]
        assert [entry["key"] for entry in walk(client, action="create", limit=3)] == numbers[::-1]
        assert [entry["key"] for entry in walk(client, action="create", limit=2, sort="at")] == numbers

    def test_filters(self, client: Client) -> None:
        first, second = created(client), created(client)
        client.patch(f"/students/{first}", json={"cgpa": 9})
        client.delete(f"/students/{second}")
        assert [entry["action"] for entry in walk(client, record="students.student", key=second)] == [
            "delete",
            "create",
        ]
        assert [entry["key"] for entry in walk(client, action="update")] == [str(first)]
        assert walk(client, actor="somebody") == []
        assert walk(client, record="accounts.user") == []
        middle = walk(client, action="update")[0]["at"]
        assert [entry["action"] for entry in walk(client, since=middle)] == ["delete", "update"]
        assert "update" not in [entry["action"] for entry in walk(client, until=middle)]
        later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        assert walk(client, since=later.isoformat()) == []

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "sort=id",
            "since=yesterday",
            "since=2026-01-31T09:30:00",
            "color=red",
            "record=",
            "until=",
            "record=%00",
            "key=1%002",
            "actor=%00",
            "action=%00",
        ],
    )
    def test_refuses_a_query_that_is_not_allowed(self, client: Client, query: str) -> None:
        refused(client.get(f"/audit?{query}"), 400, "bad-query")

    def test_refuses_a_cursor_from_elsewhere(self, client: Client) -> None:
        created(client)
        created(client)
        cursor = client.get("/audit?limit=1").json()["next_cursor"]
        refused(client.get(f"/audit?limit=1&sort=at&cursor={cursor}"), 400, "bad-cursor")


Call = tuple[str, dict[str, Any]]
"""A path, and what else there is to a request."""


def signing_in(client: Client) -> Call:
    add_user(client, "ananya")
    return "/auth/token", {"json": {"username": "ananya", "password": PASSWORD}}


def revoking(client: Client) -> Call:
    path, options = signing_in(client)
    token = client.post(path, **options).json()
    return f"/auth/tokens/{token['id']}", {"headers": {"Authorization": f"Bearer {token['access_token']}"}}


def to_students(path: str) -> dict[tuple[str, str], Callable[[Client], Call]]:
    one = path + "/{student_id}"
    return {
        ("POST", path): lambda client: (path, {"json": STUDENT}),
        ("PUT", one): lambda client: (f"{path}/{created(client)}", {"json": STUDENT}),
        ("PATCH", one): lambda client: (f"{path}/{created(client)}", {"json": {"cgpa": 1}}),
        ("DELETE", one): lambda client: (f"{path}/{created(client)}", {}),
    }


CSV: dict[str, Any] = {"content": as_csv([STUDENT] * 3), "headers": {"Content-Type": "text/csv"}}

CALLS: dict[tuple[str, str], Callable[[Client], Call]] = {
    ("POST", "/auth/token"): signing_in,
    ("DELETE", "/auth/tokens/{token_id}"): revoking,
    **to_students("/students"),
    **to_students("/student"),
    ("POST", "/students/batch"): lambda client: ("/students/batch", {"json": [STUDENT] * 3}),
    ("POST", "/students/import"): lambda client: ("/students/import", CSV),
}
"""For each route that may change something, a request that does."""

SITE = "/admin"
"""Changes are made there too, by the same services; what is of the site is shown in its own tests."""


def writing(client: Client) -> Iterator[tuple[str, str]]:
    for route in client.app.routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith(SITE):
            for handler in route.route_handlers:
                assert isinstance(handler, HTTPRouteHandler)
                yield from ((method, route.path_format) for method in handler.http_methods - {"GET", "HEAD", "OPTIONS"})


class TestEveryRouteThatWrites:
    def test_is_known_here(self, client: Client) -> None:
        assert set(writing(client)) == CALLS.keys()

    @pytest.mark.parametrize("route", CALLS, ids=" ".join)
    def test_leaves_exactly_one_entry(self, client: Client, route: tuple[str, str]) -> None:
        path, options = CALLS[route](client)
        headers = {**options.get("headers", {}), "X-Request-ID": "the-one"}
        response = client.request(route[0], path, **{**options, "headers": headers})
        assert response.status_code < 300, response.text
        assert [entry["channel"] for entry in walk(client) if entry["request_id"] == "the-one"] == ["api"]

    def test_that_refuses_leaves_none(self, client: Client) -> None:
        before = len(walk(client))
        refused(client.post("/students", json={}), 422, "invalid-body")
        refused(client.delete("/students/999999"), 404, "not-found")
        refused(client.post("/auth/token", json={"username": "nobody", "password": PASSWORD}), 401, "unauthenticated")
        refused(client.post("/students/batch", json=[STUDENT, {}]), 422, "invalid-body")
        assert len(walk(client)) == before

    def test_repeated_with_a_key_leaves_one(self, client: Client) -> None:
        for _ in range(2):
            assert client.post("/students", json=STUDENT, headers={"Idempotency-Key": "first"}).status_code == 201
        assert len(walk(client, action="create", record="students.student")) == 1

    def test_imports_are_told_by_their_counts(self, client: Client) -> None:
        client.post("/students/import", **CSV)
        [entry] = walk(client, action="import")
        assert entry["record"] == "students.student"
        assert entry["details"] == {"counts": {"students.student": {"create": 3}}}

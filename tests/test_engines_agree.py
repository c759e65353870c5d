"""The same random calls to the service on every engine side by side: their answers are the same."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import pytest
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.database import migrations
from project.settings import load

NAMES = st.sampled_from([
    "a", "A", "a ", "a  ", " a", "b", "Z", "z", "é", "e\u0301", "É", "ß", "ss", "SS", "STRASSE", "Straße", "İ", "i",
    "ı", "I", "i\u0307", "ς", "Σ", "\u0300", "שלום", "سلام", "\u202eabc", "日本", "ｱ", "ア", "\ue000", "\uffff",
    "\U00010000", "😀", "👩\u200d👩\u200d👧", "%", "_", "/", "\\", "'", '"', "😀" * 200, "ΐ" * 200,
])  # fmt: skip
"""Chosen to hurt: case, accents, trailing blanks, combining marks, right-to-left, long and astral."""
DEPARTMENTS = st.sampled_from(["CSE", "cse", "CSE ", "Ingeniería", "Ingenieria", "物理", "😀" * 100])
GRADES = st.sampled_from([0, -0.0, 0.1, 5e-324, 8.9, 9.999999999999998, 10]) | st.floats(0, 10)
FIELDS: dict[str, st.SearchStrategy[Any]] = {"name": NAMES, "department": DEPARTMENTS, "cgpa": GRADES}
REFUSED: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["x" * 201, "", " ", "a\0b", "\ud800", 1]),
    "department": st.sampled_from(["x" * 101, "", "\t", None]),
    "cgpa": st.sampled_from([10.000000000000002, -1, "9", None]),
}
STUDENT = st.fixed_dictionaries(FIELDS)
NO_STUDENT = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.fixed_dictionaries({**FIELDS, name: REFUSED[name]})
)
BODY = st.integers(0, 5).flatmap(lambda dice: STUDENT if dice else NO_STUDENT)
CHANGES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries({}, optional=FIELDS)
WHICH = st.integers(0, 9)
MATCH = st.sampled_from([None, "current", "first", "*"])
SORTS = st.sampled_from(["id", "name", "department", "cgpa", "updated_at"])
SORT = st.tuples(st.sampled_from(["", "-"]), SORTS).map("".join)
PARAMETERS = st.fixed_dictionaries(
    {"sort": SORT, "limit": st.integers(1, 5)},
    optional={"department": DEPARTMENTS, "cgpa_min": GRADES, "cgpa_max": GRADES, "q": NAMES, "count": st.just("true")},
)
CREATE = st.tuples(st.just("create"), BODY, st.sampled_from([None, "one", "two"]))
CALLS = st.tuples(
    st.lists(st.tuples(st.just("create"), STUDENT, st.none()), min_size=2, max_size=8),
    st.lists(
        CREATE
        | st.tuples(st.just("batch"), st.lists(BODY, max_size=4), st.none())
        | st.tuples(st.just("get"), WHICH, MATCH)
        | st.tuples(st.just("replace"), WHICH, MATCH, BODY)
        | st.tuples(st.just("update"), WHICH, MATCH, CHANGES)
        | st.tuples(st.just("delete"), WHICH, MATCH)
        | st.tuples(st.just("walk"), PARAMETERS)
        | st.tuples(st.just("walk"), st.fixed_dictionaries({"sort": SORT, "limit": st.integers(1, 5)}))
        | st.tuples(st.just("statistics")),
        max_size=12,
    ),
).map(lambda parts: [*parts[0], *parts[1]])


class Caller:
    """One engine's side: what the engines number and date differently is told as when it was first seen."""

    def __init__(self, client: TestClient[Litestar]) -> None:
        self.client = client
        self.example = 0

    def begin(self, example: int) -> None:
        self.example = example
        self.ids: list[int] = []
        self.tags: list[str] = []
        self.tags_of: dict[int, list[str]] = {}

    def end(self) -> None:
        for student_id in self.ids:
            self.client.delete(f"/students/{student_id}")

    def call(self, verb: str, *arguments: Any) -> list[Any]:
        if verb == "walk":
            return self._walk(*arguments)
        if verb == "statistics":
            return [self._told(self.client.get("/students/statistics"))]
        if verb in ("create", "batch"):
            body, key = arguments
            headers = {"Idempotency-Key": f"{self.example}-{key}"} if key else {}
            path = "/students" if verb == "create" else "/students/batch"
            return [self._told(self._send("POST", path, headers, body))]
        which, match, *body = arguments
        student_id = self.ids[which % len(self.ids)] if self.ids else 2**63 - 1
        tags = self.tags_of.get(student_id, ['"none"'])
        header = {"current": tags[-1], "first": tags[0]}.get(match, match)
        name = "If-None-Match" if verb == "get" else "If-Match"
        method = {"get": "GET", "replace": "PUT", "update": "PATCH", "delete": "DELETE"}[verb]
        return [self._told(self._send(method, f"/students/{student_id}", {name: header} if header else {}, *body))]

    def _send(self, method: str, path: str, headers: dict[str, str], *body: Any) -> Response:
        if not body:
            return self.client.request(method, path, headers=headers)
        headers = {**headers, "Content-Type": "application/json"}
        return self.client.request(method, path, headers=headers, content=json.dumps(body[0]))

    def _walk(self, parameters: dict[str, Any]) -> list[Any]:
        query = dict(parameters)
        told = []
        while True:
            response = self.client.get(f"/students?{urlencode(query, errors='surrogatepass')}")
            told.append(self._told(response))
            cursor = response.json().get("next_cursor")
            if cursor is None:
                return told
            query["cursor"] = cursor

    def _told(self, response: Response) -> Any:
        body = response.json() if response.content else None
        for student in [body, *(body.get("items", []) if isinstance(body, dict) else [])]:
            if isinstance(student, dict) and isinstance(student.get("id"), int) and student["id"] not in self.ids:
                self.ids.append(student["id"])
        tag = response.headers.get("etag")
        if tag is not None:
            if tag not in self.tags:
                self.tags.append(tag)
            if isinstance(body, dict) and "id" in body:
                self.tags_of.setdefault(body["id"], []).append(tag)
        replayed = response.headers.get("idempotency-replayed")
        return response.status_code, self._plain(body), tag and self.tags.index(tag), replayed

    def _plain(self, value: Any) -> Any:
        match value:
            case dict():
                plain = {name: self._plain(item) for name, item in value.items() if name != "next_cursor"}
                if "created_at" in value:
                    plain |= {"created_at": "then", "updated_at": value["updated_at"] > value["created_at"]}
                    plain["id"] = self.ids.index(value["id"])
                return plain
            case list():
                return [self._plain(item) for item in value]
            case str():
                return re.sub(r"(?<=/students/)\d+|(?<=student )\d+", lambda found: self._number(int(found[0])), value)
        return value

    def _number(self, student_id: int) -> str:
        return f"#{self.ids.index(student_id)}" if student_id in self.ids else str(student_id)


@pytest.fixture(scope="module")
def callers(new_database: Callable[[str], str]) -> Iterator[dict[str, Caller]]:
    with ExitStack() as stack:
        found = {}
        for engine in ("sqlite", "postgresql", "mariadb"):
            app = create_app(load({"DATABASE_URL": new_database(engine), "LOG_LEVEL": "WARNING"}))
            client = stack.enter_context(TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False))
            client.blocking_portal.call(migrations.migrate, app.state.database)
            found[engine] = Caller(client)
        yield found


class TestEngines:
    def test_answer_alike(self, callers: dict[str, Caller]) -> None:
        examples = iter(range(1_000_000))

        @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
        @given(CALLS)
        def agree(calls: list[tuple[Any, ...]]) -> None:
            example = next(examples)
            for caller in callers.values():
                caller.begin(example)
            try:
                for call in calls:
                    answers = {engine: caller.call(*call) for engine, caller in callers.items()}
                    for engine, answer in answers.items():
                        assert answer == answers["sqlite"], f"{engine} answers {call} otherwise than SQLite"
                        assert all(status != 500 for status, *_ in answer)
            finally:
                for caller in callers.values():
                    caller.end()

        agree()

"""The same calls, sent side by side to the service on every engine, get the same answers."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from project.settings import load
from tests.clients import Client, empty, serving
from tests.conftest import ENGINES

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SORTS = [
    f"{turn}{name}" for turn in ("", "-") for name in ("id", "name", "department", "cgpa", "created_at", "updated_at")
]

PARTS = [
    "a", "A", "á", "a\u0301", "ß", "ss", "SS", "İ", "i", "ı", "I", "i̇", "Å", "\u212b", "ﬁ", "fi", "z", "Z", "ä", "½",
    "1", " ", "  ", "\u00a0", "\u3000", "\u200b", "\ufeff", "\uffff", "\ue000", "\U0010ffff", "😀", "👩\u200d👧",
    "שלום", "العربية", "\u202e", "%", "_", "\\", "'", '"', "--", "/", "Ω", "ω", "ς", "σ", "ŉ", "Ǆ", "ǆ",
]  # fmt: skip
"""What some database takes for something else, or for the end of the statement."""
names = st.one_of(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map("".join),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
    st.sampled_from(["\U0001d538" * 200, "😀" * 200, "x" * 200, "İ" * 200]),
).filter(str.strip)
departments = st.one_of(
    st.sampled_from(["CSE", "cse", "CSE ", "ECE", "É", "E\u0301"]), names.map(lambda name: name[:100]).filter(str.strip)
)
grades = st.one_of(
    st.sampled_from([0, 0.0, -0.0, 5e-324, 8.9, 9, 9.999999999999998, 10, 10.0, 0.1 + 0.2]), st.floats(0, 10)
)
bad_texts: st.SearchStrategy[Any] = st.sampled_from(
    ["", " ", "\u3000", "\n", "a\0b", "a\x7f", "\ud800", "x" * 201, None, 1, True, [], {}]
)
bad_grades: st.SearchStrategy[Any] = st.sampled_from(
    [-1, 10.000000000000002, 11, "9", None, True, 1e308, [], float("nan")]
)
EXAMPLES = 100
which = st.integers(0, 20)
"""Which of the students that were there so far, counting round; the highest is one that never was."""
NEVER = 20


def fields(good: bool) -> st.SearchStrategy[dict[str, Any]]:
    if good:
        return st.fixed_dictionaries({"name": names, "department": departments, "cgpa": grades})
    return st.fixed_dictionaries(
        {},
        optional={
            "name": names | bad_texts,
            "department": departments | bad_texts,
            "cgpa": grades | bad_grades,
            "unknown": st.just(1),
        },
    )


patches = st.one_of(
    st.fixed_dictionaries({}, optional={"name": names, "department": departments, "cgpa": grades}), fields(good=False)
)
bodies = st.one_of(fields(good=True), fields(good=True), fields(good=False))
filters = st.fixed_dictionaries(
    {},
    optional={
        "department": st.lists(departments, min_size=1, max_size=3),
        "cgpa_min": grades.map(repr),
        "cgpa_max": grades.map(repr),
        "q": names.map(lambda name: name[:3]),
        "cgpa_mean": st.just("1"),
    },
)


class Call(NamedTuple):
    """What is sent; `student` stands for the id that the engine at hand gave to that one."""

    method: str
    path: str
    student: int | None = None
    body: Any = None
    parameters: Mapping[str, Any] = MappingProxyType({})
    conditional: str | None = None
    """Whether If-Match names what is there now ("fresh") or not ("stale")."""


conditions = st.sampled_from([None, None, "fresh", "stale"])
calls = st.one_of(
    st.builds(lambda body: Call("POST", "/students", body=body), bodies),
    st.builds(lambda body: Call("POST", "/students/batch", body=body), st.lists(bodies, max_size=4)),
    st.builds(lambda n, body, c: Call("PUT", "/students/{id}", n, body, conditional=c), which, bodies, conditions),
    st.builds(
        lambda n, body, c: Call("PATCH", "/students/{id}", n, body, conditional=c),
        which,
        fields(good=False),
        conditions,
    ),
    st.builds(lambda n, c: Call("DELETE", "/students/{id}", n, conditional=c), which, conditions),
    st.builds(lambda n: Call("GET", "/students/{id}", n), which),
    st.builds(
        lambda parameters, sort, limit, count: Call(
            "GET", "/students", parameters={**parameters, "sort": sort, "limit": limit, "count": count}
        ),
        filters,
        st.sampled_from(SORTS),
        st.sampled_from([1, 2, 3, 100]),
        st.sampled_from(["true", "false"]),
    ),
    st.builds(
        lambda parameters, form, sort: Call(
            "GET", "/students/export", parameters={**parameters, "format": form, "sort": sort}
        ),
        filters,
        st.sampled_from(["csv", "jsonl"]),
        st.sampled_from(SORTS),
    ),
    st.builds(lambda parameters: Call("GET", "/students/statistics", parameters=parameters), filters),
    st.builds(
        lambda lines, atomic: Call("POST", "/students/import", body=tuple(lines), parameters={"atomic": atomic}),
        st.lists(bodies, max_size=4),
        st.sampled_from(["true", "false"]),
    ),
)


class Side:
    """The service on one engine, and what is known of its students."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def start(self, students: Sequence[Any]) -> None:
        """With these students, and no others."""
        empty(self.client)
        self._ids: list[int] = []
        assert self.answers(Call("POST", "/students/batch", body=students))[0][0] == 201

    def answers(self, call: Call) -> list[Any]:
        """The answers to a call, one for each page, in words that are the same for every engine."""
        parameters = dict(call.parameters)
        answers = [self._answer(call)]
        while (cursor := answers[-1][1].pop("next_cursor", None)) is not None:
            parameters["cursor"] = cursor
            answers.append(self._answer(call._replace(parameters=parameters)))
        return answers

    def _answer(self, call: Call) -> tuple[int, Any]:
        number = 2**62 if call.student is None or call.student == NEVER else self._ids[call.student % len(self._ids)]
        path = call.path.format(id=number)
        headers = {}
        if call.conditional is not None:
            tag = self.client.get(path).headers.get("ETag", '"nothing"')
            headers["If-Match"] = tag if call.conditional == "fresh" else '"stale"'
        content = None
        if call.body is not None:
            is_file = isinstance(call.body, tuple)
            content = "\n".join(map(json.dumps, call.body if is_file else [call.body])).encode()
            headers["Content-Type"] = "application/x-ndjson" if is_file else "application/json"
        response = self.client.request(call.method, path, params=call.parameters, content=content, headers=headers)
        if response.status_code == 201:
            created = response.json()
            self._ids += [student["id"] for student in created.get("items", [created])]
        elif call.path == "/students/import":
            newest = self.client.get("/students", params={"sort": "-id", "limit": 4}).json()["items"]
            self._ids += [student["id"] for student in reversed(newest) if student["id"] > max(self._ids)]
        assert response.status_code < 500, response.text
        return response.status_code, self._plain(response, number)

    def _plain(self, response: httpx.Response, number: int) -> dict[str, Any]:
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        plain: dict[str, Any] = {
            "kind": kind,
            "headers": sorted(response.headers.keys() & {"etag", "location", "retry-after", "allow"}),
        }
        match kind:
            case "text/csv":
                plain["items"] = [self._student(row) for row in csv.DictReader(io.StringIO(response.text))]
            case "application/x-ndjson" | "application/jsonl":
                plain["items"] = [self._student(json.loads(line)) for line in response.text.splitlines()]
            case "application/problem+json":
                plain |= json.loads(re.sub(rf"(students/|student ){number}\b", r"\1that", response.text))
            case "application/json":
                plain |= response.json()
                if "id" in plain:
                    plain = self._student(plain)
                elif "created_at" in (plain.get("items") or [{}])[0]:
                    plain["items"] = [self._student(student) for student in plain["items"]]
        return plain

    def _student(self, student: dict[str, Any]) -> dict[str, Any]:
        for name in ("created_at", "updated_at"):
            assert MOMENT.fullmatch(student[name])
        return {
            **student,
            "id": self._ids.index(int(student["id"])),
            "created_at": "then",
            "updated_at": "then" if student["updated_at"] == student["created_at"] else "later",
        }


@pytest.fixture(scope="module")
def sides(new_database: Callable[[str], str]) -> Iterator[dict[str, Side]]:
    """On every engine that is there: what lacks for the others, the other tests say."""
    there = [engine for engine in ENGINES if engine != "mariadb" or shutil.which("mariadbd")]
    found: dict[str, Side] = {}

    def open_next() -> Iterator[dict[str, Side]]:
        if len(found) == len(there):
            yield found
            return
        engine = there[len(found)]
        with serving(load({"DATABASE_URL": new_database(engine), "LOG_LEVEL": "ERROR"})) as client:
            found[engine] = Side(client)
            yield from open_next()

    yield from open_next()


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # which would hide what else went wrong
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the services do, in their threads
class TestEngines:
    def test_answer_alike(self, sides: dict[str, Side]) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(students=st.lists(fields(good=True), min_size=3, max_size=8), calls=st.lists(calls, min_size=5))
        def compare(students: list[Any], calls: list[Call]) -> None:
            for side in sides.values():
                side.start(students)
            for call in calls:
                answers = {engine: side.answers(call) for engine, side in sides.items()}
                expected = answers["sqlite"]
                for engine, answer in answers.items():
                    assert answer == expected, f"{engine} answers {call} otherwise"

        compare()

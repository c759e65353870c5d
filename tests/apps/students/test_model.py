"""A plain dictionary of students, and random calls that find no difference between it and the service."""

import csv
import io
import itertools
import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from httpx import Response
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused

Client = TestClient[Litestar]
Json = dict[str, Any]

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

NAMES = [
    "a", "A", "a ", " a", "aa", "Aa", "b", "z", "Z", "0", "10", "9", "~", "!", "é", "e\u0301", "E", "É", "\u0300", "áa",
    "ß", "ẞ", "ss", "SS", "Straße", "STRASSE", "İ", "i", "ı", "I", "i\u0307", "ς", "σ", "Σ", "ǆ", "ǅ", "K", "\u212a",
    "ﬁ", "fi", "ΐ", "%", "_", "/", "\\", "a%b", "a_b", "a/b", "a\\b", "'", '"', "`", "null", "NULL", "a,b", 'a"b',
    "a;b", "-1", "=1+1", "{}", "a:b", "<b>", "\u200b", "\ufeff", "\u00ad", "\u202eabc", "a\u3000b", "a\u2028b", "שלום",
    "سلام", "日本", "ｱ", "ア", "😀", "👩\u200d👩\u200d👧", "\ue000", "\uffff", "\U00010000", "\U0010ffff", "x" * 200,
    "😀" * 200, "İ" * 200, "ŉ" * 100,
]  # fmt: skip
"""Chosen to hurt: case, accents, blanks, wildcards, quotes, and code points that UTF-16 orders otherwise."""

VISIBLE = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200).filter(str.strip)
GRADES = st.sampled_from([0, 10, 5, 7.5, 9, 0.1, 9.999999999999998, 5e-324, 8.9, -0.0]) | st.floats(0, 10)


DEPARTMENTS = st.sampled_from(["CSE", "cse", "CSE "]) | st.sampled_from([name[:100] for name in NAMES])

FIELDS = {"name": st.sampled_from(NAMES) | VISIBLE, "department": DEPARTMENTS, "cgpa": GRADES}
STUDENTS = st.fixed_dictionaries(FIELDS)
CHANGES: st.SearchStrategy[Json] = st.builds(dict) | st.fixed_dictionaries({}, optional=FIELDS)

NOT_TEXT: list[Any] = [None, 1, 1.5, True, [], ["a"], {}]
FAULTS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["", " ", "\u3000\u2028", "\0", "a\nb", "\x85", "x" * 201, "😀" * 201, *NOT_TEXT]),
    "department": st.sampled_from(["", "\t", "\u00a0", "a\x7f", "x" * 101, "😀" * 101, *NOT_TEXT]),
    "cgpa": st.sampled_from(["9", "", None, True, [], {}, -1, -5e-324, 10.000000000000002, 2**64, 10**400]),
    "grade": st.just(1),
    "id": st.just(1),
    "na/me~": st.just("a"),
}  # fmt: skip
NOT_JSON = ["", "{", "nul", '{"name": "a",}', '{"cgpa": NaN}', r'{"name": "\ud800"}', '{"name": "\0"}', "[" * 5000]


@st.composite
def not_students(draw: st.DrawFn, complete: bool = True) -> tuple[Json, set[str]]:
    """A body that is no student, and the pointers to what is wrong with it."""
    body = draw(STUDENTS if complete else CHANGES)
    wrong = draw(st.dictionaries(st.sampled_from(sorted(FAULTS)), st.none(), min_size=1, max_size=4))
    for name in wrong:
        if complete and name in FIELDS and draw(st.booleans()):
            del body[name]
        else:
            body[name] = draw(FAULTS[name])
    return body, {f"/{name.replace('~', '~0').replace('/', '~1')}" for name in wrong}


class Conditions(NamedTuple):
    """Headers whose entity tags are still to be filled in: of the record as it is, and as it was."""

    if_match: str | None = None
    if_none_match: str | None = None

    def headers(self, current: str, stale: str) -> dict[str, str]:
        templates = {"If-Match": self.if_match, "If-None-Match": self.if_none_match}
        return {name: text.format(current=current, stale=stale) for name, text in templates.items() if text is not None}


HOLDING = ["*", "{current}", '"x", {current}']
WEAK = ["W/{current}", "{stale}, W/{current}"]
OTHERS = ["{stale}", '"x"', "", "W/{stale}", "nonsense"]
TEMPLATES = st.none() | st.sampled_from([*HOLDING, *WEAK, *OTHERS])
CONDITIONS = st.just(Conditions()) | st.builds(Conditions, TEMPLATES, TEMPLATES)

PICK = st.integers(0, 40)
"""Which of the students that are there, or of the moments seen."""
CASES = st.sampled_from([str, str.upper, str.lower, str.title, str.swapcase, str.casefold])

SORTS = ["id", "name", "department", "cgpa", "created_at", "updated_at"]
FILTERS = {
    "department": st.lists(PICK, min_size=1, max_size=3),
    "cgpa_min": PICK,
    "cgpa_max": PICK,
    "q": st.sampled_from(["%", "_", "/", "\\", "a%", "_a"])
    | st.tuples(PICK, CASES, st.integers(0, 3), st.integers(1, 5)),
    "updated_after": PICK,
}


@st.composite
def some_filters(draw: st.DrawFn) -> Json:
    """Few at a time: what several let through is mostly nothing."""
    names = draw(st.lists(st.sampled_from(sorted(FILTERS)), max_size=2, unique=True))
    return {name: draw(FILTERS[name]) for name in names}


SORT = st.sampled_from([*SORTS, *(f"-{name}" for name in SORTS)])
LIMIT = st.integers(1, 5) | st.integers(1, 100)


def lets_through(filters: Json, student: Json) -> bool:
    return (
        student["department"] in filters.get("department", [student["department"]])
        and filters.get("cgpa_min", 0) <= student["cgpa"] <= filters.get("cgpa_max", 10)
        and filters.get("q", "").casefold() in student["name"].casefold()
        and filters.get("updated_after", "") < student["updated_at"]
    )


class StudentsMachine(RuleBasedStateMachine):
    """Each rule is a call; the dictionary says what its answer must be."""

    examples = itertools.count()

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self.example = next(self.examples)
        self.students: dict[int, Json] = {}
        self.tags: dict[int, list[str]] = {}
        self.highest = 0
        self.moments = ["2026-01-01T00:00:00+05:30"]
        self.answers: dict[tuple[str, str], tuple[Any, Response]] = {}

    @initialize()
    def empty(self) -> None:
        while items := self.client.get("/students?limit=100").json()["items"]:
            for student in items:
                assert self.client.delete(f"/students/{student['id']}").status_code == 204

    # Creating

    @rule(fields=STUDENTS)
    def create(self, fields: Json) -> None:
        self.created(self.client.post("/students", json=fields), fields)

    @rule(refused_body=not_students())
    def create_what_is_no_student(self, refused_body: tuple[Json, set[str]]) -> None:
        body, pointers = refused_body
        assert refused(self.client.post("/students", json=body), 422, "invalid-body").keys() == pointers

    @rule(text=st.sampled_from(NOT_JSON), pick=PICK, method=st.sampled_from(["POST", "PUT", "PATCH"]))
    def send_what_is_no_json(self, text: str, pick: int, method: str) -> None:
        path = "/students" if method == "POST" else f"/students/{self.chosen(pick)}"
        response = self.client.request(method, path, content=text, headers={"content-type": "application/json"})
        assert refused(response, 400, "malformed") == {}

    @rule(fields=STUDENTS, name=st.sampled_from(sorted(FIELDS)))
    def create_with_a_name_given_twice(self, fields: Json, name: str) -> None:
        body = f"{json.dumps(fields)[:-1]}, {json.dumps(name)}: {json.dumps(fields[name])}}}"
        response = self.client.post("/students", content=body, headers={"content-type": "application/json"})
        assert refused(response, 422, "invalid-body").keys() == {f"/{name}"}

    @rule(bodies=st.lists(STUDENTS, min_size=1, max_size=5))
    def create_batch(self, bodies: list[Json]) -> None:
        response = self.client.post("/students/batch", json=bodies)
        assert response.status_code == 201
        students = response.json()["items"]
        assert len(students) == len(bodies)
        for student, fields in zip(students, bodies, strict=True):
            self.remember_new(student, fields)

    @rule(good=st.lists(STUDENTS, max_size=3), bad=st.lists(not_students(), min_size=1, max_size=2))
    def create_batch_with_what_is_no_student(self, good: list[Json], bad: list[tuple[Json, set[str]]]) -> None:
        bodies = [*good, *(body for body, _ in bad)]
        pointers = {f"/{len(good) + index}{each}" for index, (_, found) in enumerate(bad) for each in found}
        assert refused(self.client.post("/students/batch", json=bodies), 422, "invalid-body").keys() == pointers

    @rule(
        records=st.lists(st.tuples(STUDENTS, st.builds(set)) | not_students(), min_size=1, max_size=5),
        atomic=st.booleans(),
        dry_run=st.booleans(),
    )
    def import_file(self, records: list[tuple[Json, set[str]]], atomic: bool, dry_run: bool) -> None:
        response = self.client.post(
            "/students/import",
            params={"atomic": json.dumps(atomic), "dry_run": json.dumps(dry_run)},
            content="\n".join(json.dumps(body) for body, _ in records),
            headers={"content-type": "application/x-ndjson"},
        )
        report = response.raise_for_status().json()
        faults = [pointers - {"/id"} for _, pointers in records]  # the id of an export is passed over
        valid = [
            {name: body[name] for name in FIELDS} for (body, _), found in zip(records, faults, strict=True) if not found
        ]
        kept = [] if atomic and any(faults) else valid
        assert {(error["line"], error["pointer"]) for error in report.pop("errors")} == {
            (line, pointer) for line, found in enumerate(faults, 1) for pointer in found
        }
        assert report == {
            "created": len(kept),
            "refused": len(list(filter(None, faults))),
            "dry_run": dry_run,
            "atomic": atomic,
            "errors_truncated": False,
        }
        there = self.client.get("/students", params={"sort": "-id", "limit": 6}).raise_for_status().json()["items"]
        new = sorted((student for student in there if student["id"] > self.highest), key=lambda student: student["id"])
        assert len(new) == (0 if dry_run else len(kept))
        for student, fields in zip(new, kept, strict=False):
            self.remember_new(student, fields)

    @rule(
        path=st.sampled_from(["/students", "/student"]),
        key=st.sampled_from(["k", "K", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"]),
        fields=STUDENTS,
        again=st.booleans(),
    )
    def create_once(self, path: str, key: str, fields: Json, again: bool) -> None:
        first = self.answers.get((path, key))
        body = first[0] if first and again else fields
        response = self.client.post(path, json=body, headers={"idempotency-key": f"{self.example}-{key}"})
        if first is None:
            self.created(response, body)
            self.answers[path, key] = body, response
        elif json.dumps(body) != json.dumps(first[0]):
            refused(response, 422, "key-reused")
        else:
            assert response.headers.pop("idempotency-replayed") == "true"
            assert (response.status_code, response.content) == (first[1].status_code, first[1].content)
            for name in ("etag", "location", "content-type"):
                assert response.headers[name] == first[1].headers[name]

    # One student

    @rule(pick=PICK, conditions=CONDITIONS, method=st.sampled_from(["GET", "HEAD"]))
    def read(self, pick: int, conditions: Conditions, method: str) -> None:
        chosen = self.chosen(pick)
        response = self.client.request(method, f"/students/{chosen}", headers=self.headers(chosen, conditions))
        if chosen not in self.students:
            assert response.status_code == 404
        elif conditions.if_match in (*WEAK, *OTHERS):
            assert response.status_code == 412
        else:
            fresh = conditions.if_none_match in (*HOLDING, *WEAK)
            assert response.status_code == (304 if fresh else 200)
            assert response.headers["etag"] == self.tags[chosen][-1]
            if method == "GET" and not fresh:
                self.same(response.json(), self.students[chosen])
            else:
                assert response.content == b""

    @rule(pick=PICK, fields=STUDENTS, conditions=CONDITIONS)
    def replace(self, pick: int, fields: Json, conditions: Conditions) -> None:
        self.change("PUT", pick, fields, conditions)

    @rule(pick=PICK, fields=CHANGES, conditions=CONDITIONS)
    def update(self, pick: int, fields: Json, conditions: Conditions) -> None:
        self.change("PATCH", pick, fields, conditions)

    @rule(pick=PICK, refused_body=not_students())
    def replace_by_what_is_no_student(self, pick: int, refused_body: tuple[Json, set[str]]) -> None:
        body, pointers = refused_body
        response = self.client.put(f"/students/{self.chosen(pick)}", json=body)
        assert refused(response, 422, "invalid-body").keys() == pointers

    @rule(pick=PICK, refused_body=not_students(complete=False))
    def update_to_what_is_no_student(self, pick: int, refused_body: tuple[Json, set[str]]) -> None:
        body, pointers = refused_body
        response = self.client.patch(f"/students/{self.chosen(pick)}", json=body)
        assert refused(response, 422, "invalid-body").keys() == pointers

    @rule(pick=PICK, conditions=CONDITIONS)
    def delete(self, pick: int, conditions: Conditions) -> None:
        chosen = self.chosen(pick)
        response = self.client.delete(f"/students/{chosen}", headers=self.headers(chosen, conditions))
        if self.may_change(chosen, conditions, response):
            assert (response.status_code, response.content) == (204, b"")
            del self.students[chosen]

    # All of them

    @rule(filters=some_filters(), sort=SORT, limit=LIMIT, count=st.booleans())
    def walk(self, filters: Json, sort: str, limit: int, count: bool) -> None:
        filters = self.filled(filters)
        expected = self.expected(filters, sort)
        parameters = {**filters, "sort": sort, "limit": limit, **({"count": "true"} if count else {})}
        for start in range(0, max(len(expected), 1), limit):
            page = self.client.get("/students", params=parameters).raise_for_status().json()
            self.same(page["items"], expected[start : start + limit])
            assert ("next_cursor" in page) == (start + limit < len(expected))
            assert page.get("total") == (len(expected) if count else None)
            parameters["cursor"] = page.get("next_cursor", "")

    @rule(sort=SORT, limit=st.integers(1, 3), arrivals=st.lists(STUDENTS, min_size=1, max_size=3), picks=st.lists(PICK))
    def walk_while_others_write(self, sort: str, limit: int, arrivals: list[Json], picks: list[int]) -> None:
        leaving = [chosen for pick in picks if (chosen := self.chosen(pick)) in self.students]
        staying = [student for student in self.expected({}, sort) if student["id"] not in leaving]
        seen: list[Json] = []
        parameters: Json = {"sort": sort, "limit": limit}
        while True:
            page = self.client.get("/students", params=parameters).raise_for_status().json()
            seen += page["items"]
            if "next_cursor" not in page:
                break
            parameters["cursor"] = page["next_cursor"]
            if arrivals:
                self.create(arrivals.pop())
            if leaving and (gone := leaving.pop()) in self.students:
                self.client.delete(f"/students/{gone}").raise_for_status()
                del self.students[gone]
        stayed = {student["id"] for student in staying}
        self.same([student for student in seen if student["id"] in stayed], staying)

    @rule(filters=some_filters(), sort=SORT)
    def export(self, filters: Json, sort: str) -> None:
        filters = self.filled(filters)
        expected = self.expected(filters, sort)
        lines = self.client.get(
            "/students/export", params={**filters, "sort": sort, "format": "jsonl"}
        ).raise_for_status()
        self.same([json.loads(line) for line in lines.text.split("\n")[:-1]], expected)
        table = self.client.get(
            "/students/export", params={**filters, "sort": sort, "format": "csv"}
        ).raise_for_status()
        rows = csv.DictReader(io.StringIO(table.text, newline=""), strict=True)
        self.same([{**row, "id": int(row["id"]), "cgpa": float(row["cgpa"])} for row in rows], expected)

    @rule(filters=some_filters())
    def statistics(self, filters: Json) -> None:
        filters = self.filled(filters)
        grades: dict[str, list[float]] = {}
        for student in self.expected(filters, "cgpa"):
            grades.setdefault(student["department"], []).append(student["cgpa"])
        expected = [
            {
                "department": department,
                "count": len(found),
                "mean": float(sum(map(Fraction, found)) / len(found)),
                "min": found[0],
                "max": found[-1],
                "histogram": [sum(min(int(cgpa), 9) == number for cgpa in found) for number in range(10)],
            }
            for department, found in sorted(grades.items())
        ]
        response = self.client.get("/students/statistics", params=filters).raise_for_status()
        self.same(response.json(), {"items": expected})

    # What the rules have in common

    def chosen(self, pick: int) -> int:
        """The id of a student, or now and then of none."""
        there = sorted(self.students)
        if not there or pick == 40:
            return self.highest if self.highest not in self.students and self.highest else 2**63 - 1
        return there[pick % len(there)]

    def headers(self, chosen: int, conditions: Conditions) -> dict[str, str]:
        tags = self.tags.get(chosen, ['"none"'])
        return conditions.headers(tags[-1], tags[-2] if len(tags) > 1 else '"never"')

    def may_change(self, chosen: int, conditions: Conditions, response: Response) -> bool:
        """Whether the call must have gone through; checks that it did not where it must not."""
        if chosen not in self.students:
            refused(response, 404, "not-found")
            return False
        if conditions.if_match in (*WEAK, *OTHERS) or conditions.if_none_match in (*HOLDING, *WEAK):
            refused(response, 412, "precondition-failed")
            return False
        return True

    def change(self, method: str, pick: int, fields: Json, conditions: Conditions) -> None:
        chosen = self.chosen(pick)
        headers = self.headers(chosen, conditions)
        response = self.client.request(method, f"/students/{chosen}", json=fields, headers=headers)
        if not self.may_change(chosen, conditions, response):
            return
        assert response.status_code == 200
        before, after = self.students[chosen], response.json()
        expected = {**before, **without_negative_zero(fields)}
        if fields:
            assert after["updated_at"] > before["updated_at"]
            expected["updated_at"] = after["updated_at"]
            self.tags[chosen].append(response.headers["etag"])
            assert len(set(self.tags[chosen])) == len(self.tags[chosen])
        self.same(after, expected)
        assert response.headers["etag"] == self.tags[chosen][-1]
        self.remember(after)

    def created(self, response: Response, fields: Json) -> None:
        assert response.status_code == 201
        assert "idempotency-replayed" not in response.headers
        student = response.json()
        self.remember_new(student, fields)
        assert response.headers["location"] == f"/students/{student['id']}"
        assert response.headers["etag"] == self.tags[student["id"]][-1]

    def remember_new(self, student: Json, fields: Json) -> None:
        assert student["id"] > self.highest
        self.highest = student["id"]
        times = {"created_at": student["created_at"], "updated_at": student["created_at"]}
        assert MOMENT.fullmatch(student["created_at"])
        self.same(student, {"id": student["id"], **without_negative_zero(fields), **times})
        self.remember(student)
        self.tags[student["id"]] = [self.client.head(f"/students/{student['id']}").headers["etag"]]

    def remember(self, student: Json) -> None:
        self.students[student["id"]] = student
        self.moments.append(student["updated_at"])

    def filled(self, filters: Json) -> Json:
        """The filters with what they pick: of a student the department, the grade, or part of the name in any case."""
        students = [self.students[key] for key in sorted(self.students)] or [
            {"name": "a", "department": "a", "cgpa": 5}
        ]

        def picked(pick: int, name: str) -> Any:
            return students[pick % len(students)][name]

        filled = dict(filters)
        for name, value in filters.items():
            match name, value:
                case "department", picks:
                    filled[name] = [picked(pick, "department") for pick in picks]
                case "cgpa_min" | "cgpa_max", pick:
                    filled[name] = picked(pick, "cgpa")
                case "q", (pick, in_case, start, length):
                    text = in_case(picked(pick, "name"))
                    filled[name] = text[start : start + length] or text[:1]
                case "updated_after", pick:
                    filled[name] = self.moments[pick % len(self.moments)]
        return filled

    def expected(self, filters: Json, sort: str) -> list[Json]:
        name = sort.removeprefix("-")
        found = [student for student in self.students.values() if lets_through(filters, student)]
        return sorted(found, key=lambda student: (student[name], student["id"]), reverse=sort != name)

    def same(self, found: Any, expected: Any) -> None:
        """Numbers count bit for bit: 0.0 is not -0.0."""
        assert found == expected
        assert numbers(found) == numbers(expected)


def without_negative_zero(fields: Mapping[str, Any]) -> Json:
    return {**fields, **({"cgpa": fields["cgpa"] + 0.0} if "cgpa" in fields else {})}


def numbers(value: Any) -> list[str]:
    """Every number in it, written out."""
    if isinstance(value, dict):
        return [each for name in sorted(value) for each in numbers(value[name])]
    if isinstance(value, list):
        return [each for item in value for each in numbers(item)]
    return [float(value).hex()] if isinstance(value, int | float) else []


class TestContract:
    @pytest.mark.parametrize(
        ("examples", "steps"), [(20, 40), pytest.param(300, 100, marks=pytest.mark.big)], ids=["small", "big"]
    )
    def test_any_sequence_of_calls_is_answered_as_a_dictionary_would(
        self, client: Client, examples: int, steps: int
    ) -> None:
        run_state_machine_as_test(
            lambda: StudentsMachine(client),  # type: ignore[arg-type]
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )

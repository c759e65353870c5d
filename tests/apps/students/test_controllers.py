import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.settings import Settings
from tests.problems import refused

Client = TestClient[Litestar]
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
NOT_AN_ID = ["0", "-1", "9223372036854775808", "99999999999999999999999", "1" * 5000]
"""Paths of no student, which a client may well ask for."""
BLANKS = (
    "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""Unicode's White_Space, but for its control characters."""


def create(client: Client, **fields: Any) -> dict[str, Any]:
    response = client.post("/students", json={**STUDENT, **fields})
    assert response.status_code == 201, response.text
    student: dict[str, Any] = response.json()
    return student


def walk(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    """All items of all pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = client.get("/students", params=parameters).raise_for_status().json()
        found += page["items"]
        if "next_cursor" not in page:
            return found
        parameters["cursor"] = page["next_cursor"]


def ids(students: list[dict[str, Any]]) -> list[int]:
    return [student["id"] for student in students]


class TestCreateStudent:
    def test_answers_with_the_student_and_where_it_is(self, client: Client) -> None:
        response = client.post("/students", json=STUDENT)
        assert response.status_code == 201
        assert response.headers["content-type"] == "application/json"
        student = response.json()
        assert list(student) == ["id", "name", "department", "cgpa", "created_at", "updated_at"]
        assert {name: student[name] for name in STUDENT} == STUDENT
        assert student["id"] >= 1
        assert MOMENT.fullmatch(student["created_at"])
        assert student["updated_at"] == student["created_at"]
        assert response.headers["location"] == f"/students/{student['id']}"
        read = client.get(response.headers["location"])
        assert read.content == response.content
        assert read.headers["etag"] == response.headers["etag"]

    def test_ids_increase_and_never_come_back(self, client: Client) -> None:
        first, second = create(client)["id"], create(client)["id"]
        assert second > first
        client.delete(f"/students/{second}")
        third = create(client)["id"]
        assert third > second
        assert client.get(f"/students/{second}").status_code == 404

    @pytest.mark.parametrize(
        "name",
        [
            "a", "x" * 200, "😀" * 200, " a ", "a\u3000", "\u200b", "\ufeff", "\U0010ffff", "\ufffe", "e\u0301", "é",
            "שלום", "‮abc", "İ", "ß", "'; DROP TABLE students; --", '"', "\\", "%_", "NULL", "a\u00adb", "👩‍👩‍👧",
        ],
    )  # fmt: skip
    def test_keeps_any_visible_text_as_it_was_sent(self, client: Client, name: str) -> None:
        student = create(client, name=name, department=name[:100])
        assert (student["name"], student["department"]) == (name, name[:100])
        assert client.get(f"/students/{student['id']}").json() == student
        assert client.get("/students").json()["items"] == [student]

    @pytest.mark.parametrize(
        ("sent", "kept"),
        [
            ("0", "0.0"), ("10", "10.0"), ("9", "9.0"), ("-0.0", "0.0"), ("-0", "0.0"), ("5e-324", "5e-324"),
            ("0.1", "0.1"), ("9.999999999999998", "9.999999999999998"), ("1e1", "10.0"), ("2.5E0", "2.5"),
            ("0.30000000000000004", "0.30000000000000004"), ("1e-400", "0.0"), ("-1e-400", "0.0"),
        ],
    )  # fmt: skip
    def test_keeps_numbers_bit_for_bit(self, client: Client, sent: str, kept: str) -> None:
        body = f'{{"name": "a", "department": "b", "cgpa": {sent}}}'
        response = client.post("/students", content=body, headers={"content-type": "application/json"})
        assert response.status_code == 201
        for answer in (response, client.get(response.headers["location"])):
            assert f'"cgpa":{kept},' in answer.text.replace("E", "e")

    @pytest.mark.engines("sqlite")
    @pytest.mark.parametrize("blank", [*BLANKS, BLANKS])
    def test_refuses_names_that_nobody_can_see(self, client: Client, blank: str) -> None:
        response = client.post("/students", json={**STUDENT, "name": blank, "department": blank})
        assert refused(response, 422, "invalid-body").keys() == {"/name", "/department"}

    @pytest.mark.engines("sqlite")
    @pytest.mark.parametrize("control", [chr(code) for code in (*range(32), *range(0x7F, 0xA0))])
    def test_refuses_control_characters_wherever_they_stand(self, client: Client, control: str) -> None:
        for name in (control, f"{control}a", f"a{control}b", f"a{control}"):
            response = client.post("/students", json={**STUDENT, "name": name})
            assert refused(response, 422, "invalid-body").keys() == {"/name"}

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", ""), ("name", "x" * 201), ("name", "😀" * 201), ("name", None), ("name", 1), ("name", ["a"]),
            ("department", ""), ("department", "x" * 101), ("department", "😀" * 101), ("department", True),
            ("cgpa", -0.1), ("cgpa", 10.000000000000002), ("cgpa", "9"), ("cgpa", True), ("cgpa", None), ("cgpa", []),
            ("cgpa", {}), ("cgpa", 2**63), ("cgpa", 10**400), ("id", 5), ("created_at", "2026-01-31T09:30:00Z"),
        ],
    )  # fmt: skip
    def test_refuses_what_is_no_student(self, client: Client, field: str, value: Any) -> None:
        response = client.post("/students", json={**STUDENT, field: value})
        assert refused(response, 422, "invalid-body").keys() == {f"/{field}"}
        assert client.get("/students").json() == {"items": []}

    def test_names_every_bad_field_at_once(self, client: Client) -> None:
        response = client.post("/students", json={"name": "", "cgpa": 11, "grade": 1})
        assert refused(response, 422, "invalid-body") == {
            "/name": "must have at least 1 character",
            "/department": "is required",
            "/cgpa": "must be at most 10",
            "/grade": "is not known here, only name, department, cgpa",
        }

    def test_takes_no_parameters(self, client: Client) -> None:
        assert refused(client.post("/students?dry_run=true", json=STUDENT), 400, "bad-query").keys() == {"/dry_run"}


class TestListStudents:
    def test_without_students_is_empty(self, client: Client) -> None:
        response = client.get("/students")
        assert response.status_code == 200
        assert response.json() == {"items": []}
        assert client.get("/students?count=true").json() == {"items": [], "total": 0}

    def test_gives_twenty_and_where_the_rest_is(self, client: Client) -> None:
        students = [create(client) for _ in range(21)]
        page = client.get("/students").json()
        assert page["items"] == students[:20]
        rest = client.get("/students", params={"cursor": page["next_cursor"]}).json()
        assert rest == {"items": students[20:]}

    def test_last_page_has_no_cursor_even_when_it_is_full(self, client: Client) -> None:
        students = [create(client) for _ in range(4)]
        first = client.get("/students?limit=2").json()
        last = client.get("/students", params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert last == {"items": students[2:]}

    @pytest.mark.parametrize("name", ["id", "name", "department", "cgpa", "created_at", "updated_at"])
    @pytest.mark.parametrize("limit", [1, 3, 100])
    def test_every_sort_walks_all_equals_included_exactly_once(self, client: Client, name: str, limit: int) -> None:
        for number in range(12):
            create(client, name="ab"[number % 2], department="xy"[number % 2], cgpa=number % 3)
        for student in walk(client)[::3]:
            client.patch(f"/students/{student['id']}", json={"name": "b"})
        ascending = walk(client, sort=name, limit=limit)
        assert [(student[name], student["id"]) for student in ascending] == sorted(
            (student[name], student["id"]) for student in walk(client)
        )
        assert walk(client, sort=f"-{name}", limit=limit) == ascending[::-1]

    def test_names_are_in_order_of_their_code_points(self, client: Client) -> None:
        names = [
            "a", "B", "b", "A", "a ", " a", "a!", "É", "é", "e\u0301", "z", "Z", "ß", "ss", "ı", "i", "I", "İ", "ﬁ",
            "\uffff", "\ue000", "😀", "\U00010000", "\ufe0f", "fi", "1", "10", "2", "~", "\u200b", "א", "ا",
        ]  # fmt: skip
        for name in names:
            create(client, name=name, department=name)
        for sort in ("name", "department"):
            assert [student[sort] for student in walk(client, sort=sort, limit=4)] == sorted(names)

    def test_rows_that_were_there_come_once_whatever_happens_meanwhile(self, client: Client) -> None:
        there = [create(client, name=f"m{number % 4}") for number in range(12)]
        doomed = [create(client, name=f"m{number % 4}")["id"] for number in range(6)]
        seen: list[int] = []
        parameters: dict[str, Any] = {"sort": "name", "limit": 2}
        while True:
            page = client.get("/students", params=parameters).json()
            seen += ids(page["items"])
            create(client, name="a")
            create(client, name="z")
            create(client, name=page["items"][-1]["name"])
            if doomed:
                client.delete(f"/students/{doomed.pop()}")
            if "next_cursor" not in page or len(seen) > 100:
                break
            parameters["cursor"] = page["next_cursor"]
        assert len(seen) == len(set(seen))
        assert set(ids(there)) <= set(seen)

    def test_a_walk_goes_on_when_the_row_of_its_cursor_is_gone(self, client: Client) -> None:
        students = [create(client) for _ in range(4)]
        page = client.get("/students?limit=2").json()
        client.delete(f"/students/{students[1]['id']}")
        rest = client.get("/students", params={"limit": 2, "cursor": page["next_cursor"]}).json()
        assert rest["items"] == students[2:]

    def test_filters_by_departments(self, client: Client) -> None:
        for department in ("CSE", "EEE", "cse", "CSE ", "Civil"):
            create(client, department=department)
        found = walk(client, department="CSE")
        assert [student["department"] for student in found] == ["CSE"]
        found = walk(client, department=["EEE", "CSE", "EEE", "none"], limit=1)
        assert [student["department"] for student in found] == ["CSE", "EEE"]

    def test_filters_by_cgpa_with_both_ends(self, client: Client) -> None:
        for cgpa in (0, 5, 7.5, 7.500000000000001, 10):
            create(client, cgpa=cgpa)
        grades = [student["cgpa"] for student in walk(client, cgpa_min=5, cgpa_max=7.5)]
        assert grades == [5, 7.5]
        assert [student["cgpa"] for student in walk(client, cgpa_max="-0.0")] == [0]
        assert walk(client, cgpa_min=8, cgpa_max=3) == []

    def test_filters_by_the_moment_of_the_last_change(self, client: Client) -> None:
        first, second = create(client), create(client)
        assert walk(client, updated_after=first["updated_at"]) == [second]
        first = client.patch(f"/students/{first['id']}", json={"cgpa": 1}).json()
        assert walk(client, updated_after=second["updated_at"]) == [first]
        for moment in ("2000-01-01T00:00:00+05:30", "0001-01-01T00:00:00Z"):
            assert walk(client, updated_after=moment) == [first, second]
        assert walk(client, updated_after="9999-12-31T23:59:59.999999Z") == []

    def test_filters_work_together_with_any_sort(self, client: Client) -> None:
        for number in range(24):
            create(client, name=f"n{number % 5}", department=f"d{number % 3}", cgpa=number % 7)
        everyone = walk(client)
        wanted = [
            student
            for student in everyone
            if student["department"] in ("d0", "d1") and 1 <= student["cgpa"] <= 5 and "N" in student["name"].upper()
        ]
        found = walk(client, department=["d0", "d1"], cgpa_min=1, cgpa_max=5, q="N", sort="-cgpa", limit=2)
        assert found == sorted(wanted, key=lambda student: (student["cgpa"], student["id"]), reverse=True)

    @pytest.mark.parametrize(
        ("q", "name"),
        [
            ("STRASSE", "Straße"), ("straße", "STRASSE"), ("ß", "Mess"), ("ﬁ", "FILE"), ("σ", "ΛΟΓΟΣ"), ("Σ", "λόγος"),
            ("i", "İpek"), ("İ", "i\u0307pek"), ("é", "É"), ("e", "e\u0301"), ("e\u0301", "E\u0301"), ("ǆ", "ǅ"),
            ("%", "100%"), ("_", "a_b"), ("/", "a/b"), ("\\", "a\\b"), ("'", "O'Neil"), ("a b", "a b"), ("+", "a+b"),
            (" ", "a b"), ("😀", "x😀y"), ("k", "\u212a"), ("*", "a*b"), ("[a]", "[A]"), ("?", "who?"), ("$", "US$"),
        ],
    )  # fmt: skip
    def test_searches_parts_of_names_in_any_case(self, client: Client, q: str, name: str) -> None:
        student = create(client, name=name)
        create(client, name="nobody"[:2])
        assert walk(client, q=q) == [student]

    @pytest.mark.parametrize(
        ("q", "name"),
        [
            ("%", "abc"), ("_", "abc"), ("a%c", "abc"), ("a_c", "abc"), ("/", "abc"), ("\\", "abc"), ("/%", "%"),
            ("ı", "i"), ("i", "ı"), ("é", "e\u0301"), ("é", "e"), ("aa", "aba"), ("a ", "a"), ("\u0301", "é"),
        ],
    )  # fmt: skip
    def test_finds_no_other_names(self, client: Client, q: str, name: str) -> None:
        create(client, name=name)
        assert walk(client, q=q) == []

    def test_search_sees_the_name_as_it_is_now(self, client: Client) -> None:
        student = create(client, name="before")
        client.patch(f"/students/{student['id']}", json={"name": "AFTER"})
        assert walk(client, q="before") == []
        assert len(walk(client, q="after")) == 1
        client.put(f"/students/{student['id']}", json={**STUDENT, "name": "again"})
        assert walk(client, q="after") == []
        assert len(walk(client, q="AGAIN")) == 1

    def test_counts_when_asked(self, client: Client) -> None:
        for number in range(5):
            create(client, department="ab"[number % 2])
        page = client.get("/students?limit=2&count=true").json()
        assert page["total"] == 5
        assert client.get("/students", params={"count": "true", "cursor": page["next_cursor"]}).json()["total"] == 5
        assert client.get("/students?count=true&department=b").json()["total"] == 2
        assert "total" not in client.get("/students?count=false").json()

    def test_limit_may_change_on_the_way(self, client: Client) -> None:
        students = [create(client) for _ in range(5)]
        page = client.get("/students?limit=1").json()
        rest = client.get("/students", params={"limit": 100, "cursor": page["next_cursor"]}).json()
        assert rest == {"items": students[1:]}


class TestGetStudent:
    @pytest.mark.parametrize("number", NOT_AN_ID)
    def test_there_is_no_such_student(self, client: Client, number: str) -> None:
        refused(client.get(f"/students/{number}"), 404, "not-found")

    @pytest.mark.parametrize(
        "path", ["/students/abc", "/students/1.0", "/students/1e3", "/students/%00", "/students/%ff"]
    )
    def test_there_is_nothing_at_what_is_no_id(self, client: Client, path: str) -> None:
        assert client.get(path).status_code == 404

    @pytest.mark.parametrize("spelling", ["0{}", "+{}", "%20{}", "{}%20", "{}.0"])
    def test_has_one_path(self, client: Client, spelling: str) -> None:
        student = create(client)
        assert client.get(f"/students/{spelling.format(student['id'])}").status_code == 404

    def test_takes_no_parameters(self, client: Client) -> None:
        student = create(client)
        assert refused(client.get(f"/students/{student['id']}?x=null"), 400, "bad-query").keys() == {"/x"}

    @pytest.mark.parametrize("path", ["/students", "/students/{id}"])
    def test_head_is_get_without_the_body(self, client: Client, path: str) -> None:
        path = path.format(id=create(client)["id"])
        get, head = client.get(path), client.head(path)
        assert head.status_code == 200
        assert head.content == b""
        for name in ("content-type", "content-length"):
            assert head.headers[name] == get.headers[name]
        assert head.headers.get("etag") == get.headers.get("etag")

    def test_head_of_nothing_is_not_found(self, client: Client) -> None:
        response = client.head("/students/1000000")
        assert response.status_code == 404
        assert response.content == b""


class TestReplaceStudent:
    def test_replaces_all_but_the_id_and_the_time_of_creation(self, client: Client) -> None:
        before = create(client)
        fields = {"name": "Bea", "department": "EEE", "cgpa": 1.5}
        response = client.put(f"/students/{before['id']}", json=fields)
        assert response.status_code == 200
        after = response.json()
        assert after == {**before, **fields, "updated_at": after["updated_at"]}
        assert after["updated_at"] > before["updated_at"]
        read = client.get(f"/students/{before['id']}")
        assert read.content == response.content
        assert read.headers["etag"] == response.headers["etag"]

    def test_same_content_is_still_a_change(self, client: Client) -> None:
        before = client.post("/students", json=STUDENT)
        after = client.put(before.headers["location"], json=STUDENT)
        assert after.json()["updated_at"] > before.json()["updated_at"]
        assert after.headers["etag"] != before.headers["etag"]

    def test_wants_every_field(self, client: Client) -> None:
        student = create(client)
        response = client.put(f"/students/{student['id']}", json={"name": "Bea"})
        assert refused(response, 422, "invalid-body").keys() == {"/department", "/cgpa"}
        assert client.get(f"/students/{student['id']}").json() == student

    @pytest.mark.parametrize("number", NOT_AN_ID)
    def test_creates_nothing(self, client: Client, number: str) -> None:
        refused(client.put(f"/students/{number}", json=STUDENT), 404, "not-found")
        assert client.get("/students").json() == {"items": []}


class TestUpdateStudent:
    @pytest.mark.parametrize("change", [{"name": "Bea"}, {"department": "EEE"}, {"cgpa": 0}, {"name": "B", "cgpa": 10}])
    def test_changes_what_is_sent(self, client: Client, change: dict[str, Any]) -> None:
        before = create(client)
        response = client.patch(f"/students/{before['id']}", json=change)
        assert response.status_code == 200
        after = response.json()
        assert after == {**before, **change, "updated_at": after["updated_at"]}
        assert after["updated_at"] > before["updated_at"]
        read = client.get(f"/students/{before['id']}")
        assert (read.content, read.headers["etag"]) == (response.content, response.headers["etag"])

    def test_nothing_sent_changes_nothing(self, client: Client) -> None:
        before = client.post("/students", json=STUDENT)
        response = client.patch(before.headers["location"], json={})
        assert response.status_code == 200
        assert (response.content, response.headers["etag"]) == (before.content, before.headers["etag"])
        assert client.get(before.headers["location"]).content == before.content

    def test_time_of_change_moves_on_every_time(self, client: Client) -> None:
        student = create(client)
        path = f"/students/{student['id']}"
        changes = [client.patch(path, json={"cgpa": number / 10}).json() for number in range(50)]
        moments = [each["updated_at"] for each in (student, *changes)]
        assert moments == sorted(set(moments))

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ({"name": None}, {"/name"}),
            ({"name": " ", "cgpa": "9"}, {"/name", "/cgpa"}),
            ({"cgpa": -1, "grade": 1, "id": 2}, {"/cgpa", "/grade", "/id"}),
            ([], {""}),
            ("name", {""}),
            (0, {""}),
        ],
    )
    def test_refuses_what_no_student_can_have(self, client: Client, body: Any, pointers: set[str]) -> None:
        student = create(client)
        response = client.patch(f"/students/{student['id']}", json=body)
        assert refused(response, 422, "invalid-body").keys() == pointers
        assert client.get(f"/students/{student['id']}").json() == student

    @pytest.mark.parametrize("number", NOT_AN_ID)
    @pytest.mark.parametrize("change", [{}, {"cgpa": 1}])
    def test_there_is_no_such_student(self, client: Client, number: str, change: dict[str, Any]) -> None:
        refused(client.patch(f"/students/{number}", json=change), 404, "not-found")


class TestDeleteStudent:
    def test_leaves_nothing(self, client: Client) -> None:
        student, other = create(client), create(client)
        response = client.delete(f"/students/{student['id']}")
        assert response.status_code == 204
        assert response.content == b""
        assert "content-type" not in response.headers
        refused(client.get(f"/students/{student['id']}"), 404, "not-found")
        refused(client.delete(f"/students/{student['id']}"), 404, "not-found")
        assert client.get("/students").json()["items"] == [other]

    @pytest.mark.parametrize("number", NOT_AN_ID)
    def test_there_is_no_such_student(self, client: Client, number: str) -> None:
        refused(client.delete(f"/students/{number}"), 404, "not-found")


class TestConcurrentWrites:
    """Whatever clients do at the same moment comes out as if one had come after the other."""

    @pytest.fixture
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(16) as threads:
            yield threads

    def test_changes_of_different_fields_are_all_kept(self, client: Client, threads: ThreadPoolExecutor) -> None:
        student = create(client)
        changes = [{"name": "Bea"}, {"department": "EEE"}, {"cgpa": 1.0}] * 8
        answers = list(threads.map(lambda change: client.patch(f"/students/{student['id']}", json=change), changes))
        assert {answer.status_code for answer in answers} == {200}
        after = client.get(f"/students/{student['id']}").json()
        assert (after["name"], after["department"], after["cgpa"]) == ("Bea", "EEE", 1.0)
        assert len({answer.json()["updated_at"] for answer in answers}) == len(changes)

    def test_one_etag_lets_one_change_through(self, client: Client, threads: ThreadPoolExecutor) -> None:
        student = client.post("/students", json=STUDENT)
        path, headers = student.headers["location"], {"if-match": student.headers["etag"]}
        answers = list(
            threads.map(lambda number: client.patch(path, json={"cgpa": number / 10}, headers=headers), range(16))
        )
        kept = [answer for answer in answers if answer.status_code == 200]
        assert len(kept) == 1
        assert client.get(path).content == kept[0].content
        for answer in answers:
            if answer is not kept[0]:
                refused(answer, 412, "precondition-failed")

    def test_read_modify_write_loses_no_update_in_any_worker(
        self, client: Client, settings: Settings, threads: ThreadPoolExecutor
    ) -> None:
        path = client.post("/students", json={**STUDENT, "cgpa": 0}).headers["location"]

        def add_an_eighth(worker: Client) -> None:
            while True:
                seen = worker.get(path)
                more = {"cgpa": seen.json()["cgpa"] + 0.125}
                changed = worker.patch(path, json=more, headers={"if-match": seen.headers["etag"]})
                if changed.status_code == 200:
                    return
                refused(changed, 412, "precondition-failed")

        with TestClient(create_app(settings), base_url=str(client.base_url)) as other:
            list(threads.map(add_an_eighth, [client, other] * 32))
        assert client.get(path).json()["cgpa"] == 8.0

    def test_a_student_is_deleted_once(self, client: Client, threads: ThreadPoolExecutor) -> None:
        student = create(client)
        answers = threads.map(lambda _: client.delete(f"/students/{student['id']}").status_code, range(16))
        assert sorted(answers) == [204, *[404] * 15]

    def test_a_change_and_a_deletion_never_leave_half_a_student(
        self, client: Client, threads: ThreadPoolExecutor
    ) -> None:
        for _ in range(8):
            path = f"/students/{create(client)['id']}"
            changed = threads.submit(client.patch, path, json={"cgpa": 1})
            deleted = threads.submit(client.delete, path)
            assert deleted.result().status_code == 204
            assert changed.result().status_code in (200, 404)
            assert client.get(path).status_code == 404

    def test_ids_are_given_out_once(self, client: Client, threads: ThreadPoolExecutor) -> None:
        given = list(threads.map(lambda _: create(client)["id"], range(64)))
        assert len(set(given)) == 64
        assert ids(walk(client)) == sorted(given)

    def test_walks_see_what_was_there_while_others_write(self, client: Client, threads: ThreadPoolExecutor) -> None:
        there = [create(client, name="ab"[number % 2]) for number in range(30)]

        def write(number: int) -> None:
            student = create(client, name="abc"[number % 3])
            client.patch(f"/students/{student['id']}", json={"name": "aab"[number % 3]})
            client.delete(f"/students/{student['id']}")

        writing = [threads.submit(write, number) for number in range(60)]
        for sort in ("name", "-name", "cgpa", "-created_at"):
            seen = ids(walk(client, sort=sort, limit=3))
            assert [seen.count(student["id"]) for student in there] == [1] * len(there)
        for done in writing:
            done.result()


class TestSingularPaths:
    """The tutorial's five calls, as its readers type them."""

    def test_are_the_same_students(self, client: Client) -> None:
        created = client.post("/student", json=STUDENT)
        assert created.status_code == 201
        number = created.json()["id"]
        assert created.headers["location"] == f"/students/{number}"
        assert client.get(f"/student/{number}").content == created.content
        assert client.get(f"/student/{number}").headers["etag"] == created.headers["etag"]
        assert client.get(f"/students/{number}").content == created.content
        assert client.put(f"/student/{number}", json={**STUDENT, "cgpa": 1}).json()["cgpa"] == 1
        assert client.patch(f"/student/{number}", json={"cgpa": 2}).json()["cgpa"] == 2
        assert client.get("/students").json()["items"][0]["cgpa"] == 2
        assert client.delete(f"/student/{number}").status_code == 204
        refused(client.get(f"/student/{number}"), 404, "not-found")

    def test_keep_the_rules(self, client: Client) -> None:
        assert refused(client.post("/student", json={}), 422, "invalid-body").keys() == {
            "/name",
            "/department",
            "/cgpa",
        }
        path = client.post("/student", json=STUDENT).headers["location"].replace("students", "student")
        refused(client.patch(path, json={"cgpa": 1}, headers={"if-match": '"stale"'}), 412, "precondition-failed")
        assert refused(client.get(f"{path}?x=1"), 400, "bad-query").keys() == {"/x"}

    def test_are_not_in_the_schema(self, client: Client) -> None:
        paths = client.get("/openapi.json").json()["paths"]
        assert "/students" in paths
        assert not any(path == "/student" or path.startswith("/student/") for path in paths)


class TestMethods:
    @pytest.mark.parametrize(
        ("path", "methods"),
        [("/students", "GET, HEAD, POST, OPTIONS"), ("/students/1", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")],
    )
    def test_others_are_refused_with_those_there_are(self, client: Client, path: str, methods: str) -> None:
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - set(methods.split(", ")):
            response = client.request(method, path)
            refused(response, 405, "method-not-allowed")
            assert set(response.headers["allow"].split(", ")) == set(methods.split(", "))

    @pytest.mark.parametrize(
        ("path", "methods"),
        [("/students", "GET, HEAD, POST, OPTIONS"), ("/students/1", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")],
    )
    def test_options_lists_them(self, client: Client, path: str, methods: str) -> None:
        response = client.options(path)
        assert response.status_code == 204
        assert set(response.headers["allow"].split(", ")) == set(methods.split(", "))

"""POST /students/import."""

import json
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from project.settings import BASE_DIR
from tests.problems import refused
from tests.rosters import as_csv, as_json_lines, fields, students

Client = TestClient[Litestar]
CSV = "text/csv"
JSON_LINES = "application/x-ndjson"
HEADER = b"name,department,cgpa\n"
MIB = 1024 * 1024


def send(client: Client, body: bytes, media: str = CSV, key: str | None = None, **parameters: Any) -> Response:
    headers = {"Content-Type": media} | ({} if key is None else {"Idempotency-Key": key})
    return client.post("/students/import", content=body, headers=headers, params=parameters)


def report(response: Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def errors(response: Response) -> list[tuple[int, str]]:
    return [(error["line"], error["pointer"]) for error in report(response)["errors"]]


def stored(client: Client) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.get("/students/export?format=jsonl").text.split("\n")[:-1]]


def names(client: Client) -> list[str]:
    return [student["name"] for student in stored(client)]


class TestImport:
    @pytest.mark.parametrize(("media", "encode"), [(CSV, as_csv), (JSON_LINES, as_json_lines)])
    def test_creates_every_student_in_order_and_bit_for_bit(self, client: Client, media: str, encode: Any) -> None:
        sent = students(3000)
        response = send(client, encode(sent), media)
        assert report(response) == {
            "created": 3000,
            "refused": 0,
            "dry_run": False,
            "atomic": False,
            "errors": [],
            "errors_truncated": False,
        }
        assert response.headers["content-type"] == "application/json"
        found = stored(client)
        assert list(map(fields, found)) == list(map(fields, sent))
        assert [student["id"] for student in found] == sorted({student["id"] for student in found})

    def test_created_students_are_like_all_others(self, client: Client) -> None:
        send(client, HEADER + "Straße,CSE,-0.0\n".encode())
        (student,) = stored(client)
        assert str(student["cgpa"]) == "0.0"
        assert student["updated_at"] == student["created_at"]
        assert client.get(f"/students/{student['id']}").json() == student
        assert client.get("/students", params={"q": "STRASSE"}).json()["items"] == [student]
        assert client.patch(f"/students/{student['id']}", json={"cgpa": 1}).status_code == 200

    @pytest.mark.parametrize(("media", "form"), [(CSV, "csv"), (JSON_LINES, "jsonl")])
    def test_takes_what_an_export_gives_and_passes_over_ids_and_times(
        self, client: Client, media: str, form: str
    ) -> None:
        sent = students(100)
        send(client, as_csv(sent))
        last = stored(client)[-1]["id"]
        exported = client.get(f"/students/export?format={form}").content
        assert report(send(client, exported, media))["created"] == 100
        found = stored(client)
        assert list(map(fields, found)) == list(map(fields, sent + sent))
        assert all(student["id"] > last for student in found[100:])

    @pytest.mark.parametrize("ignored", ["id", "created_at", "updated_at"])
    def test_passes_over_anything_that_stands_for_what_the_service_gives(self, client: Client, ignored: str) -> None:
        body = f'{{"name": "A", "department": "B", "cgpa": 1, "{ignored}": {{"any": ["thing"]}}}}\n'.encode()
        assert report(send(client, body, JSON_LINES))["created"] == 1
        body = f'name,{ignored},department,cgpa\nA,"any\nthing",B,1\n'.encode()
        assert report(send(client, body))["created"] == 1

    def test_reports_each_refused_record_with_its_first_line_and_keeps_the_others(self, client: Client) -> None:
        body = (
            b"cgpa,name,department\r\n"
            b"1,Ada,CSE\r\n"
            b'11,"Eve\r\nof two lines",CSE\r\n'
            b"\r\n"
            b"x,,\r\n"
            b"2,Bob,CSE,more\r\n"
            b'3,"unclosed" quote,CSE\r\n'
            b"4,Cleo,CSE\r\n"
            b'5,"open to the end\r\n'
        )
        response = send(client, body)
        assert errors(response) == [
            (3, "/name"), (3, "/cgpa"),
            (6, "/name"), (6, "/department"), (6, "/cgpa"),
            (7, ""),
            (8, ""),
            (10, ""),
        ]  # fmt: skip
        assert (report(response)["created"], report(response)["refused"]) == (2, 5)
        assert names(client) == ["Ada", "Cleo"]

    def test_reports_each_refused_line_of_json(self, client: Client) -> None:
        body = (
            b'\xef\xbb\xbf{"name": "Ada", "department": "CSE", "cgpa": 1}\r\n'
            b'{"name": 1, "cgpa": "9", "phone": 1}\n'
            b" \n\n"
            b'{"name": "Eve", "department": "CSE", "cgpa": NaN}\n'
            b'{"name": "Eve", "department": "CSE", "cgpa": 1e400}\n'
            b'{"name": "Eve", "name": "Eva", "department": "CSE", "cgpa": 1}\n'
            b'["Eve"]\n'
            b'{"name": "\\ud800", "department": "CSE", "cgpa": 1}\n' + b"[" * 100_000 + b"\n"
            b'{"name": "Cleo: a : b", "department": "CSE", "cgpa": 1, "created_at": "2026-01-31T09:30:00Z"}\n'
            b'{"name": "Eve", "depar'
        )
        response = send(client, body, JSON_LINES)
        assert errors(response) == [
            (2, "/name"), (2, "/department"), (2, "/cgpa"), (2, "/phone"),
            (5, ""), (6, "/cgpa"), (7, "/name"), (8, ""), (9, ""), (10, ""), (12, ""),
        ]  # fmt: skip
        assert report(response)["refused"] == 8
        assert names(client) == ["Ada", "Cleo: a : b"]

    def test_takes_the_sample_that_comes_with_the_app(self, client: Client) -> None:
        found = report(send(client, (BASE_DIR / "apps" / "students" / "sample.csv").read_bytes()))
        assert (found["created"], found["refused"]) == (50, 0)

    @pytest.mark.parametrize("number", ["", " 1", "1 ", "+1", "1_0", "0x1", "nan", "inf", "-inf", "1e400", "1,5", ".5", "1.", "01", "１", "10.000001", "-0.1", "true", "1d", "\t1"])  # fmt: skip  # noqa: E501
    def test_numbers_are_those_of_json(self, client: Client, number: str) -> None:
        response = send(client, HEADER + f'A,B,"{number}"\n'.encode())
        assert errors(response) == [(2, "/cgpa")]
        assert names(client) == []

    @pytest.mark.parametrize(
        ("number", "kept"), [("10", 10.0), ("1e1", 10.0), ("0.0", 0.0), ("-0", 0.0), ("1E-2", 0.01), ("5e-324", 5e-324)]
    )
    def test_numbers_may_have_any_form_of_json(self, client: Client, number: str, kept: float) -> None:
        assert report(send(client, HEADER + f"A,B,{number}\n".encode()))["created"] == 1
        assert stored(client)[0]["cgpa"] == kept

    def test_columns_come_in_any_order_quoted_after_a_bom_and_in_any_line_ends(self, client: Client) -> None:
        sent = students(40)
        for end in ("\n", "\r\n"):
            body = b"\xef\xbb\xbf" + as_csv(sent, ["department", "cgpa", "name"], end)
            assert report(send(client, body))["created"] == 40
        assert list(map(fields, stored(client))) == list(map(fields, sent + sent))
        assert report(send(client, b'"name","department","cgpa"\r\n"A","B","1"'))["created"] == 1

    @pytest.mark.parametrize(("body", "media"), [(HEADER, CSV), (b"name,department,cgpa", CSV), (b"", JSON_LINES)])
    def test_a_file_without_records_creates_nothing(self, client: Client, body: bytes, media: str) -> None:
        assert report(send(client, body, media))["created"] == 0

    def test_errors_are_at_most_a_thousand(self, client: Client) -> None:
        for bad, truncated in ((1000, False), (1001, True)):
            found = report(send(client, HEADER + b"A,B,11\n" * bad + b"A,B,1\n"))
            assert (found["created"], found["refused"]) == (1, bad)
            assert (len(found["errors"]), found["errors_truncated"]) == (1000, truncated)
            assert [error["line"] for error in found["errors"]] == list(range(2, 1002))

    def test_file_may_be_larger_than_any_other_body(self, client: Client) -> None:
        padding = b"," + b"x" * 100_000
        body = b"name,department,cgpa,id\n" + b"".join(b"A,B,1" + padding + b"\n" for _ in range(100))
        assert len(body) > 9 * MIB
        assert report(send(client, body))["created"] == 100

    def test_report_stays_small_whatever_names_fields_have(self, client: Client) -> None:
        line = b'{"name": "A", "department": "B", "cgpa": 1, "' + b"x" * 900_000 + b'": 1}\n'
        response = send(client, line * 20, JSON_LINES)
        assert report(response)["refused"] == 20
        assert len(response.content) < 20_000


class TestDryRun:
    def test_reports_what_would_be_and_keeps_nothing(self, client: Client) -> None:
        response = send(client, HEADER + b"A,B,1\nA,B,11\nC,D,2\n", dry_run="true")
        found = report(response)
        assert (found["created"], found["refused"], found["dry_run"]) == (2, 1, True)
        assert errors(response) == [(3, "/cgpa")]
        assert names(client) == []

    def test_of_an_atomic_import_says_that_none_would_be_kept(self, client: Client) -> None:
        found = report(send(client, HEADER + b"A,B,1\nA,B,11\n", dry_run="true", atomic="true"))
        assert (found["created"], found["refused"], found["dry_run"], found["atomic"]) == (0, 1, True, True)


class TestAtomic:
    def test_keeps_none_if_one_is_refused(self, client: Client) -> None:
        found = report(send(client, HEADER + b"A,B,1\n" * 2500 + b"A,B,11\n", atomic="true"))
        assert (found["created"], found["refused"], found["atomic"]) == (0, 1, True)
        assert names(client) == []

    def test_keeps_all_if_none_is_refused(self, client: Client) -> None:
        found = report(send(client, HEADER + b"A,B,1\n" * 2500, atomic="true"))
        assert (found["created"], found["refused"], found["atomic"]) == (2500, 0, True)
        assert len(names(client)) == 2500


class TestIdempotencyKey:
    def test_a_repetition_creates_nothing_more_and_gets_the_first_report(self, client: Client) -> None:
        body = HEADER + b"A,B,1\n" * 1500 + b"A,B,11\n"
        first = send(client, body, key="import-1")
        again = send(client, body, key="import-1")
        assert report(first)["created"] == 1500
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"
        assert len(names(client)) == 1500

    def test_does_not_stand_for_another_file(self, client: Client) -> None:
        send(client, HEADER + b"A,B,1\n", key="import-2")
        refused(send(client, HEADER + b"A,B,2\n", key="import-2"), 422, "key-reused")
        refused(send(client, HEADER + b"A,B,1\n", key="import-2", dry_run="true"), 422, "key-reused")
        assert names(client) == ["A"]


class TestRefusedFiles:
    """What is wrong with the whole file: nothing of it is kept, wherever in it that is."""

    @pytest.mark.parametrize(
        ("header", "pointers"),
        [
            (b"\n", {"/name", "/department", "/cgpa"}),
            (b"name,department\n", {"/cgpa"}),
            (b"name,department,gpa\n", {"/gpa", "/cgpa"}),
            (b"Name,department,cgpa\n", {"/Name", "/name"}),
            (b"name,department,cgpa,\n", {"/"}),
            (b"name,department,cgpa,name\n", {"/name"}),
            (b"name;department;cgpa\n", {"/name;department;cgpa", "/name", "/department", "/cgpa"}),
            (b"a/b~c,name,department,cgpa\n", {"/a~1b~0c"}),
        ],
    )
    def test_csv_starts_with_the_names_of_its_columns(self, client: Client, header: bytes, pointers: set[str]) -> None:
        assert refused(send(client, header + b"A,B,1\n"), 422, "invalid-body").keys() == pointers

    def test_csv_is_not_empty(self, client: Client) -> None:
        assert refused(send(client, b""), 422, "invalid-body").keys() == {"/name", "/department", "/cgpa"}

    def test_header_is_csv_too(self, client: Client) -> None:
        refused(send(client, b'"name"x,department,cgpa\nA,B,1\n'), 422, "invalid-body")

    @pytest.mark.parametrize("bad", [b"\xff\xfe", "Zoë".encode("latin-1"), b"\xed\xa0\x80", "Zoë".encode("utf-16")])
    @pytest.mark.parametrize("media", [CSV, JSON_LINES])
    def test_another_encoding_is_named_with_its_line(self, client: Client, media: str, bad: bytes) -> None:
        good = b'{"name": "A", "department": "B", "cgpa": 1}\n' if media == JSON_LINES else b"A,B,1\n"
        before = good * 5000 if media == JSON_LINES else HEADER + good * 4999
        response = send(client, before + bad + b"\n" + good, media)
        refused(response, 400, "malformed")
        assert "Line 5001 " in response.json()["detail"]
        assert names(client) == []

    @pytest.mark.parametrize("media", [CSV, JSON_LINES])
    def test_a_line_may_have_a_mebibyte_and_no_more(self, client: Client, media: str) -> None:
        good, head, line = (
            (b"A,B,1\n", b"name,department,cgpa,id\n", b"A,B,1,")
            if media == CSV
            else (b'{"name": "A", "department": "B", "cgpa": 1}\n', b"", b'{"name": "A", "department": "B", "cgpa": "')
        )
        good = good if media != CSV else b"A,B,1,\n"
        refused(send(client, head + good * 3000 + line + b"x" * (MIB + 1 - len(line)), media), 413, "too-large")
        refused(send(client, head + good + line + b"x" * 10 * MIB + b"\n" + good, media), 413, "too-large")
        assert names(client) == []
        found = report(send(client, head + good + line + b"x" * (MIB - len(line)) + b"\n" + good, media))
        assert (found["created"], found["refused"]) == (2, 1)

    def test_quotes_make_no_record_without_end(self, client: Client) -> None:
        body = HEADER + b"A,B,1\n" + b'"\n",' * MIB
        refused(send(client, body), 413, "too-large")
        assert names(client) == []

    @pytest.mark.parametrize(
        "media",
        ["application/json", "text/plain", "multipart/form-data", "text/csv; charset=latin-1", ""],
    )
    def test_another_media_type_is_told_what_to_send(self, client: Client, media: str) -> None:
        response = send(client, HEADER + b"A,B,1\n", media)
        refused(response, 415, "unsupported-media")
        assert "text/csv" in response.json()["detail"]
        assert names(client) == []

    @pytest.mark.parametrize("media", ["text/csv; charset=UTF-8", "Text/CSV", "text/csv;header=present"])
    def test_media_type_may_have_parameters(self, client: Client, media: str) -> None:
        assert report(send(client, HEADER + b"A,B,1\n", media))["created"] == 1

    @pytest.mark.parametrize("parameters", [{"dry_run": "maybe"}, {"atomic": ""}, {"strict": "true"}])
    def test_takes_no_other_parameters(self, client: Client, parameters: dict[str, str]) -> None:
        assert refused(send(client, HEADER, **parameters), 400, "bad-query").keys() == {f"/{next(iter(parameters))}"}

"""GET /students/export."""

import csv
import io
import json
from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused
from tests.rosters import as_csv, fields, students

Client = TestClient[Litestar]
COLUMNS = ["id", "name", "department", "cgpa", "created_at", "updated_at"]


def fill(client: Client, rows: list[dict[str, Any]]) -> None:
    response = client.post("/students/import", content=as_csv(rows), headers={"Content-Type": "text/csv"})
    assert response.json()["created"] == len(rows)


def export(client: Client, **parameters: Any) -> Response:
    response = client.get("/students/export", params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-length"] == str(len(response.content))
    return response


def rows(response: Response) -> list[dict[str, Any]]:
    if response.headers["content-type"] == "application/x-ndjson":
        return [json.loads(line) for line in response.content.decode().split("\n")[:-1]]
    found = csv.DictReader(io.StringIO(response.content.decode(), newline=""), strict=True)
    assert found.fieldnames == COLUMNS
    return list(found)


class TestExport:
    @pytest.mark.parametrize(
        "accept", ["text/csv", "application/x-ndjson", "text/*", "*/*", "text/html, text/csv;q=0.1"]
    )
    def test_is_for_who_takes_files(self, client: Client, accept: str) -> None:
        assert client.get("/students/export", headers={"Accept": accept}).status_code == 200

    @pytest.mark.parametrize("accept", ["application/json", "text/html", "text/csv;q=0"])
    def test_is_not_for_who_takes_none(self, client: Client, accept: str) -> None:
        refused(client.get("/students/export", headers={"Accept": accept}), 406, "not-acceptable")

    @pytest.mark.parametrize("form", ["csv", "jsonl"])
    def test_gives_every_field_of_every_student_back(self, client: Client, form: str) -> None:
        sent = students(2500)
        fill(client, sent)
        found = rows(export(client, format=form))
        assert list(map(fields, found)) == list(map(fields, sent))
        for student in (found[0], found[40], found[-1]):
            assert {name: str(value) for name, value in client.get(f"/students/{student['id']}").json().items()} == {
                name: str(value) for name, value in student.items()
            }

    def test_csv_is_what_rfc_4180_says_with_lf(self, client: Client) -> None:
        fill(client, [{"name": 'Ann "Ace", Jr.', "department": "=A1", "cgpa": 5e-324}])
        student = client.get("/students").json()["items"][0]
        response = export(client)
        assert response.headers["content-type"] == "text/csv; header=present; charset=utf-8"
        assert response.headers["content-disposition"] == 'attachment; filename="students.csv"'
        assert response.text == (
            "id,name,department,cgpa,created_at,updated_at\n"
            f'{student["id"]},"Ann ""Ace"", Jr.",=A1,5e-324,{student["created_at"]},{student["updated_at"]}\n'
        )

    def test_json_lines_are_students_as_everywhere(self, client: Client) -> None:
        fill(client, students(3))
        response = export(client, format="jsonl")
        assert response.headers["content-type"] == "application/x-ndjson"
        assert response.headers["content-disposition"] == 'attachment; filename="students.jsonl"'
        lines = response.content.split(b"\n")
        assert lines.pop() == b""
        assert lines == [client.get(f"/students/{json.loads(line)['id']}").content for line in lines]

    def test_of_nobody_is_empty(self, client: Client) -> None:
        assert export(client).text == "id,name,department,cgpa,created_at,updated_at\n"
        assert export(client, format="jsonl").content == b""

    @pytest.mark.parametrize("name", COLUMNS)
    def test_sorts_as_the_list_does(self, client: Client, name: str) -> None:
        fill(client, students(90))
        for sort in (name, f"-{name}"):
            page = client.get("/students", params={"limit": 90, "sort": sort}).json()["items"]
            assert rows(export(client, format="jsonl", sort=sort)) == page

    @pytest.mark.parametrize(
        "filters",
        [
            {"department": ["CSE", "化学, 工学"]},
            {"cgpa_min": 2.5, "cgpa_max": 5},
            {"q": "STRASSE"},
            {"department": "cse", "q": "a", "cgpa_min": 1, "updated_after": "2020-01-01T00:00:00Z"},
            {"updated_after": "2999-01-01T00:00:00+05:30"},
        ],
    )
    def test_filters_as_the_list_does(self, client: Client, filters: dict[str, Any]) -> None:
        fill(client, students(90))
        page = client.get("/students", params={"limit": 90, **filters}).json()["items"]
        assert rows(export(client, format="jsonl", **filters)) == page

    @pytest.mark.parametrize(
        ("parameters", "pointers"),
        [
            ({"format": "xlsx"}, {"/format"}),
            ({"format": ["csv", "jsonl"]}, {"/format"}),
            ({"sort": "gpa", "cgpa_min": "11"}, {"/sort", "/cgpa_min"}),
            ({"limit": "5"}, {"/limit"}),
            ({"cursor": "x"}, {"/cursor"}),
        ],
    )
    def test_refuses_other_parameters(self, client: Client, parameters: dict[str, Any], pointers: set[str]) -> None:
        response = client.get("/students/export", params=parameters)
        assert refused(response, 400, "bad-query").keys() == pointers

    def test_head_tells_how_long_it_is(self, client: Client) -> None:
        fill(client, students(50))
        response = client.head("/students/export")
        assert response.status_code == 200
        assert response.headers["content-length"] == str(len(export(client).content))
        assert response.content == b""

"""The students' part of the API's description: what clients are generated from, and whether the service keeps to it."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator
from litestar import Litestar
from litestar.testing import TestClient

Client = TestClient[Litestar]
Json = dict[str, Any]

OPERATIONS = {
    "listStudents": "GET /students",
    "createStudent": "POST /students",
    "getStudent": "GET /students/{student_id}",
    "replaceStudent": "PUT /students/{student_id}",
    "updateStudent": "PATCH /students/{student_id}",
    "deleteStudent": "DELETE /students/{student_id}",
    "createStudents": "POST /students/batch",
    "exportStudents": "GET /students/export",
    "importStudents": "POST /students/import",
    "getStudentStatistics": "GET /students/statistics",
}
"""By the names that methods of clients have: whoever renames one breaks every program that calls it."""

ANANYA: Json = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
CSV = b"name,department,cgpa\nAnanya,CSE,11\n"


@pytest.fixture
def document(client: Client) -> Json:
    content: Json = client.get("/openapi.json").json()
    return content


def operation(document: Json, name: str) -> Json:
    method, path = OPERATIONS[name].split()
    found: Json = document["paths"][path][method.lower()]
    return found


class TestDocument:
    def test_keeps_the_names_of_operations(self, document: Json) -> None:
        names = {
            item["operationId"]: f"{method.upper()} {path}"
            for path, operations in document["paths"].items()
            for method, item in operations.items()
            if "students" in item["tags"]
        }
        assert names == OPERATIONS

    def test_has_every_parameter_of_a_list(self, document: Json) -> None:
        names = [parameter["name"] for parameter in operation(document, "listStudents")["parameters"]]
        assert sorted(names) == sorted(
            ["department", "cgpa_min", "cgpa_max", "updated_after", "q", "sort", "limit", "cursor", "count"]
        )

    def test_requires_all_of_a_student_but_nothing_of_a_change(self, document: Json) -> None:
        schemas = document["components"]["schemas"]
        assert set(schemas["Student"]["required"]) == set(schemas["Student"]["properties"])
        assert set(schemas["StudentCreate"]["required"]) == {"name", "department", "cgpa"}
        assert "required" not in schemas["StudentUpdate"]
        assert schemas["StudentPage"]["required"] == ["items"]

    def test_bounds_a_change_as_a_creation(self, document: Json) -> None:
        schemas = document["components"]["schemas"]
        assert schemas["StudentUpdate"]["properties"] == schemas["StudentCreate"]["properties"]
        assert schemas["StudentUpdate"]["properties"]["cgpa"]["minimum"] == 0

    @pytest.mark.parametrize("name", ["createStudent", "getStudent", "replaceStudent", "updateStudent"])
    def test_documents_etags(self, document: Json, name: str) -> None:
        (success,) = (
            response for status, response in operation(document, name)["responses"].items() if status[0] == "2"
        )
        assert "ETag" in success["headers"]

    def test_takes_and_gives_files(self, document: Json) -> None:
        taken = operation(document, "importStudents")["requestBody"]["content"]
        given = operation(document, "exportStudents")["responses"]["200"]["content"]
        assert set(taken) == set(given) == {"text/csv", "application/x-ndjson"}


class TestAnswers:
    """Every answer is one that the description allows."""

    @pytest.mark.parametrize(
        ("name", "request_options", "status"),
        [
            ("listStudents", {"params": {"count": "true", "limit": "1"}}, 200),
            ("listStudents", {"params": {"limit": "0"}}, 400),
            ("listStudents", {"headers": {"Accept": "text/html"}}, 406),
            ("createStudent", {"json": ANANYA, "headers": {"Idempotency-Key": "a"}}, 201),
            ("createStudent", {"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
            ("createStudent", {"content": b" " * 2_000_000, "headers": {"Content-Type": "application/json"}}, 413),
            ("createStudent", {"content": b"A", "headers": {"Content-Type": "text/plain"}}, 415),
            ("createStudent", {"json": {}}, 422),
            ("getStudent", {}, 200),
            ("getStudent", {"headers": {"If-None-Match": "*"}}, 304),
            ("getStudent", {"headers": {"If-Match": '"no"'}}, 412),
            ("replaceStudent", {"json": ANANYA}, 200),
            ("updateStudent", {"json": {"cgpa": 0}}, 200),
            ("updateStudent", {"json": {"cgpa": 11}}, 422),
            ("updateStudent", {"json": {}, "headers": {"If-Match": '"no"'}}, 412),
            ("deleteStudent", {"headers": {"If-Match": '"no"'}}, 412),
            ("deleteStudent", {}, 204),
            ("createStudents", {"json": [ANANYA, ANANYA]}, 201),
            ("createStudents", {"json": []}, 422),
            ("exportStudents", {"params": {"format": "jsonl"}}, 200),
            ("importStudents", {"content": CSV, "headers": {"Content-Type": "text/csv"}}, 200),
            ("importStudents", {"json": {}}, 415),
            ("getStudentStatistics", {}, 200),
        ],
    )  # fmt: skip
    def test_are_as_described(
        self, client: Client, document: Json, name: str, request_options: Json, status: int
    ) -> None:
        student = client.post("/students", json=ANANYA).json()
        client.post("/students", json=ANANYA)
        method, path = OPERATIONS[name].split()
        response = client.request(method, path.format(student_id=student["id"]), **request_options)
        assert response.status_code == status, response.text
        described = operation(document, name)["responses"][str(status)]
        if "content" not in described:
            assert response.content == b""
            return
        media_type = response.headers["content-type"].partition(";")[0]
        if media_type in ("application/json", "application/problem+json"):
            schema = {**document, **described["content"][media_type]["schema"]}
            Draft202012Validator(schema).validate(response.json())
        else:
            assert media_type in described["content"]

    def test_of_a_missing_student_is_as_described(self, client: Client, document: Json) -> None:
        for name in ("getStudent", "replaceStudent", "updateStudent", "deleteStudent"):
            method, path = OPERATIONS[name].split()
            body = ANANYA if method in ("PUT", "PATCH") else None
            assert client.request(method, path.format(student_id=2**63 - 1), json=body).status_code == 404
            assert "404" in operation(document, name)["responses"]

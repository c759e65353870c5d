from typing import Any

import pytest
from httpx import Response
from litestar import Litestar
from litestar import post as handles_post
from litestar.testing import TestClient

from apps.students.schemas import StudentCreate
from project.dto import StrictDTO
from tests.problems import refused

Client = TestClient[Litestar]
MEBIBYTE = 1024 * 1024


def post(client: Client, body: bytes | str, content_type: str = "application/json") -> Response:
    return client.post("/students", content=body, headers={"content-type": content_type})


@pytest.mark.engines("sqlite")
class TestStrictBody:
    """What every route that takes JSON makes of a body."""

    @pytest.mark.parametrize(
        "body",
        [
            "", " ", "{", "[", '{"name"', '{"name": "a', "{}}", "{} {}", "nul", "'a'", "{name: 1}", '{"name": "a",}',
            '{"cgpa": NaN}', '{"cgpa": Infinity}', '{"cgpa": -Infinity}', '{"cgpa": 1.}', '{"cgpa": .5}',
            '{"cgpa": +1}', '{"cgpa": 01}', '{"cgpa": 0x1}', '{"cgpa": 1_0}', '{"name": "\x00"}', '{"name": "\n"}',
            '{"a": "\x1f"}', r'{"name": "\ud800"}', r'{"name": "\udc00"}', r'{"name": "\ud800\ud800"}',
            r'{"\ud800": 1}', r'{"name": "\x41"}',
            r'{"name": "\u12"}', '{"a": "\\ud800", "name": 1}', "\ufeff{}", "// a\n{}",
        ],
    )  # fmt: skip
    def test_is_well_formed(self, client: Client, body: str) -> None:
        assert refused(post(client, body), 400, "malformed") == {}
        assert client.get("/students").json() == {"items": []}

    @pytest.mark.parametrize(
        "body",
        [
            b'{"name": "\xff", "department": "b", "cgpa": 1}',
            b'{"name": "\xed\xa0\x80", "department": "b", "cgpa": 1}',
            b'{"name": 1, "grade": "\xc3"}',
            b'{"\xfe": 1}',
            '{"name": "a", "department": "b", "cgpa": 1}'.encode("utf-16"),
            '{"name": "é", "department": "b", "cgpa": 1}'.encode("latin-1"),
        ],
    )
    def test_is_in_utf_8(self, client: Client, body: bytes) -> None:
        assert refused(post(client, body), 400, "malformed") == {}

    @pytest.mark.parametrize("depth", [2000, 100_000, 500_000])
    @pytest.mark.parametrize("opening", ["[", '{"a":'])
    def test_may_not_be_nested_without_end(self, client: Client, opening: str, depth: int) -> None:
        depth = min(depth, MEBIBYTE // len(opening))
        for body in (opening * depth, f'{{"name": {opening * (depth - 10)}'):
            assert refused(post(client, body), 400, "malformed") == {}

    def test_nested_well_is_only_not_valid(self, client: Client) -> None:
        body = f'{{"name": {"[" * 100}{"]" * 100}, "department": "b", "cgpa": 1}}'
        assert refused(post(client, body), 422, "invalid-body") == {"/name": "must be text, not a list"}

    @pytest.mark.parametrize(
        ("value", "detail"),
        [
            ('"9"', "must be a number, not text"),
            ("true", "must be a number, not true or false"),
            ("null", "must be a number, not null"),
            ("[9]", "must be a number, not a list"),
            ('{"a": 9}', "must be a number, not an object"),
            ("-1e-300", "must be at least 0"),
            ("1e400", "must be at most 10"),
            ("-1e400", "must be at least 0"),
            ("1" * 400, "must be at most 10"),
            ("1" * 5000, "must be at most 10"),
        ],
    )
    def test_says_what_is_wrong_with_a_number(self, client: Client, value: str, detail: str) -> None:
        body = f'{{"name": 1, "department": "b", "cgpa": {value}}}'
        named = refused(post(client, body), 422, "invalid-body")
        assert named["/name"] == "must be text, not a whole number"
        assert named["/cgpa"] in (detail, "is out of range")
        assert len(named) == 2

    @pytest.mark.parametrize(
        ("value", "detail"),
        [
            ("1", "must be text, not a whole number"),
            ("1.5", "must be text, not a number"),
            ("null", "must be text, not null"),
            ('""', "must have at least 1 character"),
            (f'"{"x" * 201}"', "must have at most 200 characters"),
            (r'"\u0000"', "must hold at least one visible character, and no control characters"),
            (r'"a\nb"', "must hold at least one visible character, and no control characters"),
            (r'"\u3000"', "must hold at least one visible character, and no control characters"),
        ],
    )
    def test_says_what_is_wrong_with_text(self, client: Client, value: str, detail: str) -> None:
        body = f'{{"name": {value}, "department": "b", "cgpa": 1}}'
        assert refused(post(client, body), 422, "invalid-body") == {"/name": detail}

    @pytest.mark.parametrize("body", ["[]", "null", "1", '"a"', "true", "1e400", "1" * 5000])
    def test_is_an_object(self, client: Client, body: str) -> None:
        assert refused(post(client, body), 422, "invalid-body").keys() == {""}

    def test_names_unknown_fields_as_json_pointers_have_it(self, client: Client) -> None:
        body = r'{"name": "a", "department": "b", "cgpa": 1, "a/b": 1, "a~b": 2, "": 3, "\u0000": 4, "é": 5}'
        named = refused(post(client, body), 422, "invalid-body")
        assert named.keys() == {"/a~1b", "/a~0b", "/", "/\0", "/é"}
        assert set(named.values()) == {"is not known here, only name, department, cgpa"}

    @pytest.mark.parametrize(
        ("body", "pointers"),
        [
            ('{"name": "a", "department": "b", "cgpa": 1, "cgpa": 1}', {"/cgpa"}),
            ('{"name": "a", "n\\u0061me": "a", "department": "b", "cgpa": 1}', {"/name"}),
            ('{"name": 1, "name": "a", "department": "b", "cgpa": 11}', {"/name", "/cgpa"}),
            ('{"name": ":", "department": "b", "cgpa": 1, "grade": 1, "grade": 2}', {"/grade"}),
        ],
    )
    def test_gives_no_field_twice(self, client: Client, body: str, pointers: set[str]) -> None:
        assert refused(post(client, body), 422, "invalid-body").keys() == pointers

    def test_change_gives_no_field_twice(self, client: Client) -> None:
        path = post(client, '{"name": "a", "department": "b", "cgpa": 1}').headers["location"]
        response = client.patch(path, content='{"cgpa":1,"cgpa":2}', headers={"content-type": "application/json"})
        assert refused(response, 422, "invalid-body") == {"/cgpa": "may be given only once"}

    def test_colons_in_text_are_text(self, client: Client) -> None:
        response = post(client, '{"name": ":::\\":", "department": "{\\"a\\":1,\\"a\\":2}", "cgpa": 1}')
        assert response.status_code == 201
        assert response.json()["department"] == '{"a":1,"a":2}'

    def test_names_a_hundred_faults_and_says_that_there_are_more(self, client: Client) -> None:
        fields: dict[str, Any] = {f"field_{number}": 1 for number in range(150)}
        response = client.post("/students", json=fields)
        assert len(refused(response, 422, "invalid-body")) == 100
        assert response.json()["detail"].endswith("Only the first 100 are named.")

    @pytest.mark.parametrize("size", [MEBIBYTE + 1, 3 * MEBIBYTE])
    def test_is_no_larger_than_one_mebibyte(self, client: Client, size: int) -> None:
        assert refused(post(client, b" " * size), 413, "too-large") == {}

    def test_may_be_one_mebibyte(self, client: Client) -> None:
        student = '{"name": "a", "department": "b", "cgpa": 1}'
        assert post(client, student + " " * (MEBIBYTE - len(student))).status_code == 201

    def test_of_unknown_length_is_no_larger_either(self, client: Client) -> None:
        response = client.post(
            "/students", content=(b" " * 65536 for _ in range(20)), headers={"content-type": "application/json"}
        )
        assert refused(response, 413, "too-large") == {}

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json",
            "application/problem+json", "application/json-patch+json", "application/json; charset=utf-16",
            "application/json; charset=latin-1", "application/msgpack", "*/*", "",
        ],
    )  # fmt: skip
    def test_is_sent_as_json(self, client: Client, content_type: str) -> None:
        response = post(client, '{"name": "a", "department": "b", "cgpa": 1}', content_type)
        assert refused(response, 415, "unsupported-media") == {}
        assert "curl --json" in response.json()["detail"]

    @pytest.mark.parametrize(
        "content_type",
        ["application/json", "Application/JSON", "application/json;charset=UTF-8", 'application/json; charset="utf-8"'],
    )
    def test_may_say_that_it_is_utf_8(self, client: Client, content_type: str) -> None:
        assert post(client, '{"name": "é", "department": "b", "cgpa": 1}', content_type).json()["name"] == "é"

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    def test_is_as_strict_for_changes(self, client: Client, method: str) -> None:
        path = post(client, '{"name": "a", "department": "b", "cgpa": 1}').headers["location"]

        def send(body: bytes, content_type: str = "application/json") -> Response:
            return client.request(method, path, content=body, headers={"content-type": content_type})

        refused(send(b"{"), 400, "malformed")
        refused(send(b""), 400, "malformed")
        refused(send(b"{}", "text/plain"), 415, "unsupported-media")
        refused(send(b" " * (MEBIBYTE + 1)), 413, "too-large")
        assert refused(send(b'{"cgpa": "9", "x": 1}'), 422, "invalid-body").keys() >= {"/cgpa", "/x"}


@pytest.mark.engines("sqlite")
class TestStrictBatch:
    def test_points_into_the_list(self, client: Client) -> None:
        batch: list[Any] = [{"name": "a", "department": "b", "cgpa": 1} for _ in range(20)]
        batch[3] = None
        batch[17] = {"name": "a", "department": "", "cgpa": "9", "a/b": 1}
        response = client.post("/students/batch", json=batch)
        assert refused(response, 422, "invalid-body").keys() == {"/3", "/17/department", "/17/cgpa", "/17/a~1b"}
        assert client.get("/students").json() == {"items": []}

    def test_gives_no_field_twice(self, client: Client) -> None:
        student = '{"name": "a", "department": "b", "cgpa": 1}'
        body = f'[{student}, {student[:-1]}, "name": "b"}}]'
        response = client.post("/students/batch", content=body, headers={"content-type": "application/json"})
        assert refused(response, 422, "invalid-body") == {"/1/name": "may be given only once"}

    @pytest.mark.parametrize("count", [0, 1001])
    def test_has_as_many_as_it_may(self, client: Client, count: int) -> None:
        batch = [{"name": "a", "department": "b", "cgpa": 1}] * count
        assert refused(client.post("/students/batch", json=batch), 422, "invalid-body").keys() == {""}

    def test_is_no_larger_than_eight_mebibytes(self, client: Client) -> None:
        batch = '[{"name": "a", "department": "b", "cgpa": 1}]'
        headers = {"content-type": "application/json"}
        most = batch + " " * (8 * MEBIBYTE - len(batch))
        assert client.post("/students/batch", content=most, headers=headers).status_code == 201
        refused(client.post("/students/batch", content=most + " ", headers=headers), 413, "too-large")

    def test_names_a_hundred_faults(self, client: Client) -> None:
        response = client.post("/students/batch", json=[{"cgpa": 11}] * 1000)
        named = refused(response, 422, "invalid-body")
        assert len(named) == 100
        assert "/0/name" in named


class TestStrictDTO:
    @pytest.mark.filterwarnings("ignore:.*declared without a body marker")
    def test_takes_parameters_without_any_metadata(self) -> None:
        @handles_post("/one", dto=StrictDTO[StudentCreate], return_dto=None)
        async def one(data: StudentCreate) -> str:
            return data.name

        @handles_post("/many", dto=StrictDTO[StudentCreate], return_dto=None)
        async def many(data: list[StudentCreate]) -> str:
            return " ".join(student.name for student in data)

        student = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
        with TestClient(Litestar([one, many])) as client:
            assert client.post("/one", json=student).text == "Ananya"
            assert client.post("/many", json=[student, student]).text == "Ananya Ananya"

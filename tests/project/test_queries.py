import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.problems import refused

Client = TestClient[Litestar]


@pytest.mark.engines("sqlite")
class TestStrictQuery:
    """What every route makes of its query, seen on one with parameters of each type."""

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("limit=0", {"/limit": "must be at least 1"}),
            ("limit=101", {"/limit": "must be at most 100"}),
            ("limit=-1", {"/limit": "must be at least 1"}),
            ("limit=99999999999999999999", {"/limit": "must be at most 100"}),
            ("limit=1e1", {"/limit": "must be a whole number"}),
            ("limit=5.0", {"/limit": "must be a whole number"}),
            ("limit=", {"/limit": "must be a whole number, not text"}),
            ("limit", {"/limit": "must be a whole number, not text"}),
            ("limit=null", {"/limit": "must be a whole number, not null"}),
            ("limit=true", {"/limit": "must be a whole number, not true or false"}),
            ("limit=%225%22", {"/limit": "must be a whole number, not text"}),
            ("limit=+5", {"/limit": "must be a whole number, not text"}),
            ("limit=%2B5", {"/limit": "must be a whole number, not text"}),
            ("limit=5%20", {"/limit": "must be a whole number, not text"}),
            ("limit=5%0A", {"/limit": "must be a whole number, not text"}),
            ("limit=05", {"/limit": "must be a whole number, not text"}),
            ("limit=1_0", {"/limit": "must be a whole number, not text"}),
            ("limit=%D9%A5", {"/limit": "must be a whole number, not text"}),
            ("limit=%zz", {"/limit": "must be a whole number, not text"}),
            ("limit=[5]", {"/limit": "must be a whole number, not text"}),
            ("cgpa_min=nan", {"/cgpa_min": "must be a number, not text"}),
            ("cgpa_min=NaN", {"/cgpa_min": "must be a number, not text"}),
            ("cgpa_min=Infinity", {"/cgpa_min": "must be a number, not text"}),
            ("cgpa_min=9,5", {"/cgpa_min": "must be a number, not text"}),
            ("cgpa_min=", {"/cgpa_min": "must be a number, not text"}),
            ("cgpa_min=null", {"/cgpa_min": "must be a number, not null"}),
            ("cgpa_min=1e400", {"/cgpa_min": "must be at most 10"}),
            ("cgpa_max=-0.001", {"/cgpa_max": "must be at least 0"}),
            ("cgpa_max=10.000000000000002", {"/cgpa_max": "must be at most 10"}),
            ("count=yes", {"/count": "must be true or false, not text"}),
            ("count=1", {"/count": "must be true or false, not a whole number"}),
            ("count=True", {"/count": "must be true or false, not text"}),
            ("count=", {"/count": "must be true or false, not text"}),
            ("q=", {"/q": "must have at least 1 character"}),
            ("q=" + "x" * 201, {"/q": "must have at most 200 characters"}),
            ("cursor=", {"/cursor": "must have at least 1 character"}),
            ("department=", {"/department/0": "must have at least 1 character"}),
            ("&".join(["department=a"] * 101), {"/department": "must have at most 100 items"}),
        ],
    )
    def test_says_what_is_wrong_with_a_value(self, client: Client, query: str, named: dict[str, str]) -> None:
        assert refused(client.get(f"/students?{query}"), 400, "bad-query") == named

    @pytest.mark.parametrize("sort", ["", "-", "--id", "ID", "id,name", "+id", "name_folded", "id;", "-id ", "x"])
    def test_sorts_by_columns_that_clients_see(self, client: Client, sort: str) -> None:
        named = refused(client.get("/students", params={"sort": sort}), 400, "bad-query")
        assert named.keys() == {"/sort"}
        assert named["/sort"].startswith("must be one of ")
        assert all(
            name in named["/sort"] for name in ("id", "-name", "department", "cgpa", "created_at", "-updated_at")
        )

    @pytest.mark.parametrize(
        "moment",
        [
            "", "now", "2026-01-31", "2026-01-31T09:30:00", "2026-01-31T09:30Z", "20260131T093000Z", "1769851800",
            "2026-02-30T00:00:00Z", "2026-01-31T24:00:00Z", "2026-01-31T09:30:00+5", "2026-W05-6T09:30:00Z",
            "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "null", "2026-01-31T09:30:00 05:30",
        ],
    )  # fmt: skip
    def test_moments_are_written_as_rfc_3339_has_it(self, client: Client, moment: str) -> None:
        response = client.get("/students", params={"updated_after": moment})
        assert refused(response, 400, "bad-query").keys() == {"/updated_after"}

    @pytest.mark.parametrize("character", ["\0", "\n", "\x7f", "\x85"])
    def test_text_holds_no_control_characters(self, client: Client, character: str) -> None:
        client.post("/students", json={"name": "a", "department": "b", "cgpa": 1})
        response = client.get("/students", params={"q": f"a{character}", "department": character})
        assert refused(response, 400, "bad-query").keys() == {"/q", "/department/0"}

    @pytest.mark.parametrize("name", ["page", "offset", "LIMIT", "limit[]", "Limit ", "", "id", "name_folded"])
    def test_refuses_parameters_that_it_does_not_know(self, client: Client, name: str) -> None:
        assert refused(client.get("/students", params={name: "1"}), 400, "bad-query").keys() == {f"/{name}"}

    @pytest.mark.parametrize("name", ["limit", "sort", "cursor", "cgpa_min", "cgpa_max", "updated_after", "q", "count"])
    def test_takes_single_values_once(self, client: Client, name: str) -> None:
        for query in (
            f"{name}=1&{name}=1",
            f"{name}=1&limit=1&{name}=2&{name}=3",
            f"{name}=1&{name.replace('t', '%74')}=1",
        ):
            if query.count(f"{name}=") > 1 or "%74" in query:
                named = refused(client.get(f"/students?{query}"), 400, "bad-query")
                assert named[f"/{name}"] == "may be given only once"

    def test_names_every_bad_parameter_at_once(self, client: Client) -> None:
        query = "limit=0&sort=x&cgpa_min=11&cgpa_max=a&count=2&department=a&department=&page=2&q=a&q=b"
        named = refused(client.get(f"/students?{query}"), 400, "bad-query")
        assert named.keys() == {
            "/limit", "/sort", "/cgpa_min", "/cgpa_max", "/count", "/department/1", "/page", "/q",
        }  # fmt: skip

    @pytest.mark.parametrize("query", ["%ff=1", "q=%ff", "q=%C3", "q=%ED%A0%80", "department=a&department=%80"])
    def test_is_in_utf_8(self, client: Client, query: str) -> None:
        assert refused(client.get(f"/students?{query}"), 400, "bad-query") == {}

    @pytest.mark.parametrize("query", ["", "&", "&&limit=5&", "limit=5&"])
    def test_empty_parts_mean_nothing(self, client: Client, query: str) -> None:
        assert client.get(f"/students?{query}").status_code == 200

    @pytest.mark.parametrize(
        ("query", "name"), [("q=a+b", "a b"), ("q=a%2Bb", "a+b"), ("q=a=b", "a=b"), ("q=50%25", "50%")]
    )
    def test_is_decoded_as_forms_are(self, client: Client, query: str, name: str) -> None:
        student = client.post("/students", json={"name": name, "department": "b", "cgpa": 1}).json()
        client.post("/students", json={"name": "other", "department": "b", "cgpa": 1})
        assert client.get(f"/students?{query}").json()["items"] == [student]

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/students"),
            ("GET", "/students/1"),
            ("PUT", "/students/1"),
            ("PATCH", "/students/1"),
            ("DELETE", "/students/1"),
        ],
    )
    def test_is_empty_where_nothing_is_declared(self, client: Client, method: str, path: str) -> None:
        response = client.request(method, f"{path}?verbose=true&x")
        assert refused(response, 400, "bad-query").keys() == {"/verbose", "/x"}

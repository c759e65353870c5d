"""GET /students/statistics."""

from collections import defaultdict
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.settings import Settings
from tests.problems import refused
from tests.rosters import as_csv, students

Client = TestClient[Litestar]


def fill(client: Client, rows: list[dict[str, Any]]) -> None:
    response = client.post("/students/import", content=as_csv(rows), headers={"Content-Type": "text/csv"})
    assert response.json()["created"] == len(rows)


def statistics(client: Client, **filters: Any) -> list[dict[str, Any]]:
    response = client.get("/students/statistics", params=filters)
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"items"}
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def expected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    grades = defaultdict(list)
    for row in rows:
        grades[row["department"]].append(row["cgpa"])
    return [
        {
            "department": department,
            "count": len(found),
            "mean": float(sum(map(Fraction, found)) / len(found)),
            "min": min(found),
            "max": max(found),
            "histogram": [sum(min(int(each), 9) == bin_ for each in found) for bin_ in range(10)],
        }
        for department, found in sorted(grades.items())
    ]


class TestStatistics:
    def test_of_nobody_are_none(self, client: Client) -> None:
        assert statistics(client) == []

    def test_are_those_of_each_department_in_order_and_exact(self, client: Client) -> None:
        rows = students(2500)
        fill(client, rows)
        assert statistics(client) == expected(rows)

    @pytest.mark.parametrize(
        "grades",
        [
            [0.1] * 10,
            [5e-324, 10.0],
            [5e-324] * 3,
            [0.1, 0.2, 0.3, 1e-17, 9.999999999999998],
            [0.0],
            [10.0, 9.0, 8.999999999999998, 0.9999999999999999, 1.0],
        ],
    )
    def test_mean_is_rounded_once(self, client: Client, grades: list[float]) -> None:
        rows = [{"name": "A", "department": "CSE", "cgpa": grade} for grade in grades]
        fill(client, rows)
        assert statistics(client) == expected(rows)

    def test_departments_that_look_alike_are_not_one(self, client: Client) -> None:
        names = ["CSE", "cse", "CSE ", "Ｃse", "é", "e\u0301", "ß", "ss", "\U0001f393", "\uffff"]
        fill(client, [{"name": "A", "department": name, "cgpa": 1.0} for name in names])
        assert [item["department"] for item in statistics(client)] == sorted(names)

    @pytest.mark.parametrize(
        "filters",
        [
            {"department": ["CSE", "化学, 工学"]},
            {"cgpa_min": 2.5, "cgpa_max": 5},
            {"q": "STRASSE"},
            {"updated_after": "2999-01-01T00:00:00Z"},
        ],
    )
    def test_take_the_filters_of_the_list(self, client: Client, filters: dict[str, Any]) -> None:
        fill(client, students(90))
        page = client.get("/students", params={"limit": 90, **filters}).json()["items"]
        assert statistics(client, **filters) == expected(page)

    @pytest.mark.parametrize("name", ["sort", "limit", "count", "format"])
    def test_take_no_other_parameters(self, client: Client, name: str) -> None:
        assert refused(client.get("/students/statistics", params={name: "1"}), 400, "bad-query").keys() == {f"/{name}"}

    @pytest.mark.engines("sqlite")
    def test_have_the_time_of_a_request_and_say_when_it_is_over(self, client: Client, settings: Settings) -> None:
        fill(client, students(1000))
        hasty = create_app(msgspec.structs.replace(settings, statement_timeout=1e-9))
        with TestClient(hasty, base_url="http://127.0.0.1", raise_server_exceptions=False) as impatient:
            response = impatient.get("/students/statistics")
        refused(response, 503, "unavailable")
        assert "longer" in response.json()["detail"]
        assert response.headers["retry-after"]

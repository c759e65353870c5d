"""`GET /metrics`: what operators watch."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Service, running

pytestmark = pytest.mark.engines("sqlite")

REQUESTS = "http_request_duration_seconds_count"


def counts(text: str) -> dict[tuple[str, str, str], float]:
    """Requests by method, route and kind of status."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for sample in samples
        if sample.name == REQUESTS
    }


class TestMetrics:
    """In this process, whose numbers other tests have moved already."""

    def test_counts_requests_by_route_and_outcome(self, client: TestClient[Litestar]) -> None:
        before = counts(client.get("/metrics").text)
        made = client.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9}).json()["id"]
        client.get(f"/students/{made}")
        client.head(f"/students/{made}")
        client.get("/students/99999")
        client.post("/students", content=b"{")
        after = counts(client.get("/metrics").text)
        assert {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)} == {
            ("POST", "/students", "2xx"): 1,
            ("POST", "/students", "4xx"): 1,
            ("GET", "/students/{student_id}", "2xx"): 1,
            ("HEAD", "/students/{student_id}", "2xx"): 1,
            ("GET", "/students/{student_id}", "4xx"): 1,
            ("GET", "/metrics", "2xx"): 1,
        }

    def test_has_one_route_for_all_paths_that_are_none(self, client: TestClient[Litestar]) -> None:
        before = counts(client.get("/metrics").text)
        for number in range(20):
            client.get(f"/invented/{number}")
        after = counts(client.get("/metrics").text)
        kind = ("GET", "unmatched", "4xx")
        assert after[kind] - before.get(kind, 0) == 20
        assert not any("invented" in route for _, route, _ in after)

    def test_counts_itself_among_the_requests_that_are_open(self, client: TestClient[Litestar]) -> None:
        for _ in range(5):
            assert "\nhttp_requests_in_progress 1.0\n" in client.get("/metrics").text

    def test_is_text_that_prometheus_reads(self, client: TestClient[Litestar]) -> None:
        response = client.get("/metrics")
        assert re.fullmatch(r"text/plain; version=[\d.]+; charset=utf-8", response.headers["content-type"])
        assert "http_requests_in_progress 1.0" in response.text


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder: Path = tmp_path_factory.mktemp("metrics")
    with running(f"sqlite:///{folder}/registrar.sqlite3", "--workers=2", LOG_LEVEL="WARNING") as service:
        yield service


@pytest.fixture(scope="module")
def visitor(service: Service) -> Iterator[httpx.Client]:
    """A client whose every request may come to another worker, because it has a connection of its own."""
    with service.client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        yield client


class TestMetricsOfWorkers:
    def test_are_those_of_all_of_them_whichever_is_asked(self, visitor: httpx.Client) -> None:
        for _ in range(40):
            assert visitor.get("/students").status_code == 200
        assert {counts(visitor.get("/metrics").text)["GET", "/students", "2xx"] for _ in range(20)} == {40}

    def test_count_what_is_in_progress(self, visitor: httpx.Client) -> None:
        assert "http_requests_in_progress 1.0" in visitor.get("/metrics").text

    def test_outlive_a_worker(self, service: Service, visitor: httpx.Client) -> None:
        before = counts(visitor.get("/metrics").text)
        service.kill_workers(1)
        after = counts(visitor.get("/metrics").text)
        assert all(after[kind] >= before[kind] for kind in before)

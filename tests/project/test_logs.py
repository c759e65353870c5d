"""What the service writes down, and what it never does."""

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.processes import Service, running

STUDENT = {"name": "Zebulon Quixote", "department": "CSE", "cgpa": 8.9}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("logs")
    return f"sqlite:///{folder}/registrar.sqlite3"


@pytest.fixture(scope="module")
def service(url: str) -> Iterator[Service]:
    with running(url, "--workers=2") as service:
        yield service


class TestAccessLog:
    def test_has_a_line_for_a_request(self, service: Service) -> None:
        response = httpx.post(f"{service.url}/students", json=STUDENT)
        record = service.wait_for_records(request_id=response.headers["x-request-id"])[0]
        moment = dt.datetime.fromisoformat(record.pop("timestamp"))
        assert abs(dt.datetime.now(dt.UTC) - moment) < dt.timedelta(hours=1)
        assert record.pop("milliseconds") > 0
        assert record == {
            "level": "info",
            "event": "answered",
            "logger": "request",
            "request_id": response.headers["x-request-id"],
            "method": "POST",
            "path": "/students",
            "status": 201,
        }

    def test_has_neither_bodies_nor_queries(self, service: Service) -> None:
        httpx.post(f"{service.url}/students", json=STUDENT)
        httpx.post(f"{service.url}/students", json={**STUDENT, "cgpa": 99})
        httpx.get(f"{service.url}/students", params={"q": "Quixote", "unknown": "Quixote"})
        httpx.get(f"{service.url}/health/live", headers={"X-Request-ID": "the-last-one"})
        service.wait_for_records(request_id="the-last-one")
        assert "Quixote" not in service.log

    def test_has_paths_as_they_were_sent(self, service: Service) -> None:
        path = "/a%0Ab%1B[31m%C3%BC"
        identity = httpx.get(service.url + path).headers["x-request-id"]
        assert service.wait_for_records(request_id=identity)[0]["path"] == path

    def test_has_whole_lines_whatever_number_of_workers_writes(self, service: Service) -> None:
        long = "a" * 3000

        def visit(visitor: int) -> None:
            with service.client() as client:
                for number in range(100):
                    client.get(f"/{long}", headers={"X-Request-ID": f"{visitor}-{number}"})

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(visit, range(4)))
        identities = {f"{visitor}-{number}" for visitor in range(4) for number in range(100)}
        records = service.wait_for_records(400, path=f"/{long}")
        assert {record["request_id"] for record in records} == identities


class TestSettings:
    def test_of_the_level_silence_what_is_below(self, url: str) -> None:
        with running(url, LOG_LEVEL="WARNING") as service:
            assert service.get("/students").status_code == 200
            service.stop()
            assert service.log == ""

    def test_of_the_level_never_make_libraries_tell_what_they_handle(self, url: str) -> None:
        with running(url, LOG_LEVEL="DEBUG") as service:
            httpx.post(f"{service.url}/students", json=STUDENT)
            httpx.get(f"{service.url}/students", params={"q": "Quixote"})
            service.stop()
            assert "Quixote" not in service.log
            assert "SELECT" not in service.log
            assert "uvicorn.error" in {record["logger"] for record in service.records}

    def test_of_the_format_write_for_people(self, url: str) -> None:
        with running(url, LOG_FORMAT="console") as service:
            service.get("/students")
            service.stop()
            line = next(line for line in service.log.splitlines() if "/students" in line)
            assert "answered" in line
            assert "method=GET" in line
            assert "status=200" in line
            assert "\x1b" not in line  # the colours are for terminals

    def test_of_the_format_write_json_where_there_is_no_terminal(self, url: str) -> None:
        with running(url, LOG_FORMAT="auto") as service:
            service.get("/students")
            service.stop()
            assert service.records[-1]["path"] == "/students"

"""A million students, in little memory."""

import csv
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.memory import Weighed, peak_in
from tests.processes import running
from tests.rosters import NAMES, fields

COUNT = 1_000_000
MOST_MEMORY = 200 * 1024 * 1024
HOUR = 3600.0


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'registrar.sqlite3'}"


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    path = tmp_path / "roster.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "department", "cgpa"])
        for number in range(COUNT):
            grade = (number * 7919 % 1_000_003) / 100_000.3  # nearly all of them different
            name = f"{NAMES[number % len(NAMES)]} {number * 7919 % COUNT}"
            writer.writerow([name, f"Department {number % 20}", grade])
    return path


def peak(process: psutil.Process) -> int:
    """The most bytes that a process ever had in memory."""
    return peak_in(Path(f"/proc/{process.pid}/status").read_text())


def run(database_url: str, *arguments: str) -> int:
    """A command from its start to its end; the most bytes that it had in memory."""
    with Weighed(*arguments, env={**os.environ, "DATABASE_URL": database_url}) as process:
        assert process.wait() == 0
    return process.peak()


def rows(path: Path) -> Iterator[tuple[str, str, str]]:
    with path.open(newline="") as file:
        yield from map(fields, csv.DictReader(file))


def lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


@contextmanager
def pieces(path: Path) -> Iterator[Iterator[bytes]]:
    with path.open("rb") as file:
        yield iter(lambda: file.read(1024 * 1024), b"")


@pytest.mark.big
class TestAMillion:
    def test_come_in_and_go_out_over_http(self, database_url: str, roster: Path, tmp_path: Path) -> None:
        with running(database_url, "--workers=1") as service, service.client() as client:
            processes = [psutil.Process(service.process.pid), *service.workers()]
            for options in ("", "?atomic=true"):
                with pieces(roster) as body:
                    response = client.post(
                        f"/students/import{options}", content=body, headers={"Content-Type": "text/csv"}, timeout=HOUR
                    )
                assert response.json()["created"] == COUNT
            for form in ("csv", "jsonl"):
                with client.stream("GET", f"/students/export?format={form}", timeout=HOUR) as response:
                    with (tmp_path / form).open("wb") as file:
                        file.writelines(response.iter_bytes())
                    assert (tmp_path / form).stat().st_size == int(response.headers["content-length"])
            statistics = client.get("/students/statistics", timeout=HOUR)
            assert sum(item["count"] for item in statistics.json()["items"]) == 2 * COUNT
            assert max(map(peak, processes)) < MOST_MEMORY
        given, exported = rows(roster), rows(tmp_path / "csv")
        assert all(sent == found for sent, found in zip(given, exported, strict=False))
        lines = map(json.loads, lines_of(tmp_path / "jsonl"))
        assert all(row == found for row, found in zip(rows(tmp_path / "csv"), map(fields, lines), strict=True))

    def test_come_in_and_go_out_by_commands(self, database_url: str, roster: Path, tmp_path: Path) -> None:
        dump, again = tmp_path / "dump.jsonl", tmp_path / "again.jsonl"
        other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
        run(database_url, "migrate")
        run(other, "migrate")
        used = [
            run(database_url, "loaddata", str(roster)),
            run(database_url, "dumpdata", "--output", str(dump)),
            run(other, "loaddata", str(dump)),
            run(other, "dumpdata", "--output", str(again)),
        ]
        assert max(used) < MOST_MEMORY
        assert all(left == right for left, right in zip(lines_of(dump), lines_of(again), strict=True))
        assert json.loads(next(lines_of(dump)))["fields"]["name"] == f"{NAMES[0]} 0"

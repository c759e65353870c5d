"""What reads cost while passwords are guessed.

Four workers on one database. A reader with a token reads one student after the other, first alone and then beside
sixteen connections: such as ask for nothing much, and such as guess at passwords, of one account and of many in turns.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import click
import httpx

from tests.processes import ROOT, SECONDS, Service, running

WORKERS, CONNECTIONS, GUESSES = 4, 16, 10_000
READS = 1_000
SETTINGS = {
    "DEBUG": "false",
    "SECRET_KEY": "of a benchmark, and long enough for one",
    "ALLOWED_HOSTS": "127.0.0.1",
    "LOG_LEVEL": "WARNING",
    "SUPERUSER_PASSWORD": "correct horse battery",
}


@click.command()
@click.argument("url", metavar="[DATABASE_URL]", required=False)
@click.option("--guesses", type=click.IntRange(min=CONNECTIONS), default=GUESSES, show_default=True)
def flood(url: str | None, guesses: int) -> None:
    """Read beside clients that guess at passwords, on four workers.

    On an SQLite file of its own, or on the empty database of that URL.
    """
    with tempfile.TemporaryDirectory() as folder:
        measure(url or f"sqlite:///{folder}/flood.sqlite3", guesses)


def measure(url: str, guesses: int) -> None:
    manage(url, "migrate")
    manage(url, "createsuperuser", "--noinput", "--username=ananya")
    token = manage(url, "createtoken", "ananya").strip()
    with running(url, f"--workers={WORKERS}", **SETTINGS) as service:  # type: ignore[arg-type]
        reader = service.client(headers={"Authorization": f"Bearer {token}"})
        student = reader.post("/students", json={"name": "Ananya", "department": "CSE", "cgpa": 8.9})
        path = student.headers["location"]
        count = iter(range(READS))
        show("alone", read_while(reader, path, lambda: next(count, None) is not None))
        for name, ask in {"beside other requests": look, "beside guesses": guess}.items():
            began = time.monotonic()
            with ThreadPoolExecutor(1) as thread:
                crowd = thread.submit(asked_by_many, service, ask, guesses)
                show(name, read_while(reader, path, crowd.running))
            seconds = time.monotonic() - began
            print(f"{'':>20}  {guesses} in {seconds:.1f} s, answered with {dict(crowd.result())}")
        print("401 was looked at, 429 was not")


def manage(url: str, *arguments: str) -> str:
    environment = {**os.environ, **SETTINGS, "DATABASE_URL": url}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def read_while(reader: httpx.Client, path: str, goes_on: Callable[[], bool]) -> list[float]:
    """How long each read took, in milliseconds."""
    times = []
    while goes_on():
        began = time.perf_counter()
        assert reader.get(path).status_code == 200
        times.append((time.perf_counter() - began) * 1000)
    return times


def show(name: str, times: list[float]) -> None:
    cuts = statistics.quantiles(times, n=100)
    print(f"{name:>20}: {len(times):6} reads, median {cuts[49]:6.2f} ms, 99 of 100 in {cuts[98]:7.2f} ms")


def look(client: httpx.Client, number: int) -> int:
    """As cheap as a request can be: what it takes from a reader, any request does."""
    return client.get("/health/live").status_code


def guess(client: httpx.Client, number: int) -> int:
    name = "ananya" if number % 2 else f"user{number}"
    return client.post("/auth/token", json={"username": name, "password": "a guess"}).status_code


def asked_by_many(service: Service, ask: Callable[[httpx.Client, int], int], requests: int) -> Counter[int]:
    """How often each status was answered."""

    def ask_some(place: int) -> Counter[int]:
        with httpx.Client(base_url=service.url, timeout=SECONDS) as client:
            return Counter(ask(client, number) for number in range(place, requests, CONNECTIONS))

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return sum(threads.map(ask_some, range(CONNECTIONS)), Counter())


if __name__ == "__main__":
    flood()

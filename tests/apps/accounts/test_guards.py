"""What holds for tokens in every worker, while the service is used."""

import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection

import httpx
import pytest

from project.throttling import FREE, FREE_OF_ADDRESS
from tests.commands import managed
from tests.people import PASSWORD, create_user
from tests.processes import SECONDS, Service, running, until
from tests.tokens import PRODUCTION, Headers, bearer

ENOUGH = 60
"""Requests on new connections, of which each worker will have got some."""
SETTINGS = {**PRODUCTION, "TRUSTED_PROXIES": "127.0.0.1"}


@contextmanager
def serving(url: str, workers: int) -> Iterator[Service]:
    managed(url, "migrate")
    with running(url, f"--workers={workers}", **SETTINGS) as service:
        yield service


@pytest.fixture(scope="module")
def service(database_url: str) -> Iterator[Service]:
    with serving(database_url, 2) as service:
        yield service


def new_token(url: str, username: str) -> Headers:
    return bearer(managed(url, "createtoken", username, **SETTINGS).strip())


class Use:
    """A token, used on new connections all the time, so that every worker knows it."""

    def __init__(self, service: Service, headers: Headers) -> None:
        self._place = service.url.removeprefix("http://")
        self._headers = headers
        self._answers: list[tuple[float, int]] = []
        self._ended = threading.Event()

    def __enter__(self) -> "Use":
        self._threads = ThreadPoolExecutor(4)
        self._running = [self._threads.submit(self._run) for _ in range(4)]
        until(lambda: len(self._answers) > ENOUGH, "the token to be used")
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        for each in self._running:
            each.result(SECONDS)
        self._threads.shutdown()

    def answers_after(self, seconds: float) -> list[int]:
        """To what is sent later than that many seconds from now."""
        limit = time.monotonic() + seconds

        def found() -> list[int]:
            return [status for sent_at, status in self._answers if sent_at > limit]

        until(lambda: len(found()) > ENOUGH, "answers")
        return found()

    def _run(self) -> None:
        while not self._ended.is_set():
            connection = HTTPConnection(self._place, timeout=SECONDS)
            sent_at = time.monotonic()
            connection.request("GET", "/auth/me", headers=self._headers)
            self._answers.append((sent_at, connection.getresponse().status))
            connection.close()


class TestToken:
    """What a worker answers does not depend on how busy it is: it compares clocks when it looks at the token."""

    def test_that_is_revoked_is_refused_by_all_workers_within_a_second(
        self, service: Service, database_url: str
    ) -> None:
        create_user(database_url, "revoker", **SETTINGS)
        answers = after_revoking(service, database_url, "revoker", seconds=1)
        assert set(answers) == {401}

    @pytest.mark.engines("sqlite")
    def test_that_is_revoked_is_refused_at_once_by_all_who_share_a_file(
        self, service: Service, database_url: str
    ) -> None:
        create_user(database_url, "sharer", **SETTINGS)
        answers = after_revoking(service, database_url, "sharer", seconds=0)
        assert set(answers) == {401}

    def test_ends_with_the_password_that_a_command_changes(self, service: Service, database_url: str) -> None:
        create_user(database_url, "changer", **SETTINGS)
        with Use(service, new_token(database_url, "changer")) as use:
            managed(
                database_url, "changepassword", "--noinput", "changer", SUPERUSER_PASSWORD="another battery", **SETTINGS
            )
            assert set(use.answers_after(1)) == {401}


def after_revoking(service: Service, url: str, username: str, seconds: float) -> list[int]:
    """What is answered to a token that many seconds after it was revoked with another one."""
    used, other = new_token(url, username), new_token(url, username)
    with service.client() as client, Use(service, used) as use:
        token_id = client.get("/auth/me", headers=used).json()["token_id"]
        assert client.delete(f"/auth/tokens/{token_id}", headers=other).status_code == 204
        answers = use.answers_after(seconds)
        assert client.get("/auth/me", headers=other).status_code == 200
    return answers


class TestFlood:
    """However many guess at once, in whichever worker."""

    def test_of_guesses_at_one_account_verifies_as_many_as_are_allowed(
        self, service: Service, database_url: str
    ) -> None:
        create_user(database_url, "ananya", **SETTINGS)
        guess_at_one(service, 200)

    @pytest.mark.engines("sqlite")
    def test_of_guesses_at_many_accounts_verifies_as_many_as_are_allowed(self, service: Service) -> None:
        guess_at_many(service, 200)

    @pytest.mark.big
    def test_of_ten_thousand_guesses_verifies_as_many_as_are_allowed(
        self, engine: str, new_database: Callable[[str], str]
    ) -> None:
        url = new_database(engine)
        with serving(url, 4) as service:
            create_user(url, "ananya", **SETTINGS)
            guess_at_one(service, 5_000)
            guess_at_many(service, 5_000)


def guess_at_one(service: Service, count: int) -> None:
    began = time.monotonic()
    found = flood(service, ["ananya"] * count, "192.0.2.1")
    seconds = time.monotonic() - began
    assert found.keys() <= {401, 429, 503}
    assert FREE <= found[401] <= FREE + waits_in(seconds)
    body = {"username": "ananya", "password": PASSWORD}

    def is_let_in() -> bool:
        return httpx.post(f"{service.url}/auth/token", json=body, timeout=SECONDS).status_code == 201

    until(is_let_in, "the owner to have waited")


def guess_at_many(service: Service, count: int) -> None:
    began = time.monotonic()
    found = flood(service, [f"user{number}" for number in range(count)], "192.0.2.2")
    seconds = time.monotonic() - began
    assert found.keys() <= {401, 429, 503}
    assert FREE_OF_ADDRESS <= found[401] <= FREE_OF_ADDRESS + waits_in(seconds)


def waits_in(seconds: float) -> int:
    """How many waits of 1, 2, 4... seconds can have ended by then."""
    return math.floor(math.log2(seconds + 1))


def flood(service: Service, usernames: Sequence[str], address: str) -> Counter[int]:
    """Guess at all of them, on many connections at once."""

    def guess_some(names: Sequence[str]) -> Counter[int]:
        with service.client(headers={"X-Forwarded-For": address}) as client:
            bodies = ({"username": name, "password": secrets.token_hex(8)} for name in names)
            return Counter(client.post("/auth/token", json=body).status_code for body in bodies)

    connections = 16
    with ThreadPoolExecutor(connections) as threads:
        return sum(threads.map(guess_some, [usernames[place::connections] for place in range(connections)]), Counter())

"""How often passwords may be guessed, and requests be made."""

import asyncio
import datetime as dt
from collections import Counter
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from project.asgi import create_app
from project.database import Database
from project.settings import Settings
from project.throttling import FREE, FREE_OF_ADDRESS, LONGEST_WAIT, Throttle
from tests.clients import Client, serving
from tests.people import PASSWORD, add_user
from tests.problems import refused
from tests.tokens import production, sign_in, token_of
from tests.units import Desk

HOME, ABROAD = "192.0.2.7", "198.51.100.9"


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return production(database_url, TRUSTED_PROXIES="unix")


@pytest.fixture
def client(client: Client) -> Client:
    add_user(client, "ananya")
    return client


def guess(client: Client, username: str = "ananya", address: str = ABROAD, password: str = "a guess") -> httpx.Response:
    client.headers["X-Forwarded-For"] = address
    return sign_in(client, username, password)


def guess_until_throttled(client: Client, address: str = ABROAD) -> int:
    """How many guesses were looked at."""
    for number in range(100):
        if guess(client, address=address).status_code == 429:
            return number
    raise AssertionError("nobody is throttled")


def let_time_pass(client: Client) -> None:
    """Until nobody has to wait any more."""

    async def work(desk: Desk) -> None:
        await desk.change(sa.update(Throttle).values(free_at=dt.datetime.now(dt.UTC)))

    database: Database = client.app.state.database
    client.blocking_portal.call(database.write, Desk, work)


def retry_after(response: httpx.Response) -> int:
    refused(response, 429, "throttled")
    return int(response.headers["retry-after"])


class TestGuesses:
    def test_wait_once_there_were_some(self, client: Client) -> None:
        for _ in range(FREE):
            refused(guess(client), 401, "unauthenticated")
        assert retry_after(guess(client)) == 1

    def test_wait_twice_as_long_each_time_up_to_a_limit(self, client: Client) -> None:
        guess_until_throttled(client)
        waits = []
        for _ in range(12):
            let_time_pass(client)
            refused(guess(client), 401, "unauthenticated")
            waits.append(retry_after(guess(client)))
        assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 512, *[LONGEST_WAIT.total_seconds()] * 3]

    def test_that_are_right_wait_as_well(self, client: Client) -> None:
        guess_until_throttled(client)
        assert retry_after(guess(client, password=PASSWORD)) == 1
        let_time_pass(client)
        assert guess(client, password=PASSWORD).status_code == 201

    def test_that_are_refused_do_not_make_the_wait_longer(self, client: Client) -> None:
        guess_until_throttled(client)
        assert {retry_after(guess(client)) for _ in range(20)} == {1}

    def test_at_nobodys_password_wait_just_the_same(self, client: Client) -> None:
        answers = [guess(client, "nobody") for _ in range(FREE + 1)]
        others = [guess(client, "ananya") for _ in range(FREE + 1)]
        assert [(each.status_code, each.json()) for each in answers] == [
            (each.status_code, each.json()) for each in others
        ]

    def test_count_whatever_the_case_of_the_username(self, client: Client) -> None:
        for name in ("Ananya", "ANANYA", "ananya", "aNaNyA", "ananyA"):
            refused(guess(client, name), 401, "unauthenticated")
        assert retry_after(guess(client)) == 1

    def test_before_the_right_password_are_forgiven(self, client: Client) -> None:
        for _ in range(3):
            for _ in range(FREE - 1):
                refused(guess(client), 401, "unauthenticated")
            assert guess(client, password=PASSWORD).status_code == 201

    def test_at_once_are_counted_before_they_are_looked_at(self, client: Client, settings: Settings) -> None:
        async def guess_at_once() -> Counter[int]:
            app: Any = create_app(settings)
            transport = httpx.ASGITransport(app)
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as caller:
                    body = {"username": "ananya", "password": "a guess"}
                    answers = await asyncio.gather(*(caller.post("/auth/token", json=body) for _ in range(40)))
            finally:
                await app.state.accounts.close()
                await app.state.database.close()
            return Counter(answer.status_code for answer in answers)

        found = asyncio.run(guess_at_once())
        assert found[401] == FREE
        assert found.keys() <= {401, 429, 503}


@pytest.mark.engines("sqlite")
class TestAddress:
    def test_waits_after_guesses_at_many_accounts(self, client: Client) -> None:
        for number in range(FREE_OF_ADDRESS):
            refused(guess(client, f"nobody{number}"), 401, "unauthenticated")
        assert retry_after(guess(client, "nobody")) == 1
        assert retry_after(guess(client, password=PASSWORD)) == 1
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201

    def test_of_ipv6_is_its_whole_network(self, client: Client) -> None:
        for number in range(FREE_OF_ADDRESS):
            refused(guess(client, f"nobody{number}", f"2001:db8::{number:x}"), 401, "unauthenticated")
        assert retry_after(guess(client, "nobody", "2001:db8::ffff:1")) == 1
        refused(guess(client, "nobody", "2001:db8:0:1::1"), 401, "unauthenticated")

    def test_where_the_owner_signed_in_before_is_not_kept_out_by_strangers(self, client: Client) -> None:
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201
        assert guess_until_throttled(client) == FREE
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201
        assert retry_after(guess(client, password=PASSWORD)) >= 1

    def test_where_the_owner_signed_in_before_has_to_wait_for_its_own_guesses(self, client: Client) -> None:
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201
        assert guess_until_throttled(client, HOME) == FREE

    def test_of_another_is_not_kept_out_by_guesses_at_other_accounts_from_there(self, client: Client) -> None:
        """Many people may share an address."""
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201
        for number in range(FREE_OF_ADDRESS):
            refused(guess(client, f"nobody{number}", HOME), 401, "unauthenticated")
        assert retry_after(guess(client, "nobody", HOME)) == 1
        assert guess(client, address=HOME, password=PASSWORD).status_code == 201


class TestLimit:
    def test_is_for_each_token_and_for_each_address_without_one(self, client: Client, settings: Settings) -> None:
        add_user(client, "bilal")
        ananya, bilal = token_of(client, "ananya"), token_of(client, "bilal")
        with serving(production(settings.database_url, TRUSTED_PROXIES="unix", RATE_LIMIT="20/hour")) as limited:
            found = Counter(limited.get("/students", headers=ananya).status_code for _ in range(30))
            assert found == {200: 20, 429: 10}
            assert 0 < retry_after(limited.get("/students", headers=ananya)) <= 3600
            assert limited.get("/students", headers=bilal).status_code == 200
            found = Counter(limited.get("/students").status_code for _ in range(30))
            assert found == {401: 20, 429: 10}
            assert limited.get("/students", headers={"X-Forwarded-For": HOME}).status_code == 401

    def test_counts_all_addresses_as_one_that_somebody_has_together(self, client: Client, settings: Settings) -> None:
        """Of IPv6, where each line of a provider has 2^64."""
        with serving(production(settings.database_url, TRUSTED_PROXIES="unix", RATE_LIMIT="20/hour")) as limited:
            found = Counter(
                limited.get("/students", headers={"X-Forwarded-For": f"2001:db8::{number:x}"}).status_code
                for number in range(30)
            )
            assert found == {401: 20, 429: 10}
            assert limited.get("/students", headers={"X-Forwarded-For": "2001:db8:0:1::1"}).status_code == 401

    def test_is_not_for_what_everybody_may_ask(self, client: Client, settings: Settings) -> None:
        with serving(production(settings.database_url, RATE_LIMIT="1/hour")) as limited:
            assert {limited.get("/health/live").status_code for _ in range(5)} == {200}

    def test_is_the_same_for_all_workers_together(self, client: Client, settings: Settings) -> None:
        ananya = token_of(client, "ananya")
        limited = production(settings.database_url, RATE_LIMIT="200/hour")
        with serving(limited) as one, serving(limited) as another:
            found = Counter(
                each.get("/students", headers=ananya).status_code for _ in range(150) for each in (one, another)
            )
        assert 190 <= found[200] <= 200
        assert found[429] == 300 - found[200]

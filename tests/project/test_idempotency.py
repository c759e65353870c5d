import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from project.asgi import create_app
from project.idempotency import IdempotencyKey
from project.settings import Settings
from tests.problems import refused

Client = TestClient[Litestar]
STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}


def post(client: Client, key: str, body: Any = STUDENT, path: str = "/students") -> Response:
    return client.post(path, json=body, headers={"idempotency-key": key})


def count(client: Client) -> int:
    total: int = client.get("/students?count=true&limit=1").json()["total"]
    return total


def is_replay(response: Response, of: Response) -> bool:
    """Whether everything but what belongs to the exchange itself came back as it was first sent."""
    own = {"x-request-id", "date", "idempotency-replayed"}
    first, second = ({k: v for k, v in r.headers.items() if k not in own} for r in (of, response))
    return (
        response.headers.get("idempotency-replayed") == "true"
        and (response.status_code, response.content) == (of.status_code, of.content)
        and first == second
    )


class TestIdempotencyKey:
    @pytest.mark.parametrize(
        ("path", "body"), [("/students", STUDENT), ("/student", STUDENT), ("/students/batch", [STUDENT, STUDENT])]
    )
    def test_repetition_gets_the_first_answer_and_does_nothing(self, client: Client, path: str, body: Any) -> None:
        first = post(client, "k", body, path)
        assert first.status_code == 201
        assert "idempotency-replayed" not in first.headers
        before = count(client)
        for _ in range(3):
            assert is_replay(post(client, "k", body, path), first)
        assert count(client) == before

    def test_first_answer_stays_whatever_became_of_the_student(self, client: Client) -> None:
        first = post(client, "k")
        client.patch(first.headers["location"], json={"cgpa": 1})
        assert is_replay(post(client, "k"), first)
        client.delete(first.headers["location"])
        assert is_replay(post(client, "k"), first)
        assert count(client) == 0

    def test_survives_a_restart(self, client: Client, settings: Settings) -> None:
        first = post(client, "k")
        with TestClient(create_app(settings), base_url=str(client.base_url)) as restarted:
            assert is_replay(post(restarted, "k"), first)

    @pytest.mark.parametrize("other", [{**STUDENT, "cgpa": 9}, {**STUDENT, "name": "ananya"}])
    def test_other_body_is_refused(self, client: Client, other: Any) -> None:
        first = post(client, "k")
        refused(post(client, "k", other), 422, "key-reused")
        assert count(client) == 1
        assert is_replay(post(client, "k"), first)

    @pytest.mark.parametrize(
        ("body", "status", "slug"), [({"name": ""}, 422, "invalid-body"), ([STUDENT], 422, "invalid-body")]
    )
    def test_refusals_are_not_kept(self, client: Client, body: Any, status: int, slug: str) -> None:
        refused(post(client, "k", body), status, slug)
        assert "idempotency-replayed" not in post(client, "k", body).headers
        assert post(client, "k").status_code == 201

    def test_without_it_every_request_counts(self, client: Client) -> None:
        assert client.post("/students", json=STUDENT).json() != client.post("/students", json=STUDENT).json()
        assert count(client) == 2

    def test_different_keys_are_different_requests(self, client: Client) -> None:
        for key in ("k", "K", "k ", "k2", "k/", "%6B"):
            post(client, key)
        assert count(client) == 5  # blanks around a header's value are not part of it

    def test_belongs_to_its_route(self, client: Client) -> None:
        plural = post(client, "k")
        singular = post(client, "k", path="/student")
        batch = post(client, "k", [STUDENT], "/students/batch")
        assert [response.status_code for response in (plural, singular, batch)] == [201, 201, 201]
        assert count(client) == 3
        assert is_replay(post(client, "k", path="/students/"), plural)

    @pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é", "ключ"])
    def test_malformed_is_refused(self, client: Client, key: str) -> None:
        response = client.post("/students", json=STUDENT, headers=[(b"Idempotency-Key", key.encode())])
        refused(response, 400, "malformed")
        assert "Idempotency-Key" in response.json()["detail"]
        assert count(client) == 0

    @pytest.mark.parametrize(
        "key", ["!", "x" * 255, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", '"quoted"', "a b", "' OR 1=1"]
    )
    def test_may_be_any_visible_ascii(self, client: Client, key: str) -> None:
        first = post(client, key)
        assert is_replay(post(client, key), first)

    def test_is_forgotten_after_a_day(self, client: Client) -> None:
        first = post(client, "k")
        age(client, dt.timedelta(hours=23, minutes=59))
        assert is_replay(post(client, "k"), first)
        age(client, dt.timedelta(minutes=2))
        second = post(client, "k")
        assert second.status_code == 201
        assert second.json()["id"] != first.json()["id"]
        assert is_replay(post(client, "k"), second)
        other = post(client, "k", {**STUDENT, "cgpa": 1})
        refused(other, 422, "key-reused")

    def test_is_cleared_away_when_it_is_forgotten(self, client: Client) -> None:
        for number in range(10):
            post(client, f"old-{number}")
        age(client, dt.timedelta(hours=25))
        for number in range(2000):
            post(client, f"new-{number}")
            if kept(client) <= number + 1:
                break
        assert kept(client) == number + 1


class TestConcurrentTwins:
    @pytest.fixture
    def threads(self) -> Iterator[ThreadPoolExecutor]:
        with ThreadPoolExecutor(16) as threads:
            yield threads

    def test_are_answered_once(self, client: Client, threads: ThreadPoolExecutor) -> None:
        for number in range(5):
            answers = list(threads.map(lambda _, key=f"k{number}": post(client, key), range(16)))
            first = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
            assert len(first) == 1
            assert all(is_replay(answer, first[0]) for answer in answers if answer is not first[0])
            assert count(client) == number + 1

    def test_in_different_workers_are_answered_once(
        self, client: Client, settings: Settings, threads: ThreadPoolExecutor
    ) -> None:
        with TestClient(create_app(settings), base_url=str(client.base_url)) as other:
            for number in range(5):
                key, workers = f"k{number}", [client, other] * 8
                answers = list(threads.map(post, workers, [key] * len(workers)))
                first = [answer for answer in answers if "idempotency-replayed" not in answer.headers]
                assert len(first) == 1
                assert all(is_replay(answer, first[0]) for answer in answers if answer is not first[0])
                assert count(other) == number + 1

    def test_with_different_bodies_let_one_through(self, client: Client, threads: ThreadPoolExecutor) -> None:
        answers = list(threads.map(lambda number: post(client, "k", {**STUDENT, "cgpa": number / 2}), range(16)))
        assert sorted(answer.status_code for answer in answers) == [201, *[422] * 15]
        assert count(client) == 1

    def test_of_a_batch_are_answered_once(self, client: Client, threads: ThreadPoolExecutor) -> None:
        answers = list(threads.map(lambda _: post(client, "k", [STUDENT] * 50, "/students/batch"), range(16)))
        assert len({answer.content for answer in answers}) == 1
        assert count(client) == 50


def age(client: Client, by: dt.timedelta) -> None:
    """Let that much time pass for all that is kept."""

    async def move() -> None:
        async with client.app.state.database.engine.begin() as connection:
            for row in (await connection.execute(sa.select(IdempotencyKey.__table__))).mappings().all():
                await connection.execute(
                    sa.update(IdempotencyKey)
                    .where(IdempotencyKey.scope == row["scope"], IdempotencyKey.key == row["key"])
                    .values(created_at=row["created_at"] - by)
                )

    client.blocking_portal.call(move)


def kept(client: Client) -> int:
    async def rows() -> int:
        async with client.app.state.database.engine.connect() as connection:
            found = await connection.scalar(sa.select(sa.func.count()).select_from(IdempotencyKey))
            return int(found)

    return client.blocking_portal.call(rows)

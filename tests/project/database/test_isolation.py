"""What many clients do at the same moment comes out as if they had done it one after the other."""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx

from tests.clients import calling
from tests.servers import in_a_loop

STUDENT = {"name": "Ananya", "department": "CSE", "cgpa": 0}
STEP = 1 / 64
"""Sums of it are exact."""


class TestReadModifyWrite:
    def test_if_match_loses_no_update(self, engine: str, new_database: Callable[[str], str]) -> None:
        refused = 0

        async def increment(client: httpx.AsyncClient, path: str) -> None:
            nonlocal refused
            while True:
                read = await client.get(path)
                changed = await client.patch(
                    path, json={"cgpa": read.json()["cgpa"] + STEP}, headers={"If-Match": read.headers["ETag"]}
                )
                if changed.status_code == 200:
                    return
                assert changed.status_code == 412
                refused += 1

        async def scenario() -> float:
            async with calling(new_database(engine)) as client:
                path = (await client.post("/students", json=STUDENT)).headers["Location"]

                async def work() -> None:
                    for _ in range(96):
                        await increment(client, path)

                await asyncio.gather(*(work() for _ in range(5)))
                grade: float = (await client.get(path)).json()["cgpa"]
                return grade

        assert in_a_loop(scenario) == 480 * STEP
        assert refused

    def test_deleted_once(self, engine: str, new_database: Callable[[str], str]) -> None:
        async def scenario() -> Counter[int]:
            async with calling(new_database(engine)) as client:
                path = (await client.post("/students", json=STUDENT)).headers["Location"]
                answers = await asyncio.gather(*(client.delete(path) for _ in range(20)))
                return Counter(answer.status_code for answer in answers)

        assert in_a_loop(scenario) == {204: 1, 404: 19}


class TestIdempotencyKey:
    def test_twins_are_answered_once(self, engine: str, new_database: Callable[[str], str]) -> None:
        async def scenario() -> None:
            async with calling(new_database(engine)) as client:

                async def post(key: int) -> tuple[int, int, str, bool]:
                    answer = await client.post("/students", json=STUDENT, headers={"Idempotency-Key": f"{key}"})
                    return key, answer.status_code, answer.text, "Idempotency-Replayed" in answer.headers

                answers = await asyncio.gather(*(post(twin % 20) for twin in range(200)))
                assert {status for _, status, _, _ in answers} == {201}
                assert len({text for _, _, text, _ in answers}) == 20
                assert Counter(key for key, _, _, replayed in answers if not replayed) == dict.fromkeys(range(20), 1)
                page = (await client.get("/students", params={"count": "true"})).json()
                assert page["total"] == 20

        in_a_loop(scenario)

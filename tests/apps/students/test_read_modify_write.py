"""Many clients that count on the same student at once."""

import asyncio

import httpx
from litestar import Litestar
from litestar.testing import TestClient

CLIENTS = 8
ROUNDS = 60


async def count_up(client: httpx.AsyncClient, path: str) -> None:
    """Add one to the number that the student is called by, and try again whenever somebody was faster."""
    while True:
        read = await client.get(path)
        changed = await client.patch(
            path, json={"name": str(int(read.json()["name"]) + 1)}, headers={"If-Match": read.headers["etag"]}
        )
        if changed.status_code != 412:
            assert changed.status_code == 200
            return


class TestUpdateStudent:
    def test_no_change_is_lost_among_480_at_once(self, client: TestClient[Litestar]) -> None:
        async def count() -> str:
            transport = httpx.ASGITransport(client.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as caller:
                created = await caller.post("/students", json={"name": "0", "department": "CSE", "cgpa": 0})
                path = created.headers["location"]

                async def rounds() -> None:
                    for _ in range(ROUNDS):
                        await count_up(caller, path)

                await asyncio.gather(*(rounds() for _ in range(CLIENTS)))
                return str((await caller.get(path)).json()["name"])

        assert client.blocking_portal.call(count) == str(CLIENTS * ROUNDS)

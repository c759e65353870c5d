"""What each route costs a database: every statement that reaches it, as the database itself tells.

A route that comes to need one more fails here, and its line in `COSTS` is where to say so if it is worth it. The
application runs without its lifespan, so that nothing is counted that no request asked for.
"""

import asyncio
import itertools
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from apps.accounts.guards import FRESH_SECONDS, Accounts
from apps.accounts.services import UserService
from project.asgi import create_app
from project.database import migrations
from project.settings import load
from tests import servers
from tests.people import PASSWORD
from tests.tokens import Headers, bearer

pytestmark = pytest.mark.engines("sqlite", "postgresql", "mariadb")

ANANYA = {"name": "Ananya", "department": "CSE", "cgpa": 8.9}
SAMIR = {"name": "Samir", "department": "Physics", "cgpa": 7.5}
BATCH = [{**SAMIR, "cgpa": grade} for grade in (6.5, 7.5, 8.5)]


class Frame(NamedTuple):
    """What stands around the statements of one unit of work."""

    first: list[str]
    last: list[str]


READ = {engine: Frame([], []) for engine in ("sqlite", "postgresql", "mariadb")}
"""Each statement stands for itself: nothing is begun, and nothing has to be ended."""
WRITE = {
    "sqlite": Frame(["begin"], ["commit"]),
    "postgresql": Frame(["begin"], ["commit"]),
    "mariadb": Frame([], ["commit"]),
}
"""One transaction. What the database is a round trip away from is begun by the first statement where that is possible;
SQLite takes units of work that come together in one transaction.
"""
SNAPSHOT = {
    "sqlite": Frame(["begin"], ["commit"]),
    "postgresql": Frame(["begin"], ["commit"]),
    "mariadb": Frame(["set", "start"], ["commit"]),
}

SELECT, INSERT, UPDATE, DELETE = "select students", "insert students", "update students", "delete students"
TRAIL = "insert audit_pending"
"""Who did what: once in each unit of work, whatever it did."""
ROWS = {"sqlite": [INSERT] * len(BATCH), "postgresql": [INSERT] * len(BATCH), "mariadb": [INSERT]}
"""A batch: three times in a loop in this process, three times in one round trip, three rows in one statement."""

CHANGED = "pragma data_version"
"""Whether anything was committed: SQLite says so without being asked for a row."""

COSTS: dict[str, tuple[dict[str, Frame], list[str] | dict[str, list[str]]]] = {
    "get one": (READ, [SELECT]),
    "get one that is not there": (READ, [SELECT]),
    "get one that the client has": (READ, [SELECT]),
    "first page": (READ, [SELECT]),
    "page after a cursor": (READ, [SELECT]),
    "page with count": (READ, [SELECT, SELECT]),
    "statistics": (SNAPSHOT, [SELECT]),
    "create": (WRITE, [INSERT, TRAIL]),
    "create under a key": (
        WRITE,
        ["select idempotency_keys", "insert idempotency_keys", INSERT, "update idempotency_keys", TRAIL],
    ),
    "create under a key again": (WRITE, ["select idempotency_keys"]),
    "batch of three": (WRITE, {engine: [*rows, TRAIL] for engine, rows in ROWS.items()}),
    "put": (WRITE, [SELECT, UPDATE, TRAIL]),
    "put if unchanged": (WRITE, [SELECT, UPDATE, TRAIL]),
    "patch": (WRITE, [SELECT, UPDATE, TRAIL]),
    "patch of nothing": (WRITE, [SELECT]),
    "delete": (WRITE, [SELECT, DELETE, TRAIL]),
    "get one with a token, twice": (
        READ,
        {
            "sqlite": [CHANGED, "select tokens", SELECT, CHANGED, SELECT],
            "postgresql": ["select tokens", SELECT, SELECT],
            "mariadb": ["select tokens", SELECT, SELECT],
        },
    ),
}
"""By what is asked: the frame, and the statements in it. On a server each is one round trip."""


class Listener:
    """Hears what is said to a database, session by session, in the order in which it arrives."""

    def heard(self) -> list[tuple[object, str]]:
        """All so far: who said it, and the statement."""
        raise NotImplementedError


class Embedded(Listener):
    """Of SQLite: what every connection of this process that is opened from now on executes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._heard: list[tuple[object, str]] = []
        connect, numbers = sqlite3.connect, itertools.count()

        def listened_to(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            who = next(numbers)
            connection.set_trace_callback(lambda sql: self._heard.append((who, sql)))
            return connection

        monkeypatch.setattr(sqlite3, "connect", listened_to)

    def heard(self) -> list[tuple[object, str]]:
        return list(self._heard)


class ServerLog(Listener):
    """Of PostgreSQL: what its log says of the sessions of one database."""

    _LINE = re.compile(r"\[(\d+)\] LOG:  (?:statement|execute [^:]+): (.*)")

    def __init__(self, server: servers.PostgreSQL, database: str) -> None:
        self._server = server
        server.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")
        self._start = len(server.log)

    def heard(self) -> list[tuple[object, str]]:
        log = self._server.log[self._start :].replace("\n\t", " ")
        return [(found[1], found[2]) for found in self._LINE.finditer(log)]


class GeneralLog(Listener):
    """Of MariaDB: every command that comes in, but for those of the administrator who asks for them."""

    def __init__(self, server: servers.MariaDB) -> None:
        self._server = server

    def heard(self) -> list[tuple[object, str]]:
        found = self._server.execute(
            "SELECT thread_id, CONVERT(argument USING utf8mb4) FROM mysql.general_log"
            f" WHERE user_host LIKE '{servers.USER}[%' AND command_type IN ('Query', 'Prepare', 'Execute')"
        )
        return [(thread, statement) for thread, statement in found]


@contextmanager
def listening(engine: str, database_url: str, request: pytest.FixtureRequest) -> Iterator[Listener]:
    match engine:
        case "sqlite":
            with pytest.MonkeyPatch.context() as monkeypatch:
                yield Embedded(monkeypatch)
        case "postgresql":
            yield ServerLog(request.getfixturevalue("postgresql"), database_url.rpartition("/")[2])
        case _:
            server: servers.MariaDB = request.getfixturevalue("mariadb")
            server.execute("SET GLOBAL log_output = 'TABLE'")
            server.execute("TRUNCATE mysql.general_log")
            server.execute("SET GLOBAL general_log = 'ON'")
            try:
                yield GeneralLog(server)
            finally:
                server.execute("SET GLOBAL general_log = 'OFF'")


def brief(statement: str) -> str:
    """Its verb and its table, or what it sets going."""
    words = statement.lower().split()
    table = re.search(r"\b(?:from|into|update|pragma)\s+[\"`]?(\w+)", statement, re.IGNORECASE)
    return words[0] if table is None else f"{words[0]} {table[1]}"


@pytest.fixture(scope="module")
def costs(engine: str, database_url: str, request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """What was said for each of `COSTS`, by requests that were not the first of their kind."""
    with listening(engine, database_url, request) as listener:
        return servers.in_a_loop(lambda: _costs(database_url, listener))


async def _costs(database_url: str, listener: Listener) -> dict[str, list[str]]:
    app: Any = create_app(load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"}))
    await migrations.migrate(app.state.database)
    found: dict[str, list[str]] = {}
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:

            async def ask(
                name: str, status: int, method: str, path: str, *, times: int = 1, **options: Any
            ) -> httpx.Response:
                before = len(listener.heard())
                for _ in range(times):
                    response = await client.request(method, path, **options)
                    assert response.status_code == status, response.text
                found[name] = _asked_for(listener.heard(), before)
                return response

            for turn in ("first", "second"):
                student = await ask("create", 201, "POST", "/students", json=ANANYA)
                path = student.headers["location"]
                key = {"Idempotency-Key": turn}
                await ask("create under a key", 201, "POST", "/students", json=ANANYA, headers=key)
                await ask("create under a key again", 201, "POST", "/students", json=ANANYA, headers=key)
                await ask("batch of three", 201, "POST", "/students/batch", json=BATCH)
                await ask("get one", 200, "GET", path)
                await ask("get one that is not there", 404, "GET", "/students/999999")
                has = {"If-None-Match": student.headers["etag"]}
                await ask("get one that the client has", 304, "GET", path, headers=has)
                page = await ask("first page", 200, "GET", "/students?limit=2&sort=name")
                cursor = page.json()["next_cursor"]
                await ask("page after a cursor", 200, "GET", f"/students?limit=2&sort=name&cursor={cursor}")
                await ask("page with count", 200, "GET", "/students?count=true")
                await ask("statistics", 200, "GET", "/students/statistics")
                changed = await ask("put", 200, "PUT", path, json=SAMIR)
                unchanged = {"If-Match": changed.headers["etag"]}
                await ask("put if unchanged", 200, "PUT", path, json=ANANYA, headers=unchanged)
                await ask("patch", 200, "PATCH", path, json={"cgpa": 9.1})
                await ask("patch of nothing", 200, "PATCH", path, json={})
                token = await _noted_token(client, app.state.accounts, turn)
                took = FRESH_SECONDS
                while took >= FRESH_SECONDS:  # longer than the answer to whose a token is may be taken for true
                    await app.state.accounts.change(_nothing)
                    began = time.monotonic()
                    await ask("get one with a token, twice", 200, "GET", path, headers=token, times=2)
                    took = time.monotonic() - began
                await ask("delete", 204, "DELETE", path)
    finally:
        await app.state.accounts.close()
        await app.state.database.close()
    return found


async def _noted_token(client: httpx.AsyncClient, accounts: Accounts, username: str) -> Headers:
    """A user's token, once it is written down that it was used, which happens once a minute beside a request."""
    values = {"username": username, "password": await accounts.hash(PASSWORD), "role": "viewer", "is_active": True}
    await accounts.change(lambda users: users.create(values))
    answer = await client.post("/auth/token", json={"username": username, "password": PASSWORD})
    token = bearer(answer.json()["access_token"])
    while "last_used_at" not in (await client.get("/auth/tokens", headers=token)).json()["items"][0]:  # noqa: ASYNC110
        await asyncio.sleep(0)  # who answers without waiting for anything leaves no time for it
    return token


async def _nothing(users: UserService) -> None:
    """A change of accounts, after which the worker asks the database again whose a token is."""


def _asked_for(heard: list[tuple[object, str]], start: int) -> list[str]:
    """From there on, without what the server does for itself: it looks at the gate, on a connection of its own, and
    deletes old idempotency keys now and then.
    """
    looking = {who for who, statement in heard if "_gate" in statement}
    said = [brief(statement) for who, statement in heard[start:] if who not in looking]
    return [statement for statement in said if statement != "delete idempotency_keys"]


class TestStatements:
    @pytest.mark.parametrize("asked", COSTS)
    def test_are_as_few_as_these(self, engine: str, costs: dict[str, list[str]], asked: str) -> None:
        frames, statements = COSTS[asked]
        first, last = frames[engine]
        within = statements[engine] if isinstance(statements, dict) else statements
        assert costs[asked] == [*first, *within, *last]

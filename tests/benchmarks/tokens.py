"""What it costs a read to say who asks.

The same request to two applications in this process, one that asks nobody (DEBUG=true) and one that wants a token, in
turns; of many turns the fastest counts, since whatever else this machine does can only make one slower.
"""

import asyncio
import datetime as dt
import tempfile
import time
from typing import Any

import click
from litestar import Litestar

from apps.accounts import passwords
from apps.accounts.services import TokenService, UserService, new_secret
from apps.students.schemas import StudentCreate
from apps.students.services import StudentService
from project.asgi import create_app
from project.database import Database, migrations
from project.settings import load

TURNS = 500
REQUESTS = 20
PRODUCTION = {"DEBUG": "false", "SECRET_KEY": "of a benchmark", "ALLOWED_HOSTS": "127.0.0.1"}


@click.command()
@click.argument("url", metavar="[DATABASE_URL]", required=False)
def tokens(url: str | None) -> None:
    """Read one student with a token and without.

    On an SQLite file of its own, or on the empty database of that URL.
    """
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(url or f"sqlite:///{folder}/tokens.sqlite3"))


async def measure(url: str) -> None:
    opened = create_app(load({"DATABASE_URL": url, "LOG_LEVEL": "WARNING"}))
    asking = create_app(load({"DATABASE_URL": url, "LOG_LEVEL": "WARNING", **PRODUCTION}))
    database: Database = opened.state.database
    await migrations.migrate(database)
    student_id, secret = await furnish(database)
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {secret}".encode())]
    fastest = {"no token": float("inf"), "a token": float("inf")}
    for _ in range(TURNS):
        for name, app, given in (("no token", opened, headers[:1]), ("a token", asking, headers)):
            started = time.perf_counter()
            for _ in range(REQUESTS):
                await ask(app, f"/students/{student_id}", given)
            fastest[name] = min(fastest[name], (time.perf_counter() - started) / REQUESTS)
    for name, seconds in fastest.items():
        print(f"{name:>10} {seconds * 1e6:8.1f} us")
    print(f"{'more':>10} {(fastest['a token'] / fastest['no token'] - 1) * 100:8.1f} %")
    for app in (opened, asking):
        await app.state.accounts.close()
        await app.state.database.close()


async def furnish(database: Database) -> tuple[int, str]:
    """The id of a student, and a token."""
    secret = new_secret()

    async def work(users: UserService) -> None:
        issuer = users.repository.session.service(TokenService)
        name = f"reader{time.time_ns()}"
        values = {"username": name, "password": passwords.hashed(secret), "role": "viewer", "is_active": True}
        user = await users.create(values)
        await issuer.issue(user, secret, kind="api", name="x", role="viewer", lifetime=dt.timedelta(hours=1))

    async def create(students: StudentService) -> int:
        return (await students.create(StudentCreate("Ananya", "CSE", 8.9))).id

    await database.write(UserService, work)
    return await database.write(StudentService, create), secret


async def ask(app: Litestar, path: str, headers: list[tuple[bytes, bytes]]) -> None:
    scope: Any = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": headers,
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "state": {},
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200

    await app(scope, receive, send)


if __name__ == "__main__":
    tokens()

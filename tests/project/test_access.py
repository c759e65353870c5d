"""Who may call which route."""

import asyncio
import datetime as dt
import re
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from httpx import Response
from litestar import Controller, get
from litestar.exceptions import ImproperlyConfiguredException
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from apps.accounts.models import Token
from apps.accounts.services import digest_of
from project import registry
from project.access import needed
from project.asgi import create_app
from project.callers import ROLES
from project.database import Database
from project.settings import Settings, load
from tests.clients import Client, calling, empty, serving
from tests.people import PASSWORD, add_user
from tests.problems import refused
from tests.tokens import Headers, bearer, production, token_of
from tests.units import Desk

OPEN = None
NOBODYS_ID = "4611686018427387904"

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

LEAST_ROLE: dict[str, dict[str, str | None]] = {
    "/": {"GET": OPEN},
    "/admin": {"GET": OPEN, "POST": OPEN},
    "/admin/{rest}": {"GET": OPEN, "POST": OPEN},
    "/audit": {"GET": "admin"},
    "/auth/me": {"GET": "viewer"},
    "/auth/token": {"POST": OPEN},
    "/auth/tokens": {"GET": "viewer"},
    "/auth/tokens/{token_id}": {"DELETE": "viewer"},
    "/docs": {"GET": OPEN},
    "/favicon.ico": {"GET": OPEN},
    "/docs/assets/{name}": {"GET": OPEN},
    "/health/live": {"GET": OPEN},
    "/health/ready": {"GET": OPEN},
    "/metrics": {"GET": "viewer"},
    "/openapi.json": {"GET": OPEN},
    "/openapi.yaml": {"GET": OPEN},
    "/problems/{slug}": {"GET": OPEN},
    "/student": {"POST": "editor"},
    "/student/{student_id}": {"GET": "viewer", "PUT": "editor", "PATCH": "editor", "DELETE": "editor"},
    "/students": {"GET": "viewer", "POST": "editor"},
    "/students/batch": {"POST": "editor"},
    "/students/export": {"GET": "viewer"},
    "/students/import": {"POST": "editor"},
    "/students/statistics": {"GET": "viewer"},
    "/students/{student_id}": {"GET": "viewer", "PUT": "editor", "PATCH": "editor", "DELETE": "editor"},
}
"""Every route of the application, by hand: whoever adds one says here who may call it."""

NO_TOKEN, NO_GOOD, NOWHERE = "no token", "no good", "nowhere"


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return production(database_url)


def expire(client: Client, headers: Headers) -> None:
    """Before the service has seen the token."""
    digest = digest_of(headers["Authorization"].removeprefix("Bearer "))

    async def work(desk: Desk) -> None:
        past = sa.update(Token).where(Token.digest == digest).values(expires_at=Token.created_at)
        assert await desk.change(past) == 1

    database: Database = client.app.state.database
    client.blocking_portal.call(database.write, Desk, work)


def revoke(client: Client, headers: Headers) -> None:
    (token,) = client.get("/auth/tokens", headers=headers).json()["items"]
    assert client.delete(f"/auth/tokens/{token['id']}", headers=headers).status_code == 204


def callers(client: Client) -> dict[str, tuple[str, Headers]]:
    """Each kind of caller: the role that it counts as, and the headers that it sends."""
    for role in ROLES:
        add_user(client, role, role)
    add_user(client, "late")
    add_user(client, "gone")
    found: dict[str, tuple[str, Headers]] = {role: (role, token_of(client, role)) for role in ROLES}
    late, gone = token_of(client, "late"), token_of(client, "gone")
    expire(client, late)
    revoke(client, gone)
    return {
        **found,
        "a viewer's token of an admin": ("viewer", token_of(client, "admin", role="viewer")),
        "no token": (NO_TOKEN, {}),
        "an expired token": (NO_GOOD, late),
        "a revoked token": (NO_GOOD, gone),
        "a forged token": (NO_GOOD, bearer(f"registrar_{secrets.token_urlsafe(24)}")),
        "an empty token": (NO_GOOD, bearer("")),
    }


def filled(path: str) -> str:
    return re.sub(r"\{\w+_id\}", NOBODYS_ID, path).replace("{slug}", "not-found").replace("{name}", "favicon.svg")


class TestEveryRoute:
    def test_is_in_the_table_of_this_test(self, client: Client) -> None:
        served = {
            (route.path_format, method)
            for route in client.app.routes
            if isinstance(route, HTTPRoute)
            for method in route.methods
            if method in METHODS
        }
        assert served == {(path, method) for path, methods in LEAST_ROLE.items() for method in methods}
        assert len(client.app.routes) == len(LEAST_ROLE)

    def test_answers_each_caller_as_the_table_says(self, client: Client) -> None:
        for who, (rank, headers) in callers(client).items():
            for path, methods in LEAST_ROLE.items():
                if path.startswith("/admin"):
                    continue  # where nobody is anybody for a token
                for method in METHODS:
                    least = methods.get("GET" if method == "HEAD" else method, NOWHERE)
                    response = client.request(method, filled(path), headers=headers, follow_redirects=False)
                    told = f"{method} {path} for {who}: {response.status_code} {response.text}"
                    if least == NOWHERE:
                        assert response.status_code == 405, told
                    elif least is OPEN or (rank in ROLES and ROLES.index(rank) >= ROLES.index(least)):
                        assert response.status_code not in (401, 403), told
                    elif rank in ROLES:
                        assert response.status_code == 403, told
                        assert f'error="insufficient_scope", scope="{least}"' in response.headers["www-authenticate"]
                    else:
                        assert response.status_code == 401, told
                        error = ', error="invalid_token"' if rank == NO_GOOD else ""
                        assert response.headers["www-authenticate"] == f'Bearer realm="registrar"{error}'
                assert client.request("OPTIONS", filled(path), headers=headers).status_code == 204

    def test_is_described_as_the_table_says(self, client: Client) -> None:
        for path, item in client.get("/openapi.json").json()["paths"].items():
            for method, operation in item.items():
                least = LEAST_ROLE[path][method.upper()]
                assert operation["security"] == ([] if least is OPEN else [{"token": []}])
                assert operation.get("x-least-role") == least
                assert ("401" in operation["responses"]) is (least is not OPEN or path == "/auth/token")
                assert ("403" in operation["responses"]) is (least in ("editor", "admin"))

    def test_of_the_admin_site_takes_no_token(self, client: Client) -> None:
        add_user(client, "ananya")
        for headers in ({}, token_of(client, "ananya")):
            for path in ("/admin", "/admin/", "/admin/students", "/admin/users/1/edit"):
                response = client.get(path, headers=headers, follow_redirects=False)
                assert response.status_code == 303, path
                assert response.headers["location"].startswith("/admin/login"), path


class TestToken:
    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_is_taken_however_its_scheme_is_written(self, client: Client, scheme: str) -> None:
        add_user(client, "ananya")
        token = token_of(client, "ananya")["Authorization"].partition(" ")[2]
        assert client.get("/auth/me", headers={"Authorization": f"{scheme} {token}"}).status_code == 200

    def test_is_no_other_scheme(self, client: Client) -> None:
        add_user(client, "ananya")
        token = token_of(client, "ananya")["Authorization"].partition(" ")[2]
        for sent in (f"Basic {token}", token, "Bearer"):
            refused(client.get("/auth/me", headers={"Authorization": sent}), 401, "unauthenticated")

    def test_is_sent_once(self, database_url: str) -> None:
        async def send_two() -> Response:
            async with calling(database_url) as caller:
                return await caller.get("/students", headers=[("Authorization", f"Bearer {each}") for each in "ab"])

        refused(asyncio.run(send_two()), 400, "malformed")

    def test_is_not_taken_from_the_query_or_a_cookie(self, client: Client) -> None:
        add_user(client, "ananya")
        token = token_of(client, "ananya")["Authorization"].partition(" ")[2]
        refused(client.get("/students", params={"access_token": token}), 401, "unauthenticated")
        refused(client.get("/students", headers={"Cookie": f"token={token}"}), 401, "unauthenticated")

    def test_of_a_session_is_none(self, client: Client) -> None:
        """What a browser holds does not work for programs, nor the other way round."""
        add_user(client, "ananya")
        accounts = client.app.state.accounts

        async def enter() -> str:
            kept = {"kind": "session", "name": "browser", "lifetime": dt.timedelta(hours=1)}
            return str((await accounts.sign_in("ananya", PASSWORD, None, **kept)).secret)

        secret = client.blocking_portal.call(enter)
        refused(client.get("/auth/me", headers=bearer(secret)), 401, "unauthenticated")
        sent = token_of(client, "ananya")["Authorization"].partition(" ")[2]
        assert client.blocking_portal.call(accounts.identify, secret, "session").username == "ananya"
        assert client.blocking_portal.call(accounts.identify, sent, "session") is None

    def test_decides_what_caches_may_keep(self, client: Client) -> None:
        add_user(client, "ananya")
        response = client.get("/students", headers=token_of(client, "ananya"))
        assert response.headers["cache-control"] == "private, no-cache"
        assert response.headers["vary"] == "Authorization"
        assert client.get("/students").headers["cache-control"] == "no-store"

    def test_comes_before_everything_else_that_is_wrong(self, client: Client) -> None:
        """Strangers learn nothing of what there is, nor what is taken."""
        refused(client.get("/students/1"), 401, "unauthenticated")
        refused(client.get("/students?nonsense=1"), 401, "unauthenticated")
        refused(client.post("/students", content=b"{" * 2_000_000), 401, "unauthenticated")


class TestIdempotencyKey:
    def test_is_each_users_own(self, client: Client) -> None:
        add_user(client, "ananya", "editor")
        add_user(client, "bilal", "editor")
        ananya, other_of_ananya, bilal = (token_of(client, name) for name in ("ananya", "ananya", "bilal"))
        key = {"Idempotency-Key": "the same"}

        def create(name: str, headers: Headers) -> Any:
            body = {"name": name, "department": "CSE", "cgpa": 8.9}
            return client.post("/students", json=body, headers={**headers, **key})

        first = create("Ananya", ananya)
        assert create("Bilal", bilal).json()["name"] == "Bilal"
        again = create("Ananya", other_of_ananya)
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"
        refused(create("Chen", ananya), 422, "key-reused")


class TestDebug:
    def test_lets_in_whoever_says_nothing(self, database_url: str) -> None:
        with serving(load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"})) as client:
            assert client.get("/students").status_code == 200
            assert client.get("/audit").status_code == 200
            refused(client.get("/auth/me"), 401, "unauthenticated")

    def test_believes_whoever_says_who_they_are(self, database_url: str) -> None:
        with serving(load({"DATABASE_URL": database_url, "LOG_LEVEL": "WARNING"})) as client:
            empty(client)
            add_user(client, "ananya", "viewer")
            ananya = token_of(client, "ananya")
            assert client.get("/students", headers=ananya).status_code == 200
            refused(client.delete("/students/1", headers=ananya), 403, "forbidden")
            refused(client.get("/students", headers=bearer("forged")), 401, "unauthenticated")


class TestRouteOfAnotherApp:
    def test_lets_viewers_read_and_editors_write(self) -> None:
        assert needed("/courses", "GET") == needed("/courses/{course_id}", "HEAD") == "viewer"
        assert {needed("/courses/{course_id}", method) for method in ("POST", "PUT", "PATCH", "DELETE")} == {"editor"}
        assert needed("/authors", "GET") == "viewer"
        assert needed("/docsets", "DELETE") == "editor"

    def test_is_not_served_without_the_check(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Careless(Controller):
            path = "/careless"

            @get(before_request=lambda request: None)
            async def everything(self) -> None: ...

        monkeypatch.setattr(registry, "controllers", lambda apps: [Careless])
        with pytest.raises(ImproperlyConfiguredException, match="/careless would let everybody in"):
            create_app(load({}))


class TestApplicationWithoutAccounts:
    def test_lets_nobody_in(self, new_database: Callable[[str], str]) -> None:
        settings = msgspec.structs.replace(production(new_database("sqlite")), installed_apps=("students",))
        with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
            assert client.get("/health/live").status_code == 200
            refused(client.get("/students"), 401, "unauthenticated")
            refused(client.get("/students", headers=bearer("registrar_x")), 401, "unauthenticated")

"""Tokens over HTTP."""

import asyncio
import datetime as dt

import pytest
from argon2 import PasswordHasher

from apps.accounts.guards import Accounts
from apps.accounts.models import User
from apps.accounts.services import MOST_TOKENS, PREFIX, UserService, digest_of
from project.callers import ROLES
from project.database import Database
from project.database.errors import Conflict
from project.settings import Settings
from tests.clients import Client
from tests.people import PASSWORD, add_tokens, add_user, change_user
from tests.problems import refused
from tests.processes import until
from tests.tokens import bearer, production, sign_in, token_of

NOBODYS_ID = 2**62


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return production(database_url)


class TestCreateToken:
    def test_gives_a_token_that_works(self, client: Client) -> None:
        user_id = add_user(client, "ananya", "editor")
        response = sign_in(client, "ananya")
        assert response.status_code == 201
        assert response.headers["cache-control"] == "no-store"
        token = response.json()
        assert list(token) == ["access_token", "token_type", "id", "name", "role", "expires_at"]
        assert token["token_type"] == "Bearer"
        assert (token["name"], token["role"]) == ("token", "editor")
        assert token["access_token"].startswith(PREFIX)
        assert len(token["access_token"]) == len(PREFIX) + 32
        left = dt.datetime.fromisoformat(token["expires_at"]) - dt.datetime.now(dt.UTC)
        assert dt.timedelta(days=29) < left <= dt.timedelta(days=30)
        me = client.get("/auth/me", headers=bearer(token["access_token"]))
        assert me.json() == {"id": user_id, "username": "ananya", "role": "editor", "token_id": token["id"]}

    def test_gives_another_one_each_time(self, client: Client) -> None:
        add_user(client, "ananya")
        assert len({sign_in(client, "ananya").json()["access_token"] for _ in range(3)}) == 3

    def test_takes_a_name_a_role_and_a_lifetime(self, client: Client) -> None:
        add_user(client, "ananya", "admin")
        token = sign_in(client, "ananya", name="nightly export", role="viewer", expires_in=3600).json()
        assert (token["name"], token["role"]) == ("nightly export", "viewer")
        left = dt.datetime.fromisoformat(token["expires_at"]) - dt.datetime.now(dt.UTC)
        assert dt.timedelta(minutes=50) < left <= dt.timedelta(hours=1)
        headers = bearer(token["access_token"])
        assert client.get("/auth/me", headers=headers).json()["role"] == "viewer"
        refused(client.get("/audit", headers=headers), 403, "forbidden")

    @pytest.mark.parametrize("role", ["editor", "admin"])
    def test_gives_no_more_than_the_user_has(self, client: Client, role: str) -> None:
        add_user(client, "ananya", "viewer")
        named = refused(sign_in(client, "ananya", role=role), 422, "invalid-body")
        assert named == {"/role": "must be at most viewer, the user's own"}
        assert client.get("/auth/tokens", headers=token_of(client, "ananya")).json()["items"][1:] == []

    def test_says_the_same_of_all_that_is_wrong(self, client: Client) -> None:
        """Nobody learns who has an account."""
        add_user(client, "ananya")
        close(client, add_user(client, "closed"))
        answers = [
            sign_in(client, "ananya", "wrong"),
            sign_in(client, "nobody"),
            sign_in(client, "closed"),
            sign_in(client, "né"),
            sign_in(client, "ananya", PASSWORD.upper()),
            sign_in(client, "ananya", f"{PASSWORD} "),
            sign_in(client, "x" * 150, "y" * 1024),
        ]
        for answer in answers:
            refused(answer, 401, "unauthenticated")
            assert answer.headers["www-authenticate"] == 'Bearer realm="registrar"'
            assert answer.content == answers[0].content

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"password": "x"}, "/username"),
            ({"username": "ananya"}, "/password"),
            ({"username": "", "password": "x"}, "/username"),
            ({"username": "ananya", "password": ""}, "/password"),
            ({"username": "ananya", "password": "x" * 1025}, "/password"),
            ({"username": "ananya", "password": "x", "expires_in": 59}, "/expires_in"),
            ({"username": "ananya", "password": "x", "expires_in": 10**9}, "/expires_in"),
            ({"username": "ananya", "password": "x", "role": "owner"}, "/role"),
            ({"username": "ananya", "password": "x", "name": "a\nb"}, "/name"),
            ({"username": "ananya", "password": "x", "scope": "all"}, "/scope"),
        ],
    )
    def test_names_what_it_does_not_take(self, client: Client, body: dict[str, object], pointer: str) -> None:
        named = refused(client.post("/auth/token", json=body), 422, "invalid-body")
        assert list(named) == [pointer]

    def test_takes_a_password_however_it_is_typed(self, client: Client) -> None:
        """Unicode has several ways to write the same."""
        add_user(client, "ananya", password="Straße ﬁrst café")
        assert sign_in(client, "ananya", "Straße first cafe\u0301").status_code == 201

    def test_renews_what_is_kept_of_a_password_when_its_parameters_are_old(self, client: Client) -> None:
        user_id = add_user(client, "ananya")
        old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
        change_user(client, user_id, password=old)
        assert sign_in(client, "ananya").status_code == 201
        kept = look(client, user_id).password
        assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert sign_in(client, "ananya").status_code == 201

    def test_leaves_a_user_no_more_than_a_hundred(self, client: Client) -> None:
        user_id = add_user(client, "ananya")
        add_tokens(client, user_id, MOST_TOKENS)
        refused(sign_in(client, "ananya"), 409, "conflict")


class TestListTokens:
    def test_has_ones_own_without_their_secrets(self, client: Client) -> None:
        add_user(client, "ananya", "editor")
        add_user(client, "bilal", "viewer")
        token_of(client, "bilal")
        first = sign_in(client, "ananya", name="first").json()
        second = sign_in(client, "ananya", name="second", role="viewer").json()
        headers = bearer(first["access_token"])
        listed = client.get("/auth/tokens", headers=headers)
        assert [token["name"] for token in listed.json()["items"]] == ["first", "second"]
        assert [token["role"] for token in listed.json()["items"]] == ["editor", "viewer"]
        assert [token["expires_at"] for token in listed.json()["items"]] == [first["expires_at"], second["expires_at"]]
        for token in (first, second):
            assert token["access_token"] not in listed.text
            assert digest_of(token["access_token"]) not in listed.text

    def test_tells_when_each_was_used(self, client: Client) -> None:
        add_user(client, "ananya")
        used, unused = token_of(client, "ananya"), token_of(client, "ananya")
        assert unused != used

        def uses() -> list[object]:
            items = client.get("/auth/tokens", headers=used).json()["items"]
            return [token.get("last_used_at") for token in items]

        until(lambda: uses()[0], "the use of a token to be noted")
        noted = uses()
        assert noted[1] is None
        assert [uses() for _ in range(5)] == [noted] * 5


class TestRevokeToken:
    def test_ends_it_at_once(self, client: Client) -> None:
        add_user(client, "ananya")
        one, other = token_of(client, "ananya"), token_of(client, "ananya")
        for _ in range(3):
            assert client.get("/auth/me", headers=one).status_code == 200
        token_id = client.get("/auth/me", headers=one).json()["token_id"]
        assert client.delete(f"/auth/tokens/{token_id}", headers=other).status_code == 204
        refused(client.get("/auth/me", headers=one), 401, "unauthenticated")
        assert client.get("/auth/me", headers=other).status_code == 200
        refused(client.delete(f"/auth/tokens/{token_id}", headers=other), 404, "not-found")

    def test_can_be_done_with_itself(self, client: Client) -> None:
        add_user(client, "ananya")
        own = token_of(client, "ananya")
        token_id = client.get("/auth/me", headers=own).json()["token_id"]
        assert client.delete(f"/auth/tokens/{token_id}", headers=own).status_code == 204
        refused(client.get("/auth/me", headers=own), 401, "unauthenticated")

    def test_knows_nothing_of_those_of_others(self, client: Client) -> None:
        for name in ("ananya", "bilal"):
            add_user(client, name)
        ananya, bilal = token_of(client, "ananya"), token_of(client, "bilal")
        token_id = client.get("/auth/me", headers=ananya).json()["token_id"]
        others = client.delete(f"/auth/tokens/{token_id}", headers=bilal)
        nobodys = client.delete(f"/auth/tokens/{NOBODYS_ID}", headers=bilal)
        for answer, named in ((others, token_id), (nobodys, NOBODYS_ID)):
            refused(answer, 404, "not-found")
            assert answer.json()["detail"] == f"There is no token {named}."
        assert client.get("/auth/me", headers=ananya).status_code == 200


class TestChange:
    """What is done to a user holds at once for the tokens."""

    def test_of_a_role_changes_what_tokens_may_do(self, client: Client) -> None:
        user_id = add_user(client, "ananya", "editor")
        add_user(client, "boss")
        headers = token_of(client, "ananya")
        for role in ("viewer", "admin", "editor"):
            change_user(client, user_id, role=role)
            # A token never gets more than it was made for.
            expected = min(role, "editor", key=ROLES.index)
            assert client.get("/auth/me", headers=headers).json()["role"] == expected

    @pytest.mark.parametrize("changes", [{"password": "kept"}, {"is_active": False}])
    def test_of_a_password_or_a_closed_account_ends_tokens_and_sessions(
        self, client: Client, changes: dict[str, object]
    ) -> None:
        user_id = add_user(client, "ananya", "viewer")
        add_user(client, "bilal", "viewer")
        ananya, bilal = token_of(client, "ananya"), token_of(client, "bilal")
        session = enter(client, "ananya")
        accounts = client.app.state.accounts
        assert client.get("/auth/me", headers=ananya).status_code == 200
        assert client.blocking_portal.call(accounts.identify, session, "session") is not None
        change_user(client, user_id, **changes)
        refused(client.get("/auth/me", headers=ananya), 401, "unauthenticated")
        assert client.blocking_portal.call(accounts.identify, session, "session") is None
        assert client.get("/auth/me", headers=bilal).status_code == 200

    def test_to_an_account_that_is_opened_again_brings_no_token_back(self, client: Client) -> None:
        user_id = add_user(client, "ananya", "viewer")
        headers = token_of(client, "ananya")
        change_user(client, user_id, is_active=False)
        refused(sign_in(client, "ananya"), 401, "unauthenticated")
        change_user(client, user_id, is_active=True)
        refused(client.get("/auth/me", headers=headers), 401, "unauthenticated")
        assert sign_in(client, "ananya").status_code == 201

    def test_leaves_an_admin(self, client: Client) -> None:
        user_id = add_user(client, "ananya")
        for changes in ({"role": "editor"}, {"is_active": False}):
            with pytest.raises(Conflict, match="the last admin"):
                change_user(client, user_id, **changes)
        with pytest.raises(Conflict, match="the last admin"):
            client.blocking_portal.call(client.app.state.accounts.change, lambda users: users.delete(user_id))
        add_user(client, "bilal")
        change_user(client, user_id, role="editor")

    def test_by_two_admins_at_once_leaves_one(self, client: Client) -> None:
        ids = [add_user(client, name) for name in ("ananya", "bilal")]
        accounts: Accounts = client.app.state.accounts

        async def demote_all() -> list[object]:
            async def demote(user_id: int) -> object:
                return await accounts.change(lambda users: users.update({"role": "viewer"}, user_id))

            return await asyncio.gather(*map(demote, ids), return_exceptions=True)

        outcomes = client.blocking_portal.call(demote_all)
        assert sorted(isinstance(outcome, Conflict) for outcome in outcomes) == [False, True]

    def test_to_nobody_leaves_no_token(self, client: Client) -> None:
        user_id = add_user(client, "ananya", "viewer")
        headers = token_of(client, "ananya")
        client.blocking_portal.call(client.app.state.accounts.change, lambda users: users.delete(user_id))
        refused(client.get("/auth/me", headers=headers), 401, "unauthenticated")


def close(client: Client, user_id: int) -> None:
    add_user(client, "boss")
    change_user(client, user_id, is_active=False)


def look(client: Client, user_id: int) -> User:
    database: Database = client.app.state.database
    user: User = client.blocking_portal.call(database.read, UserService, lambda users: users.get(user_id))
    return user


def enter(client: Client, username: str) -> str:
    """The secret of a session of the admin site."""
    accounts: Accounts = client.app.state.accounts

    async def work() -> str:
        lifetime = dt.timedelta(hours=1)
        return (await accounts.sign_in(username, PASSWORD, None, kind="session", name="x", lifetime=lifetime)).secret

    return client.blocking_portal.call(work)

"""Tokens of users, as clients get and send them."""

from typing import Any

import httpx

from project.settings import Settings, load
from tests.people import PASSWORD

Headers = dict[str, str]


PRODUCTION: dict[str, Any] = {
    "DEBUG": "false",
    "SECRET_KEY": "kept for tests, and long enough for them",
    "ALLOWED_HOSTS": "127.0.0.1",
    "LOG_LEVEL": "WARNING",
}


def production(database_url: str, **variables: str) -> Settings:
    """Settings with which everybody is asked who they are."""
    return load({"DATABASE_URL": database_url, **PRODUCTION, **variables})


def sign_in(client: httpx.Client, username: str, password: str = PASSWORD, **options: Any) -> httpx.Response:
    return client.post("/auth/token", json={"username": username, "password": password, **options})


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def token_of(client: httpx.Client, username: str, **options: Any) -> Headers:
    """The header of requests that this user makes."""
    response = sign_in(client, username, **options)
    assert response.status_code == 201, response.text
    return bearer(response.json()["access_token"])

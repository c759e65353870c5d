"""Users of the service, and the admin site as they see it without a browser."""

import datetime as dt
import re
from collections.abc import Mapping
from html import unescape
from html.parser import HTMLParser
from typing import Any

from httpx import Response
from litestar import Litestar
from litestar.testing import TestClient

from apps.accounts.services import TokenService, UserService, new_secret
from project.callers import Role
from tests.commands import managed

PASSWORD = "correct horse battery"


def add_user(client: TestClient[Litestar], username: str, role: Role = "admin", password: str = PASSWORD) -> int:
    """The id of a new user of the service behind the client."""
    accounts = client.app.state.accounts

    async def add() -> int:
        values = {"username": username, "password": await accounts.hash(password), "role": role, "is_active": True}

        async def work(users: UserService) -> int:
            return (await users.create(values)).id

        created: int = await accounts.change(work)
        return created

    return client.blocking_portal.call(add)


def change_user(client: TestClient[Litestar], user_id: int, **changes: object) -> None:
    """As the admin site does it."""
    client.blocking_portal.call(client.app.state.accounts.change, lambda users: users.update(changes, user_id))


def add_tokens(
    client: TestClient[Litestar], user_id: int, count: int, *, kind: str = "api", role: Role = "viewer"
) -> None:
    """As many more of that kind: tokens, or sessions in other browsers."""

    async def work(tokens: TokenService) -> None:
        user = await tokens.repository.session.service(UserService).get(user_id)
        for _ in range(count):
            await tokens.issue(user, new_secret(), kind=kind, name="x", role=role, lifetime=dt.timedelta(hours=1))

    client.blocking_portal.call(client.app.state.database.write, TokenService, work)


def create_user(database_url: str, username: str, **environment: str) -> None:
    """A new admin, where there is no service to ask."""
    arguments = ("createsuperuser", "--noinput", f"--username={username}")
    managed(database_url, *arguments, **{**environment, "SUPERUSER_PASSWORD": PASSWORD})


class Form(HTMLParser):
    """The fields of a page's form, and what stands in them."""

    def __init__(self, page: str, name: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._name = name
        self._inside = False
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        match tag:
            case "form":
                self._inside = found.get("id") == self._name
            case "input" if (
                self._inside and found.get("name") and (found.get("type") != "checkbox" or "checked" in found)
            ):
                self.values[str(found["name"])] = found.get("value") or ""
            case "select" if self._inside:
                self._select = str(found["name"])
            case "option" if self._inside and "selected" in found:
                self.values[self._select] = found.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Person:
    """Somebody at the admin site, with cookies of their own."""

    def __init__(self, client: TestClient[Litestar]) -> None:
        self._client = client
        self.cookie = ""
        self._token = ""

    def get(self, path: str, **headers: str) -> Response:
        return self._request("GET", path, headers=headers)

    def post(self, path: str, fields: Mapping[str, Any] | None = None, **options: Any) -> Response:
        """As a form of the site does it, with the token that it has."""
        return self._request("POST", path, data={"_csrf": self._token, **(fields or {})}, **options)

    def sign_in(self, username: str, password: str = PASSWORD) -> Response:
        self.get("/admin/login")
        response = self.post("/admin/login", {"username": username, "password": password})
        if response.status_code == 303:
            self.get("/admin/")
        return response

    def edit(self, path: str, **fields: Any) -> Response:
        """Fill in the form for a record, and send it."""
        return self.post(path, {**Form(self.get(path).text, "record-form").values, **fields})

    def run(self, view: str, action: str, *keys: int, query: str = "", **fields: Any) -> Response:
        """An action on some records, or without keys on all that the list with that query has."""
        chosen = {"keys": [str(key) for key in keys]} if keys else {"everything": "1"}
        return self.post(f"/admin/{view}/action/{action}{query}", {**chosen, **fields})

    def said(self) -> str:
        """What the site told in answer to the last form, once."""
        return text(self.get("/admin/").text)

    def _request(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        self._client.cookies.clear()
        given = {"cookie": self.cookie} if self.cookie else {}
        response = self._client.request(
            method, path, headers={**given, **(headers or {})}, follow_redirects=False, **options
        )
        if "set-cookie" in response.headers:
            self.cookie = response.headers["set-cookie"].partition(";")[0]
        if token := re.search(r'name="_csrf" value="([^"]+)"', response.text):
            self._token = token[1]
        return response


def text(page: str) -> str:
    """What a page says, without its scripts and tags."""
    bare = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", page)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", bare)))


def errors(page: str) -> dict[str, str]:
    """By field, what a form says is wrong with it."""
    return {
        field: text(message).strip()
        for field, message in re.findall(r'(?s)id="field-([\w-]+)-note">(.*?)</p>', page)
        if "text-error" in message or "<svg" in message
    }

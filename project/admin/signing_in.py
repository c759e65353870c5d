"""Who may use the admin site: the service's users, by the role that they have at that moment."""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from adminsite import Grants, Permission, RefusedError
from adminsite.auth import AuthProvider
from starlette.requests import Request

from project import callers, logs
from project.callers import ROLES, Identity, Role
from project.problems import InvalidBody, Problem
from project.proxies import shortest

if TYPE_CHECKING:
    from project.admin.views import RecordView

T = TypeVar("T")

KEY = "session"
"""Under which the cookie has the secret of the session."""

LIFETIME = dt.timedelta(hours=12)
"""Of a session: a day's work, and no night."""

READS = (Permission.VIEW, Permission.VIEW_DETAIL, Permission.EXPORT)
WRITES = (Permission.CREATE, Permission.EDIT, Permission.DELETE, Permission.IMPORT)
AUDITS: Role = "admin"
"""Who reads the audit trail."""


class Opened(Protocol):
    """A session that was opened."""

    @property
    def secret(self) -> str: ...


class Accounts(Protocol):
    """Opens sessions, and knows them again in every worker and on every machine."""

    async def sign_in(
        self,
        username: str,
        password: str,
        address: str | None,
        *,
        kind: Literal["session"],
        name: str,
        lifetime: dt.timedelta,
    ) -> Opened:
        """Raises Problem with what to tell the person."""
        ...

    async def identify(self, secret: str, kind: str) -> Identity | None:
        """None once the session has expired or was ended, with the password, or with the account."""
        ...

    async def revoke_secret(self, secret: str) -> None: ...

    async def hash(self, password: str, username: str) -> str:
        """As a new password is kept. Raises InvalidBody for one that is not good enough."""
        ...

    async def change(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """`Database.write` with a service of users; sessions that it ends, end at once."""
        ...


class Person:
    """Who is signed in, as the library shows them."""

    def __init__(self, identity: Identity) -> None:
        self.number = identity.user_id
        self.name = identity.username
        self.role: Role = identity.role

    def __str__(self) -> str:
        return self.name


class SignIn(AuthProvider):
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._grants: dict[Role, Grants] = {}

    def know(self, views: "Iterable[RecordView[Any]]") -> None:
        """The views that there is something to do with."""
        self._grants = {role: Grants(_permissions(views, role)) for role in ROLES}

    async def sign_in(self, request: Request, username: str, password: str) -> Person | None:
        try:
            secret = await self._open(request, username, password)
        except Problem as problem:
            request.state.problem = problem
            return None
        replaced = request.session.get(KEY)
        request.session.clear()
        request.session[KEY] = secret
        if replaced:
            await self._accounts.revoke_secret(replaced)
        return await self.current_user(request)

    async def _open(self, request: Request, username: str, password: str) -> str:
        opened = await self._accounts.sign_in(
            username, password, _address(request), kind="session", name="Admin site", lifetime=LIFETIME
        )
        return opened.secret

    async def change_password(self, request: Request, current: str, new: str) -> None:
        """Ends all sessions and tokens of the user, and opens another session for this one."""
        person: Person = request.state.user
        try:
            hashed = await self._accounts.hash(new, person.name)
        except InvalidBody as problem:
            raise RefusedError(sentence(problem.errors[0].detail), field="new") from problem
        try:
            await self._open(request, person.name, current)  # which counts guesses, and is ended with all others
        except Problem as problem:
            raise RefusedError(problem.detail, field="current") from problem
        await self._accounts.change(lambda users: users.update({"password": hashed}, person.number))
        request.session[KEY] = await self._open(request, person.name, new)

    async def sign_in_failed(self, request: Request, username: str) -> str:
        problem: Problem = request.state.problem
        return problem.detail

    async def current_user(self, request: Request) -> Person | None:
        secret = request.session.get(KEY)
        identity = await self._accounts.identify(secret, "session") if secret else None
        if identity is None:
            return None
        callers.current.set(identity.caller("admin", _address(request), logs.request_id.get()))
        return Person(identity)

    def identity(self, user: Person) -> str:
        return str(user.number)

    async def grants_for(self, user: Person) -> Grants:
        return self._grants[user.role]

    async def sign_out(self, request: Request) -> None:
        secret = request.session.pop(KEY, None)
        request.session.clear()
        if secret:
            await self._accounts.revoke_secret(secret)


def sentence(detail: str) -> str:
    """The second half of an error that begins with the field's name, without the first."""
    return f"{detail[:1].upper()}{detail[1:]}."


def may(request: Request, role: Role) -> bool:
    """Whether the person who asks has that role, or one that includes it."""
    person: Person = request.state.user
    return ROLES.index(person.role) >= ROLES.index(role)


def _permissions(views: "Iterable[RecordView[Any]]", role: Role) -> Mapping[str, set[str]]:
    def reaches(other: Role) -> bool:
        return ROLES.index(role) >= ROLES.index(other)

    return {
        view.name: {
            *(READS if reaches(view.reads) else ()),
            *(WRITES if reaches(view.writes) else ()),
            *((Permission.HISTORY,) if reaches(AUDITS) else ()),
        }
        for view in views
    }


def _address(request: Request) -> str | None:
    return shortest(request.client.host) if request.client else None

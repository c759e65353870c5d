"""Who may do what: one table for all routes, and the check that every request passes before its handler is called."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from litestar import Request

from project import callers, logs
from project.callers import Caller, Identity, Role
from project.fields import Fields
from project.problems import Forbidden, Malformed, Unauthenticated
from project.proxies import shortest
from project.settings import Settings
from project.throttling import Limit, network

ANYBODY = None
"""No token is asked for, and none is looked at."""


class Needs(NamedTuple):
    """The least role that may read, and the least that may do anything else."""

    reads: Role | None
    others: Role | None


OPEN = Needs(ANYBODY, ANYBODY)

TABLE: Mapping[str, Needs] = {
    "/": OPEN,
    "/admin": OPEN,  # signs people in by itself, and asks for their roles page by page
    "/audit": Needs("admin", "admin"),
    "/auth": Needs("viewer", "viewer"),  # one's own account
    "/auth/token": OPEN,  # is where tokens come from
    "/docs": OPEN,
    "/favicon.ico": OPEN,
    "/health": OPEN,
    "/metrics": Needs("viewer", "admin"),
    "/openapi.json": OPEN,
    "/openapi.yaml": OPEN,
    "/problems": OPEN,
}
"""By path. A row holds for all that is below it, as far as no longer one does; that of `/` for itself alone."""

APPS = Needs("viewer", "editor")
"""Of every path that the table does not have."""

REALM = 'Bearer realm="registrar"'


def needs(path: str) -> Needs:
    """What the route with that template needs."""
    while path and path not in TABLE:
        path = path.rpartition("/")[0]
    return TABLE[path] if path else APPS


def needed(path: str, method: str) -> Role | None:
    """The least role; None where no token is asked for. OPTIONS says what there is, and that is no secret."""
    if method == "OPTIONS":
        return ANYBODY
    found = needs(path)
    return found.reads if method in ("GET", "HEAD") else found.others


class Accounts(Protocol):
    """Knows whose a token is."""

    async def identify(self, secret: str, kind: str = "api") -> Identity | None:
        """None for a secret that does not hold, or no longer."""
        ...


class Access:
    """Lets requests in, and makes known who asks. With DEBUG whoever sends no token may do everything."""

    def __init__(self, settings: Settings, accounts: Accounts | None, limit: Limit | None) -> None:
        self._debug = settings.debug
        self._accounts = accounts
        self._limit = limit
        self._needed: dict[tuple[str, str], Role | None] = {}

    async def check(self, request: Request[Any, Any, Any]) -> None:
        """Raises Unauthenticated, Forbidden, Malformed or Throttled."""
        scope = request.scope
        route = (scope["path_template"], scope["method"])
        try:
            role = self._needed[route]
        except KeyError:
            role = self._needed[route] = needed(*route)
        client = scope["client"]
        address = None if client is None else shortest(client[0])
        if role is ANYBODY:
            callers.current.set(Caller(channel="api", role="viewer", address=address, request_id=logs.request_id.get()))
            return
        secret = _secret(Fields.of(scope))
        identity = None
        if secret and self._accounts is not None:
            identity = await self._accounts.identify(secret)
        if self._limit is not None:
            await self._limit.take(f"address {network(address)}" if identity is None else f"token {identity.token_id}")
        if identity is not None:
            caller = identity.caller("api", address, logs.request_id.get())
        elif secret is None and self._debug:
            caller = Caller(channel="api", role="admin", address=address, request_id=logs.request_id.get())
        else:
            raise unauthenticated(has_token=secret is not None)
        if not caller.may(role):
            raise Forbidden(
                f"This takes the role {role}, and the token has the role {caller.role}.",
                headers={"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{role}"'},
            )
        callers.current.set(caller)


def unauthenticated(detail: str = "", *, has_token: bool = False) -> Unauthenticated:
    """With the header that RFC 6750 asks for."""
    if not has_token:
        return Unauthenticated(detail, headers={"WWW-Authenticate": REALM})
    return Unauthenticated(
        detail or "The token was revoked, has expired, or never was one: `POST /auth/token` gives another.",
        headers={"WWW-Authenticate": f'{REALM}, error="invalid_token"'},
    )


def signed_in() -> tuple[int, Caller]:
    """Who asks and the user's id, where it must be a user. Raises Unauthenticated: with DEBUG it may be nobody."""
    caller = callers.current.get()
    if caller is None or caller.user_id is None:
        raise unauthenticated()
    return caller.user_id, caller


def _secret(fields: Fields) -> str | None:
    """The token of a request; None where none is sent."""
    found = fields.get(b"authorization")
    if found is None:
        return None
    if b"authorization" in fields.repeated:
        raise Malformed("The request has more than one Authorization header.")
    scheme, _, secret = found.decode("latin-1").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None

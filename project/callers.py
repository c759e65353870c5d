"""Who asks for something: a client with a token, a person at the admin site, or a command."""

from contextvars import ContextVar
from typing import Literal

import msgspec

Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "editor", "admin")
"""In order: each may do what those before it may."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Known from the moment that a request is let in, or a command starts, until it ends."""

    channel: Literal["api", "admin", "command"]
    role: Role
    user_id: int | None = None
    name: str = ""
    """The username; of a command, that of whoever runs it on this machine. Empty where nobody was asked."""
    token_id: int | None = None
    address: str | None = None
    """The client's, in its shortest form; None where there is none, as for a command."""
    request_id: str | None = None

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)

    @property
    def scope(self) -> str:
        """What sets this caller's requests apart from those of others: users are told apart, not their tokens."""
        return "" if self.user_id is None else str(self.user_id)


current: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Of this request or command. Units of work have it too, in whichever task they run; None where nobody asked."""

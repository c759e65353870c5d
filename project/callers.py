"""Who asks for something: a client with a token, a person at the admin site, or a command."""

import datetime as dt
import getpass
from contextvars import ContextVar
from typing import Literal

import msgspec

Channel = Literal["api", "admin", "command"]
Role = Literal["viewer", "editor", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "editor", "admin")
"""In order: each may do what those before it may."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Known from the moment that a request is let in, or a command starts, until it ends."""

    channel: Channel
    role: Role
    user_id: int | None = None
    name: str = ""
    """The username; of a command, that of whoever runs it on this machine. Empty where nobody was asked."""
    token_id: int | None = None
    address: str | None = None
    """The client's, in its shortest form; None where there is none, as for a command."""
    request_id: str | None = None
    """As in the log; of a command, its name."""

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class Identity(msgspec.Struct, frozen=True):
    """Whose a secret is, and what it lets them do."""

    user_id: int
    username: str
    role: Role
    token_id: int
    expires_at: dt.datetime

    def caller(self, channel: Channel, address: str | None, request_id: str | None) -> Caller:
        return Caller(
            channel=channel,
            role=self.role,
            user_id=self.user_id,
            name=self.username,
            token_id=self.token_id,
            address=address,
            request_id=request_id,
        )


current: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Of this request or command. Units of work have it too, in whichever task they run; None where nobody asked."""


def of_command(command: str) -> Caller:
    """Whoever runs a command may do everything: they can read the settings and the database."""
    return Caller(channel="command", role="admin", name=own_name(), request_id=command)


def own_name() -> str:
    """That of whoever runs this process on this machine, or nothing."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process without a user, as in some containers
        return ""

"""The tables of users and of their tokens."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, validates

from project.callers import ROLES, Role
from project.database.types import Text, Timestamp
from project.models import Record

_ROLES = ", ".join(f"'{role}'" for role in ROLES)


class User(Record):
    """Who may sign in. Usernames are kept in small letters, so that no two differ in case alone."""

    __tablename__ = "users"
    __table_args__: Any = (
        CheckConstraint(f"role IN ({_ROLES})", name="role"),
        # Each order in which the admin site lists them.
        Index(None, "role", "id"),
        Index(None, "created_at", "id"),
    )

    username: Mapped[str] = mapped_column(Text(150), unique=True)
    password: Mapped[str] = mapped_column(Text(255), info={"secret": True})
    """Argon2's own notation of the parameters, the salt and the hash."""
    role: Mapped[Role] = mapped_column(Text(10))
    is_active: Mapped[bool] = mapped_column(sa.Boolean())

    @validates("username")
    def _fold(self, key: str, username: str) -> str:
        return username.lower()


class Token(Record):
    """A secret with which its user is let in, until it expires; revoked, it is no longer here."""

    __tablename__ = "tokens"
    __table_args__: Any = (
        CheckConstraint(f"role IN ({_ROLES})", name="role"),
        CheckConstraint("kind IN ('api', 'session')", name="kind"),
        Index(None, "user_id", "id"),
    )

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(Text(10))
    """`api` for the header of a request, `session` for the admin site's cookie; neither works as the other."""
    name: Mapped[str] = mapped_column(Text(100))
    role: Mapped[Role] = mapped_column(Text(10))
    """The most that it may do; what its user may no longer do, it may not either."""
    digest: Mapped[str] = mapped_column(Text(64), unique=True, info={"secret": True})
    """SHA-256 of the secret, in hexadecimal: a random text needs no salt, and cannot be guessed from it."""
    expires_at: Mapped[dt.datetime] = mapped_column(Timestamp())
    last_used_at: Mapped[dt.datetime | None] = mapped_column(Timestamp(), info={"unaudited": True})

"""The rules of users and their tokens."""

import contextlib
import datetime as dt
import hashlib
import secrets
from typing import Any, NamedTuple

from advanced_alchemy.exceptions import NotFoundError
from msgspec import UNSET

from apps.accounts import schemas
from apps.accounts.models import Token, User
from apps.accounts.repositories import TokenRepository, UserRepository
from project.callers import ROLES, Identity, Role
from project.database.errors import Conflict
from project.services import Service
from project.times import timestamp_text

PREFIX = "registrar_"
"""By which those who look for secrets in the wrong places know one of ours."""
SECRET_BYTES = 24
MOST_TOKENS = 100
"""Of one user at a time, and as many sessions."""


class UserService(Service[User, UserRepository, schemas.User]):
    """Passwords come here hashed. Whoever writes does so through `guards.Accounts.change`."""

    repository_type = UserRepository
    schema = schemas.User

    async def named(self, username: str) -> User:
        """Raises NotFoundError."""
        user = await self.repository.named(username)
        if user is None:
            raise NotFoundError(f"There is no user {username}.")
        return user

    async def create(self, data: Any, **options: Any) -> User:
        """Raises Conflict where there is a user of that name."""
        user = User(**data)
        if await self.repository.named(user.username) is not None:
            raise Conflict(f"There is a user {user.username} already.")
        return await self.repository.add(user)

    async def update(self, data: Any, item_id: Any = None, **options: Any) -> User:
        """Another password, or none to sign in any more, ends what the user is signed in to.

        Raises Conflict where nobody would be left to look after users.
        """
        changes = dict(data)
        if changes.get("role", "admin") != "admin" or not changes.get("is_active", True):
            await self._keep_an_admin(item_id)
        user = await super().update(changes, item_id, **options)
        if "password" in changes or not user.is_active:
            await self._tokens.end_all(user.id)
        return user

    async def delete(self, item_id: Any, **options: Any) -> User:
        """Raises Conflict where nobody would be left to look after users."""
        await self._keep_an_admin(item_id)
        await self._tokens.end_all(item_id)
        return await super().delete(item_id, **options)

    async def _keep_an_admin(self, user_id: int) -> None:
        if await self.repository.lock_admins() == [user_id]:
            raise Conflict("This is the last admin: make somebody else one first.")

    @property
    def _tokens(self) -> "TokenService":
        return self.repository.session.service(TokenService)


class Holder(NamedTuple):
    """Whose a token is, and when it was used last, as far as anybody noted."""

    identity: Identity
    last_used_at: dt.datetime | None


class TokenService(Service[Token, TokenRepository, schemas.Token]):
    repository_type = TokenRepository
    schema = schemas.Token

    def view(self, instance: Token) -> schemas.Token:
        used = instance.last_used_at
        return schemas.Token(
            id=instance.id,
            name=instance.name,
            role=instance.role,
            created_at=timestamp_text(instance.created_at),
            expires_at=timestamp_text(instance.expires_at),
            last_used_at=UNSET if used is None else timestamp_text(used),
        )

    async def holder(self, digest: str, kind: str) -> Holder | None:
        """None for a token that there is not, or whose user may not sign in."""
        row = await self.repository.holder(digest, kind)
        if row is None:
            return None
        token_id, most, expires_at, last_used_at, user_id, username, role = row
        return Holder(Identity(user_id, username, lower(most, role), token_id, expires_at), last_used_at)

    async def issue(
        self, user: User, secret: str, *, kind: str, name: str, role: Role, lifetime: dt.timedelta
    ) -> Token:
        """Of sessions the oldest ends where there are too many. Raises Conflict for a user who has too many tokens."""
        moment = dt.datetime.now(dt.UTC)
        await self.repository.remove_expired(user.id, moment)
        others = await self.repository.of_user(user.id, kind)
        if kind == "session":
            for oldest in others[: max(0, len(others) + 1 - MOST_TOKENS)]:
                with contextlib.suppress(NotFoundError):  # it was ended at this moment
                    await self.repository.delete(oldest.id)
        elif len(others) >= MOST_TOKENS:
            raise Conflict(f"You have {MOST_TOKENS} tokens: revoke one that is no longer needed.")
        token = Token(
            user_id=user.id,
            kind=kind,
            name=name,
            role=role,
            digest=digest_of(secret),
            expires_at=moment + lifetime,
            last_used_at=None,
            created_at=moment,
        )
        return await self.repository.add(token)

    async def of_user(self, user_id: int) -> list[schemas.Token]:
        return [self.view(token) for token in await self.repository.of_user(user_id, "api")]

    async def revoke(self, token_id: int, user_id: int) -> None:
        """Raises NotFoundError, also where it is somebody else's."""
        token = await self.repository.get(token_id, with_for_update=True)
        if (token.user_id, token.kind) != (user_id, "api"):
            raise NotFoundError(f"There is no token {token_id}.")
        await self.repository.delete(token_id)

    async def revoke_secret(self, secret: str) -> None:
        """Does nothing where it is revoked already."""
        token = await self.repository.with_digest(digest_of(secret))
        if token is not None:
            await self.repository.delete(token.id)

    async def end_all(self, user_id: int) -> None:
        """The tokens of a user, and the sessions."""
        await self.repository.remove_of_user(user_id)


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def lower(role: Role, other: Role) -> Role:
    return min(role, other, key=ROLES.index)

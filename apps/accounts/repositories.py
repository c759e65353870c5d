"""How users and tokens are found."""

import datetime as dt
from collections.abc import Collection
from typing import Any, ClassVar

import sqlalchemy as sa

from apps.accounts.models import Token, User
from project.database.statements import Row, Statement
from project.database.types import Timestamp
from project.repositories import Repository


class UserRepository(Repository[User]):
    model_type = User
    filters: ClassVar[dict[str, Any]] = {
        "username": lambda model, value: model.username == value,
        "role": lambda model, value: model.role == value,
        "is_active": lambda model, value: model.is_active == value,
    }

    async def named(self, username: str) -> User | None:
        rows = await self.session.rows(_SELECT_NAMED, of_username=username.lower())
        return self._instance(rows[0]) if rows else None

    async def names(self, ids: Collection[int]) -> dict[int, str]:
        """The usernames of these users, by id."""
        select = sa.select(_users.c.id, _users.c.username).where(_users.c.id.in_(ids))
        return {row[0]: row[1] for row in await self.session.rows(Statement(select))}

    async def lock_admins(self) -> list[int]:
        """The ids of those admins who may sign in. They stay what they are until the unit of work ends."""
        return [row[0] for row in await self.session.rows(_SELECT_ADMINS)]


class TokenRepository(Repository[Token]):
    model_type = Token

    async def holder(self, digest: str, kind: str) -> Row | None:
        """Of the token with that digest: id, role, expiry, last use; of its user, if active: id, username, role."""
        rows = await self.session.rows(_SELECT_HOLDER, of_digest=digest, of_kind=kind)
        return rows[0] if rows else None

    async def of_user(self, user_id: int, kind: str) -> list[Token]:
        rows = await self.session.rows(_SELECT_OF_USER, of_user=user_id, of_kind=kind)
        return [self._instance(row) for row in rows]

    async def with_digest(self, digest: str) -> Token | None:
        rows = await self.session.rows(_SELECT_DIGEST, of_digest=digest)
        return self._instance(rows[0]) if rows else None

    async def remove_of_user(self, user_id: int) -> None:
        await self.session.run(_DELETE_OF_USER, of_user=user_id)

    async def remove_expired(self, user_id: int, moment: dt.datetime) -> None:
        await self.session.run(_DELETE_EXPIRED, of_user=user_id, moment=moment)

    async def touch(self, token_id: int, moment: dt.datetime, before: dt.datetime) -> None:
        """Note that it was used, unless somebody noted a use since `before`."""
        await self.session.run(_TOUCH, of_id=token_id, moment=moment, before=before)


_users: Any = User.__table__
_tokens: Any = Token.__table__
_of_user = _tokens.c.user_id == sa.bindparam("of_user")
_is_of_kind = _tokens.c.kind == sa.bindparam("of_kind")
_has_digest = _tokens.c.digest == sa.bindparam("of_digest")
_moment, _before = (sa.bindparam(name, type_=Timestamp()) for name in ("moment", "before"))

_SELECT_NAMED = Statement(sa.select(*_users.c).where(_users.c.username == sa.bindparam("of_username")))
_SELECT_ADMINS = Statement(
    sa.select(_users.c.id)
    .where(_users.c.role == sa.literal("admin"), _users.c.is_active == sa.true())
    .order_by(_users.c.id)
    .with_for_update()
)
_SELECT_HOLDER = Statement(
    sa.select(
        _tokens.c.id,
        _tokens.c.role,
        _tokens.c.expires_at,
        _tokens.c.last_used_at,
        _users.c.id,
        _users.c.username,
        _users.c.role,
    )
    .join_from(_tokens, _users)
    .where(_has_digest, _is_of_kind, _users.c.is_active == sa.true())
)
_SELECT_OF_USER = Statement(sa.select(*_tokens.c).where(_of_user, _is_of_kind).order_by(_tokens.c.id))
_SELECT_DIGEST = Statement(sa.select(*_tokens.c).where(_has_digest))
_DELETE_OF_USER = Statement(sa.delete(_tokens).where(_of_user))
_DELETE_EXPIRED = Statement(sa.delete(_tokens).where(_of_user, _tokens.c.expires_at <= _moment))
_TOUCH = Statement(
    sa.update(_tokens)
    .where(
        _tokens.c.id == sa.bindparam("of_id"),
        sa.or_(_tokens.c.last_used_at.is_(None), _tokens.c.last_used_at < _before),
    )
    .values(last_used_at=_moment)
)

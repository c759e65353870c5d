"""Who is let in: passwords are exchanged for secrets here, and secrets for who it is that has them."""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, TypeVar

import structlog

from apps.accounts import passwords
from apps.accounts.models import Token, User
from apps.accounts.services import Holder, TokenService, UserService, digest_of, lower, new_secret
from project import callers, logs
from project.access import unauthenticated
from project.callers import ROLES, Caller, Channel, Identity, Role
from project.database import Database, Version
from project.database.errors import DatabaseError
from project.problems import FieldError, InvalidBody
from project.settings import Settings
from project.throttling import Guesses

T = TypeVar("T")

Kind = Literal["api", "session"]

FRESH_SECONDS = 0.5
"""How long a worker takes its own word for a secret, where the database does not say that nothing was changed."""
MOST_KNOWN = 10_000
"""Secrets that a worker keeps in mind."""
NOTED = dt.timedelta(minutes=1)
"""Between two notes that a token was used."""

_CHANNELS: dict[Kind, Channel] = {"api": "api", "session": "admin"}

log = structlog.get_logger(__name__)


class SignedIn(NamedTuple):
    """`secret` is known here, and nowhere else any more."""

    secret: str
    token: Token
    user: User


class Accounts:
    """The accounts of an application. One that is closed signs nobody in any more."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._guesses = Guesses(database, settings.secret_key)
        self._hashing = passwords.Hashing()
        self._known: dict[str, _Known] = {}
        self._changes = 0
        self._notes: dict[int, asyncio.Task[None]] = {}

    async def identify(self, secret: str, kind: str = "api") -> Identity | None:
        """Whose it is; None where it does not hold, or no longer. Raises DatabaseError.

        What ends a secret holds at once in this worker, and within a second in others; at once in all that share an
        embedded database.
        """
        version = self._database.version()
        known = self._known.get(secret)
        if known is None or known.kind != kind or not known.holds(version):
            known = await self._look_up(secret, kind, version)
            if known is None:
                return None
        moment = time.time()
        if known.ends_at <= moment:
            return None
        if known.to_be_noted_at <= moment:
            self._note(known)
        return known.identity

    async def sign_in(
        self,
        username: str,
        password: str,
        address: str | None,
        *,
        kind: Kind,
        name: str,
        lifetime: dt.timedelta,
        role: Role | None = None,
    ) -> SignedIn:
        """A secret of that kind, for whoever knows the password. `role` is the most that it is for, if not all.

        Raises Unauthenticated, Throttled, Unavailable, and InvalidBody for a role that the user does not have.
        """
        folded = username.lower()
        attempt = await self._guesses.look(folded, address)
        async with self._hashing.turn():
            await self._guesses.count(attempt)
            user = await self._database.read(UserService, lambda users: users.repository.named(folded))
            is_right = await self._hashing.is_right(None if user is None else user.password, password)
            if user is None or not is_right or not user.is_active:
                log.info("sign-in refused", address=address, kind=kind)
                raise unauthenticated("The username or the password is wrong, or the account is closed.")
            renewed = await self._hashing.hashed(password) if passwords.is_outdated(user.password) else None
        verified = user
        if role is not None and lower(role, verified.role) != role:
            raise InvalidBody(errors=[FieldError("/role", f"must be at most {verified.role}, the user's own")])
        most: Role = role or (ROLES[-1] if kind == "session" else verified.role)
        secret = new_secret()

        async def work(users: UserService) -> SignedIn:
            session = users.repository.session
            current = await users.repository.get(verified.id, with_for_update=True)
            if current.password != verified.password or not current.is_active:
                raise unauthenticated("The account was changed at this moment: sign in again.")
            if renewed is not None:
                current.password = renewed
                await users.repository.update(current)
            await self._guesses.forgive(attempt, session)
            tokens = session.service(TokenService)
            token = await tokens.issue(current, secret, kind=kind, name=name, role=most, lifetime=lifetime)
            return SignedIn(secret, token, current)

        callers.current.set(
            Caller(
                channel=_CHANNELS[kind],
                role=verified.role,
                user_id=verified.id,
                name=verified.username,
                address=address,
                request_id=logs.request_id.get(),
            )
        )
        return await self.change(work)

    async def hash(self, password: str, username: str = "") -> str:
        """As a new password is kept. Raises InvalidBody for one that is not good enough, and Unavailable."""
        if (refusal := passwords.refusal(password, username)) is not None:
            raise InvalidBody(errors=[FieldError("/password", refusal)])
        async with self._hashing.turn():
            return await self._hashing.hashed(password)

    async def change(self, work: Callable[[UserService], Awaitable[T]]) -> T:
        """`Database.write` for what changes users or tokens: when this returns, it holds for this worker."""
        try:
            return await self._database.write(UserService, work)
        finally:
            self._changes += 1
            self._known.clear()

    async def revoke_secret(self, secret: str) -> None:
        """Does nothing where it does not hold any more."""
        await self.change(lambda users: users.repository.session.service(TokenService).revoke_secret(secret))

    async def close(self) -> None:
        for note in tuple(self._notes.values()):
            note.cancel()
        await asyncio.gather(*self._notes.values(), return_exceptions=True)
        self._hashing.close()

    async def _look_up(self, secret: str, kind: str, version: Version) -> "_Known | None":
        digest = digest_of(secret)
        read_at = time.monotonic()
        changes = self._changes
        holder = await self._database.read(TokenService, lambda tokens: tokens.holder(digest, kind))
        self._known.pop(secret, None)
        if holder is None:
            return None
        known = _Known(kind, holder, version, read_at)
        if changes == self._changes:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[secret] = known
        return known

    def _note(self, known: "_Known") -> None:
        """Write down that a token was used, without anybody waiting for it."""
        moment = dt.datetime.now(dt.UTC)
        known.to_be_noted_at = (moment + NOTED).timestamp()
        token_id = known.identity.token_id
        if token_id not in self._notes:
            task = asyncio.get_running_loop().create_task(self._write_note(token_id, moment))
            self._notes[token_id] = task
            task.add_done_callback(lambda _: self._notes.pop(token_id))

    async def _write_note(self, token_id: int, moment: dt.datetime) -> None:
        try:
            await self._database.write(
                TokenService, lambda tokens: tokens.repository.touch(token_id, moment, moment - NOTED)
            )
        except DatabaseError as error:
            log.warning("use of a token not noted", reason=str(error))


class _Known:
    """A secret that the database confirmed, and when."""

    def __init__(self, kind: str, holder: Holder, version: Version, read_at: float) -> None:
        self.kind = kind
        self.identity = holder.identity
        self.ends_at = holder.identity.expires_at.timestamp()
        self.to_be_noted_at = 0.0 if holder.last_used_at is None else (holder.last_used_at + NOTED).timestamp()
        self._version = version
        self._read_at = read_at

    def holds(self, version: Version) -> bool:
        if version != self._version:
            return False
        return version.commits is not None or time.monotonic() - self._read_at < FRESH_SECONDS

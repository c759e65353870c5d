"""Requests that may be sent again: the first answer to an Idempotency-Key is kept, and given to its repetitions."""

import datetime as dt
import hashlib
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa
from litestar import Request
from sqlalchemy.orm import Mapped, mapped_column

from project import callers
from project.database import Database, dialects
from project.database.errors import Conflict, Transient
from project.database.sessions import Session
from project.database.statements import Statement
from project.database.types import Blob, Text, Timestamp
from project.models import Base
from project.problems import KeyReused, Malformed
from project.services import Service

S = TypeVar("S", bound=Service[Any, Any, Any])

KEPT = dt.timedelta(hours=24)
PRUNE_ONE_IN = 100
"""How many answers are kept between two clearings of those that have expired, on average."""

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class IdempotencyKey(Base):
    """The answer to the first request that carried a key."""

    __tablename__ = "idempotency_keys"
    __table_args__: Any = ({"info": {"unaudited": True}},)

    scope: Mapped[str] = mapped_column(Text(200), primary_key=True)
    key: Mapped[str] = mapped_column(Text(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text(64))
    status: Mapped[int] = mapped_column(sa.Integer)
    headers: Mapped[str] = mapped_column(Text(4000))
    body: Mapped[bytes] = mapped_column(Blob())
    created_at: Mapped[dt.datetime] = mapped_column(Timestamp(), index=True)


class Answer(NamedTuple):
    """A response as it is sent, and kept."""

    status: int
    body: bytes
    headers: dict[str, str]


class Claim(NamedTuple):
    """That a request is the first with its key."""

    scope: str
    key: str
    fingerprint: str


def _fingerprint(request: Request[Any, Any, Any], body: bytes) -> str:
    """A digest of all that makes a request the same as another."""
    digest = hashlib.blake2b(digest_size=32)
    for part in (request.scope["query_string"], request.headers.get("content-type", "").encode(), body):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def claim(request: Request[Any, Any, Any], key: str | None, body: bytes) -> Claim | None:
    """None without a key; `body` may be a digest of it. Raises Malformed for a key that cannot be used."""
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise Malformed("An Idempotency-Key is 1 to 255 visible ASCII characters, such as a UUID.")
    return Claim(_scope(request), key, _fingerprint(request, body))


def _scope(request: Request[Any, Any, Any]) -> str:
    """Within which a key means one request: that of one caller, on one path."""
    caller = callers.current.get()
    scope = f"{request.method} {request.scope['path'].rstrip('/')}"
    return scope if caller is None or caller.user_id is None else f"{caller.user_id} {scope}"


async def answer_once(
    database: Database,
    service: type[S],
    claimed: Claim | None,
    work: Callable[[S], Awaitable[Answer]],
    *,
    together: bool = False,
) -> Answer:
    """The answer of `work`, or the kept one if the claim came too late. Raises KeyReused.

    The answer is kept in the transaction of the work: both are there, or neither is. A twin that comes meanwhile waits
    for that transaction. Without a claim the work may be committed `together` with others, as Database.write has it.
    """
    if claimed is None:
        return await database.write(service, work, together=together)

    async def unit(bound: S) -> Answer:
        session: Session = bound.repository.session
        answer = await _kept(session, claimed)
        if answer is None:
            await _reserve(session, claimed)
            answer = await work(bound)
            await _keep(session, claimed, answer)
        return answer

    return await database.write(service, unit)


async def _kept(session: Session, claimed: Claim) -> Answer | None:
    rows = await session.rows(_SELECT, of_scope=claimed.scope, of_key=claimed.key)
    if not rows:
        return None
    fingerprint_of_first, status, headers, body, created_at = rows[0]
    expired = dt.datetime.now(dt.UTC) - KEPT
    if created_at <= expired:
        await session.run(_FORGET, of_scope=claimed.scope, of_key=claimed.key, expired=expired)
        return None
    if fingerprint_of_first != claimed.fingerprint:
        raise KeyReused
    return Answer(status, bytes(body), {**msgspec.json.decode(headers), "Idempotency-Replayed": "true"})


async def _reserve(session: Session, claimed: Claim) -> None:
    """Only one transaction gets past this with the same key; the others wait for its end, and start again."""
    try:
        await session.run(
            _INSERT, **claimed._asdict(), status=0, headers="", body=b"", created_at=dt.datetime.now(dt.UTC)
        )
    except Exception as error:
        if isinstance(dialects.named(session.dialect_name).classify(error), Conflict):
            raise Transient("a twin was first") from error
        raise


async def _keep(session: Session, claimed: Claim, answer: Answer) -> None:
    headers = msgspec.json.encode(answer.headers).decode()
    await session.run(
        _UPDATE,
        of_scope=claimed.scope,
        of_key=claimed.key,
        status=answer.status,
        headers=headers,
        body=answer.body,
    )
    if random.randrange(PRUNE_ONE_IN) == 0:
        await session.run(_PRUNE, expired=dt.datetime.now(dt.UTC) - KEPT)


_table: Any = IdempotencyKey.__table__
_columns = _table.c


def _parameters(*names: str) -> dict[str, sa.BindParameter[Any]]:
    return {name: sa.bindparam(name, type_=_columns[name].type) for name in names}


_is_claimed = sa.and_(_columns.scope == sa.bindparam("of_scope"), _columns.key == sa.bindparam("of_key"))
_is_expired = _columns.created_at <= sa.bindparam("expired")
_SELECT = Statement(
    sa.select(_columns.fingerprint, _columns.status, _columns.headers, _columns.body, _columns.created_at).where(
        _is_claimed
    )
)
_INSERT = Statement(sa.insert(_table).values(_parameters(*_columns.keys())))
_UPDATE = Statement(sa.update(_table).where(_is_claimed).values(_parameters("status", "headers", "body")))
_FORGET = Statement(sa.delete(_table).where(_is_claimed, _is_expired))
_PRUNE = Statement(sa.delete(_table).where(_is_expired))

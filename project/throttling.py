"""How often something may be tried, right across all workers and machines: the counts are in the database."""

import asyncio
import datetime as dt
import hashlib
import ipaddress
import math
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from project.database import Database, dialects
from project.database.errors import Conflict, Transient
from project.database.sessions import Session
from project.database.statements import Statement
from project.database.types import Text, Timestamp
from project.models import Base
from project.problems import Throttled
from project.settings import Rate

FREE = 5
"""At one account's password, before each one more has to wait."""
FREE_OF_ADDRESS = 20
"""At any passwords, from one address: many people may share it."""
LONGEST_WAIT = dt.timedelta(minutes=15)
"""Between two guesses, which the wait doubles up to. It ends by itself: nobody can lock another out for good."""
KEPT = dt.timedelta(hours=24)
"""After which a count that nobody adds to starts anew."""
KNOWN = dt.timedelta(days=90)
"""How long an address counts as its account's after somebody signed in from there."""
PRUNE_ONE_IN = 100
"""How many attempts there are between two clearings of what is to be forgotten, on average."""
PORTIONS = 50
"""In how many parts a limit is taken from the database, at least: a part is one write, and at most lost."""
KEY = 64
"""Hexadecimal digits of a key."""


class Throttle(Base):
    """How often one thing was tried by one party, and from when it may be tried again."""

    __tablename__ = "throttles"
    __table_args__: Any = {"info": {"unaudited": True}}  # noqa: RUF012

    key: Mapped[str] = mapped_column(Text(KEY), primary_key=True)
    """A digest of what is tried and by whom: nobody reads in it who tried to sign in from where."""
    count: Mapped[int] = mapped_column(sa.BigInteger())
    free_at: Mapped[dt.datetime] = mapped_column(Timestamp())
    """Until then it is refused."""
    forget_at: Mapped[dt.datetime] = mapped_column(Timestamp(), index=True)


class Counts:
    """The rows of the table, in a unit of work."""

    def __init__(self, *, session: Session) -> None:
        self._session = session

    async def get(self, *keys: str, lock: bool = False) -> "dict[str, Count]":
        """Those that are not to be forgotten. With `lock`, nobody else changes them until the unit of work ends."""
        found = {}
        moment = now()
        for key in sorted(keys):
            rows = await self._session.rows(_SELECT_TO_CHANGE if lock else _SELECT, of_key=key)
            if rows and rows[0][2] > moment:
                found[key] = Count(*rows[0])
        return found

    async def put(self, key: str, count: "Count", *, is_first: bool = False) -> None:
        """`is_first`: none was there, or one to be forgotten. Raises Transient where another made the row meanwhile."""
        values = msgspec.structs.asdict(count)
        if is_first:
            updated = await self._session.run(_RENEW, of_key=key, moment=now(), **values)
        else:
            updated = await self._session.run(_UPDATE, of_key=key, **values)
        if updated:
            return
        try:
            await self._session.run(_INSERT, key=key, **values)
        except Exception as error:
            if isinstance(dialects.named(self._session.dialect_name).classify(error), Conflict):
                raise Transient("another was first") from error
            raise

    async def start_anew(self, prefix: str) -> None:
        """Those whose keys begin like that. What is known of them stays."""
        await self._session.run(_START_ANEW, first=prefix, last=prefix + "f" * (KEY - len(prefix)), moment=now())

    async def remove(self, key: str) -> None:
        await self._session.run(_DELETE, of_key=key)

    async def prune(self) -> None:
        if random.randrange(PRUNE_ONE_IN) == 0:
            await self._session.run(_PRUNE, moment=now())


class Count(msgspec.Struct, frozen=True):
    count: int
    free_at: dt.datetime
    forget_at: dt.datetime


class Attempt(NamedTuple):
    """A guess that was counted before anybody knew whether it is right."""

    account: str
    address: str
    pair: str
    """The keys of the account, of the address, and of both together."""
    is_known: bool
    """Whether somebody signed in to that account from that address before."""

    @property
    def counted(self) -> tuple[str, ...]:
        return (self.pair,) if self.is_known else (self.account, self.address)


class Guesses:
    """Attempts to sign in: each is counted, in a transaction of its own, before the password is looked at.

    They are counted for the account and for the address. From where somebody has signed in to an account before, they
    are counted apart for that account: strangers who guess at it do not keep its owner out.
    """

    def __init__(self, database: Database, secret_key: str) -> None:
        self._database = database
        self._digest = digests(secret_key)

    async def look(self, username: str, address: str | None) -> Attempt:
        """An attempt that is not counted yet. Raises Throttled, for accounts that there are as for others."""
        place = network(address)
        account, of_address = self._digest("account", username), self._digest("address", place)
        pair = _family(account) + _family(self._digest("account and address", username, place))

        async def work(counts: Counts) -> Attempt:
            found = await counts.get(account, of_address, pair)
            attempt = Attempt(account, of_address, pair, pair in found)
            _refuse(attempt, found)
            return attempt

        return await self._database.read(Counts, work)

    async def count(self, attempt: Attempt) -> None:
        """Raises Throttled where others came first."""

        async def work(counts: Counts) -> None:
            found = await counts.get(*attempt.counted, lock=True)
            _refuse(attempt, found)
            moment = now()
            for key in attempt.counted:
                before = found.get(key)
                tried = 1 if before is None else before.count + 1
                free_at = moment + wait_after(tried, FREE_OF_ADDRESS if key == attempt.address else FREE)
                forget_at = free_at + KEPT if before is None else max(free_at + KEPT, before.forget_at)
                await counts.put(key, Count(tried, free_at, forget_at), is_first=before is None)
            await counts.prune()

        await self._database.write(Counts, work)

    async def forgive(self, attempt: Attempt, session: Session) -> None:
        """It was right. To be called in the unit of work that signs in."""
        counts, moment = session.service(Counts), now()
        await counts.put(attempt.pair, Count(0, moment, moment + KNOWN))
        if not attempt.is_known:
            await counts.remove(attempt.account)
            found = (await counts.get(attempt.address, lock=True)).get(attempt.address)
            if found is not None:
                await counts.put(attempt.address, msgspec.structs.replace(found, count=max(found.count - 1, 0)))

    async def forget(self, username: str, session: Session) -> None:
        """All guesses at an account, from wherever, when its password is another."""
        await session.service(Counts).start_anew(_family(self._digest("account", username)))


def wait_after(tried: int, free: int) -> dt.timedelta:
    """Until the next attempt: none for the first ones, then 1 second, 2, 4 and so on."""
    return min(dt.timedelta(seconds=2 ** min(tried - free, 32)), LONGEST_WAIT) if tried >= free else dt.timedelta()


def network(address: str | None) -> str:
    """What counts as one address: of IPv6 whoever has one has 2^64 of them."""
    if address is None or ":" not in address:
        return address or ""
    return str(ipaddress.ip_network((address, 64), strict=False))


def digests(secret_key: str) -> Callable[..., str]:
    """Makes keys of the parts that say what is counted."""
    key = hashlib.blake2b(secret_key.encode(), digest_size=32, person=b"throttles").digest()

    def digest(*parts: str) -> str:
        return hashlib.blake2b("\0".join(parts).encode(errors="replace"), key=key, digest_size=32).hexdigest()

    return digest


def _family(key: str) -> str:
    """What the keys of an account and of its pairs begin with, so that one range holds them all."""
    return key[: KEY // 2]


def _refuse(attempt: Attempt, found: dict[str, Count]) -> None:
    free_at = max((found[key].free_at for key in attempt.counted if key in found), default=None)
    if free_at is not None and (seconds := math.ceil((free_at - now()).total_seconds())) > 0:
        raise throttled("There were too many attempts to sign in", seconds)


def throttled(reason: str, seconds: int) -> Throttled:
    again = "1 second" if seconds == 1 else f"{seconds} seconds"
    return Throttled(f"{reason}: try again in {again}.", headers={"Retry-After": str(seconds)})


class Limit:
    """At most so many requests of one party in each stretch of time.

    A worker takes a part of what is left from the database and uses it up by itself. What it does not use of its last
    part is lost, so that all workers together let through a little less than the limit, and never more.
    """

    def __init__(self, database: Database, secret_key: str, rate: Rate) -> None:
        self._database = database
        self._rate = rate
        self._digest = digests(secret_key)
        self._window = _Window(0)

    async def take(self, party: str) -> None:
        """Raises Throttled."""
        moment = time.time()
        number = int(moment // self._rate.seconds)
        if number != self._window.number:
            self._window = _Window(number)
        window = self._window
        while (left := window.left.get(party, 0)) == 0:
            await self._refill(window, party)
        if left == USED_UP:
            seconds = math.ceil((number + 1) * self._rate.seconds - moment)
            raise throttled("The limit of requests is used up", seconds)
        window.left[party] = left - 1

    async def _refill(self, window: "_Window", party: str) -> None:
        async with window.refilling.setdefault(party, asyncio.Lock()):
            if window.left.get(party, 0) == 0:
                key = self._digest("limit", party, str(window.number))
                part = await self._database.write(Counts, lambda counts: self._take_part(counts, key))
                window.left[party] = part or USED_UP

    async def _take_part(self, counts: Counts, key: str) -> int:
        found = (await counts.get(key, lock=True)).get(key)
        used = 0 if found is None else found.count
        left = self._rate.number - used
        part = min(left, max(1, min(self._rate.number, left * 4) // PORTIONS))
        if part:
            moment = now()
            forget_at = moment + dt.timedelta(seconds=2 * self._rate.seconds)
            await counts.put(key, Count(used + part, moment, forget_at), is_first=found is None)
            await counts.prune()
        return part


USED_UP = -1


class _Window:
    """A stretch of time, and what this worker may still let through of each party in it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.left: dict[str, int] = {}
        self.refilling: dict[str, asyncio.Lock] = {}


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


_table: Any = Throttle.__table__
_columns = _table.c
_values = {column.key: sa.bindparam(column.key, type_=column.type) for column in _columns}
_is_it = _columns.key == sa.bindparam("of_key", type_=_columns.key.type)
_SELECT = Statement(sa.select(_columns.count, _columns.free_at, _columns.forget_at).where(_is_it))
_SELECT_TO_CHANGE = Statement(
    sa.select(_columns.count, _columns.free_at, _columns.forget_at).where(_is_it).with_for_update()
)
_INSERT = Statement(sa.insert(_table).values(_values))
_is_to_be_forgotten = _columns.forget_at <= sa.bindparam("moment", type_=Timestamp())
_update = sa.update(_table).where(_is_it).values({name: value for name, value in _values.items() if name != "key"})
_UPDATE = Statement(_update)
_RENEW = Statement(_update.where(_is_to_be_forgotten))
_START_ANEW = Statement(
    sa.update(_table)
    .where(_columns.key.between(*(sa.bindparam(end, type_=_columns.key.type) for end in ("first", "last"))))
    .values(count=0, free_at=sa.bindparam("moment", type_=Timestamp()))
)
_DELETE = Statement(sa.delete(_table).where(_is_it))
_PRUNE = Statement(sa.delete(_table).where(_is_to_be_forgotten))

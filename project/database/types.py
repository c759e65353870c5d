"""Column types that mean the same on every database; how each database spells them stands in its dialect file."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from project.database import dialects


class Text(TypeDecorator[str]):
    """Up to `length` characters, compared and ordered by code point: case, accents and trailing blanks count."""

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialects.named(dialect.name).text(self.length))


class Blob(TypeDecorator[bytes]):
    """Bytes up to 1 GiB."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialects.named(dialect.name).blob())


class Timestamp(TypeDecorator[dt.datetime]):
    """A moment in UTC to the microsecond; only datetimes with a time zone are taken."""

    impl = sa.DateTime
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)

    def __repr__(self) -> str:
        """As migrations spell it."""
        return "Timestamp()"

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialects.named(dialect.name).timestamp())

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone names no moment: use datetime.now(UTC)")
        return dialects.named(dialect.name).to_driver_time(value.astimezone(dt.UTC))

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=dt.UTC)


def timestamp_text(moment: dt.datetime) -> str:
    """RFC 3339 in UTC, always with six fraction digits: 2026-01-31T09:30:00.000000Z."""
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

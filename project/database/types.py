"""Column types that mean the same on every database; how each database spells them stands in its dialect file."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from project.database import dialects
from project.database.errors import Invalid


class Text(TypeDecorator[str]):
    """Up to `length` characters, compared and ordered by code point: case, accents and trailing blanks count.

    Raises Invalid for the two things that some databases hold and others do not: NUL, and half of a surrogate pair.
    """

    impl = sa.String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        ours = dialects.all_dialects().get(dialect.name)
        return dialect.type_descriptor(ours.text(self.length) if ours else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is not None:
            if "\0" in value:
                raise Invalid("Text cannot hold the character NUL.")
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    raise Invalid("Text cannot hold half of a surrogate pair.") from None
        return value


class Blob(TypeDecorator[bytes]):
    """Bytes up to 1 GiB."""

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        ours = dialects.all_dialects().get(dialect.name)
        return dialect.type_descriptor(ours.blob() if ours else self.impl_instance)


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
        ours = dialects.all_dialects().get(dialect.name)
        return dialect.type_descriptor(ours.timestamp() if ours else self.impl_instance)

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a time zone names no moment: use datetime.now(UTC)")
        return dialects.named(dialect.name).to_driver_time(value.astimezone(dt.UTC))

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=dt.UTC)

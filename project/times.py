"""Moments as text."""

import datetime as dt

import msgspec

_WITH_FRACTION = len("2026-01-31T09:30:00.123456")


def utc_text(moment: dt.datetime) -> str:
    """RFC 3339 with six fraction digits, always: 2026-01-31T09:30:00.000000Z. The moment is in UTC, said or not."""
    # Several times as fast as isoformat, but leaves out a fraction of nothing.
    text = str(msgspec.to_builtins(moment)).removesuffix("Z")
    return f"{text}Z" if len(text) == _WITH_FRACTION else f"{text}.000000Z"


def timestamp_text(moment: dt.datetime) -> str:
    """The same of a moment in any time zone."""
    return utc_text(moment if moment.tzinfo is dt.UTC else moment.astimezone(dt.UTC))

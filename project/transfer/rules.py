"""What a value must not be, to stand in a column of every database alike."""

import datetime as dt
import math
import re
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any, Protocol

import sqlalchemy as sa

from project.database.contents import Limits
from project.database.types import Blob, Text, Timestamp
from project.transfer.stages import python_type

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Rule(Protocol):
    """Of one column, NULL aside."""

    def all_keep(self, values: Sequence[Any]) -> bool:
        """Whether all values certainly keep it: a quick look, which may well say no too often."""
        ...

    def broken_by(self, value: Any) -> str | None:
        """How a value breaks it, for a sentence that begins with the column's name; None if it does not."""
        ...


def rule_of(column: sa.Column[Any], process: Callable[[Any], Any] | None, limits: Limits, target: str) -> Rule:
    """`process` makes the column's Python value of the driver's; `target` is what the target calls itself."""
    kind = column.type
    match kind:
        case Text():
            return TextRule(kind.length)
        case Timestamp():
            return MomentRule()
        case Blob() | sa.LargeBinary():
            return BytesRule()
        case sa.Enum():
            return ChoiceRule(kind.enums)
        case sa.String():
            return TextRule(kind.length)
        case sa.Boolean():
            return BooleanRule()
        case sa.Integer():
            return IntegerRule(kind)
        case sa.Float() if not kind.asdecimal:
            return NumberRule(limits, target)
        case _:
            return OtherRule(column, process)


class TextRule:
    def __init__(self, most: int | None) -> None:
        self._most = math.inf if most is None else most

    def all_keep(self, values: Sequence[Any]) -> bool:
        try:
            return "\0" not in "".join(values) and max(map(len, values)) <= self._most
        except TypeError:
            return False

    def broken_by(self, value: Any) -> str | None:
        if isinstance(value, bytes):
            return _of_bytes(value)
        if not isinstance(value, str):
            return f"is {_shown(value)}, which is no text"
        if "\0" in value:
            return "has the character NUL"
        if len(value) > self._most:
            return f"has {len(value):,} characters, of which the column holds {self._most:,}"
        return None


def _of_bytes(value: bytes) -> str:
    try:
        value.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return "is not text in UTF-8"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "has half of a surrogate pair"
    return "is a row of bytes, which is no text"


class IntegerRule:
    def __init__(self, kind: sa.Integer) -> None:
        bits = 15 if isinstance(kind, sa.SmallInteger) else 63 if isinstance(kind, sa.BigInteger) else 31
        self._least, self._most = -(2**bits), 2**bits - 1

    def all_keep(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {int} and min(values) >= self._least and max(values) <= self._most

    def broken_by(self, value: Any) -> str | None:
        if type(value) is not int:
            return f"is {_shown(value)}, which is no integer"
        if not self._least <= value <= self._most:
            return f"is {value}, of which the column holds {self._least} to {self._most}"
        return None


class NumberRule:
    def __init__(self, limits: Limits, target: str) -> None:
        self._limits = limits
        self._target = target

    def all_keep(self, values: Sequence[Any]) -> bool:
        return (
            set(map(type, values)) == {float}
            and math.isfinite(sum(values))
            and (self._limits.negative_zero or 0.0 not in values)
        )

    def broken_by(self, value: Any) -> str | None:
        if type(value) is not float:
            return f"is {_shown(value)}, which is no floating-point number"
        is_kept = (
            self._limits.nan
            if math.isnan(value)
            else self._limits.infinity
            if math.isinf(value)
            else self._limits.negative_zero or value != 0.0 or math.copysign(1, value) > 0
        )
        return None if is_kept else f"is {value}, which {self._target} cannot hold"


class MomentRule:
    def all_keep(self, values: Sequence[Any]) -> bool:
        try:
            return all(map(_MOMENT.fullmatch, values)) and all(map(dt.datetime.fromisoformat, values))
        except (TypeError, ValueError):
            return False

    def broken_by(self, value: Any) -> str | None:
        if self.all_keep([value]):
            return None
        try:
            dt.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return f"is {_shown(value)}, which is no time in the years 1 to 9999"
        return f"is {_shown(value)}, a time that is not written like 2026-01-31T09:30:00.123456Z"


class BooleanRule:
    def all_keep(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) <= {int, bool} and set(values) <= {0, 1}

    def broken_by(self, value: Any) -> str | None:
        return None if self.all_keep([value]) else f"is {_shown(value)}, which is neither true nor false"


class BytesRule:
    def all_keep(self, values: Sequence[Any]) -> bool:
        return set(map(type, values)) == {bytes}

    def broken_by(self, value: Any) -> str | None:
        return None if isinstance(value, bytes) else f"is {_shown(value)}, which is no row of bytes"


class ChoiceRule:
    def __init__(self, choices: Collection[str]) -> None:
        self._choices = frozenset(choices)

    def all_keep(self, values: Sequence[Any]) -> bool:
        return self._choices.issuperset(values)

    def broken_by(self, value: Any) -> str | None:
        return None if self.all_keep([value]) else f"is {_shown(value)}, which is none of its values"


class OtherRule:
    """Of a column whose type is known to SQLAlchemy alone: what it makes of the value has to be what it says."""

    def __init__(self, column: sa.Column[Any], process: Callable[[Any], Any] | None) -> None:
        self._process = process
        self._python_type = python_type(column)
        self._kind = column.type

    def all_keep(self, values: Sequence[Any]) -> bool:
        return not any(map(self.broken_by, values))

    def broken_by(self, value: Any) -> str | None:
        try:
            made = value if self._process is None else self._process(value)
        except (TypeError, ValueError, ArithmeticError, LookupError):
            return f"is {_shown(value)}, which is no {self._python_type.__name__}"
        if not isinstance(made, self._python_type):
            return f"is {_shown(value)}, which is no {self._python_type.__name__}"
        if isinstance(made, Decimal) and not self._fits(made):
            return f"is {made}, which does not fit {self._kind}"
        return None

    def _fits(self, number: Decimal) -> bool:
        precision, scale = getattr(self._kind, "precision", None), getattr(self._kind, "scale", None) or 0
        if not number.is_finite():
            return False
        return precision is None or (abs(number) < 10 ** (precision - scale) and number == round(number, scale))


LONGEST_VALUE = 60
"""Characters of it that are shown."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."

"""The headers of requests by name, and those that every app's routes take and give, declared once.

Annotate a handler's parameters with the latter.
"""

from collections.abc import Iterable
from typing import Annotated

from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter
from litestar.types import Scope

LISTS = frozenset({b"accept", b"accept-encoding", b"if-match", b"if-none-match"})
"""The fields in use here whose lines, where there are several, are one list (RFC 9110, section 5.3)."""

_KEY = "fields"


class Fields(dict[bytes, bytes]):
    """The headers of a request by name. Of a field on several lines a list has them all, and another the first one."""

    repeated: frozenset[bytes] = frozenset()
    """The fields that are on several lines."""

    @classmethod
    def of(cls, scope: Scope) -> "Fields":
        """Read once. Whoever looks at the scope's own headers after this finds each list on one line, too."""
        found: Fields | None = scope["state"].get(_KEY)
        if found is None:
            lines = list(scope["headers"])
            found = scope["state"][_KEY] = cls(lines)
            if len(found) < len(lines):
                found._join(lines)
                others = [line for line in lines if line[0] not in LISTS]
                scope["headers"] = [*others, *((name, found[name]) for name in LISTS & found.keys())]
        return found

    def _join(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        together: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            together.setdefault(name, []).append(value)
        for name, values in together.items():
            self[name] = b", ".join(filter(None, values)) if name in LISTS else values[0]
        self.repeated = frozenset(name for name, values in together.items() if len(values) > 1)


IfMatch = Annotated[
    str | None,
    HeaderParameter(name="If-Match", description="Only if the record still has this `ETag`; otherwise 412."),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match",
        description="Only if the record no longer has this `ETag`; otherwise a read answers 304, a change 412.",
    ),
]
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="1 to 255 visible ASCII characters, such as a UUID. "
        "Within 24 hours, a repetition with the same key and body does nothing and gets the first answer again.",
        schema_extra={"pattern": r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?\Z"},
    ),
]

ETAG = ResponseHeader(
    "ETag",
    documentation_only=True,
    description="Names this state of the record, for `If-Match` and `If-None-Match`.",
)
LOCATION = ResponseHeader("Location", documentation_only=True, description="The path of the new record.")
WWW_AUTHENTICATE = ResponseHeader(
    "WWW-Authenticate", documentation_only=True, description="How to say who asks, as RFC 6750 has it."
)
RETRY_AFTER = ResponseHeader("Retry-After", documentation_only=True, description="Seconds to wait before trying again.")
IDEMPOTENCY_REPLAYED = ResponseHeader(
    "Idempotency-Replayed",
    documentation_only=True,
    description="`true` if this is the answer to an earlier request with the same `Idempotency-Key`.",
)

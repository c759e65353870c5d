"""The headers that every app's routes take and give, declared once: annotate a handler's parameters with them."""

from typing import Annotated

from litestar.datastructures import ResponseHeader
from litestar.params import HeaderParameter

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

"""Every failure as application/problem+json (RFC 9457): what can be raised, and how everything else is translated.

Problem
    Malformed, BadQuery, BadCursor                            400
    Unauthenticated                                           401
    Forbidden                                                 403
    NotFound                                                  404
    MethodNotAllowed                                          405
    NotAcceptable                                             406
    TooSlow                                                   408
    Conflicting                                               409
    PreconditionFailed                                        412
    TooLarge                                                  413
    UnsupportedMedia                                          415
    InvalidBody, KeyReused                                    422
    Throttled                                                 429
    HeadersTooLarge                                           431
    Failed                                                    500
    Unavailable, OutcomeUnknown                               503
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import msgspec
import structlog
from advanced_alchemy.exceptions import NotFoundError
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, ValidationException

from project.conditional import StalePrecondition
from project.database import errors
from project.pagination import InvalidCursor

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 100
EMPTY = "The body is empty: this path takes JSON."
ENDED_EARLY = "The connection ended before the body did."

PATH_CHARACTERS = "/:@!$&'()*+,;=~"
"""What stands for itself in the path of a URI, letters, digits, - . and _ aside (RFC 3986)."""

log = structlog.get_logger(__name__)


class FieldError(msgspec.Struct, frozen=True):
    pointer: Annotated[str, msgspec.Meta(description="JSON pointer to the value, or to the name of a query parameter.")]
    detail: Annotated[str, msgspec.Meta(description="What is wrong with it.")]


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True, rename={"kind": "type"}):
    """Why a request failed, as RFC 9457 has it."""

    kind: Annotated[
        str, msgspec.Meta(description="Where the kind of problem is explained, such as /problems/not-found.")
    ]
    title: Annotated[str, msgspec.Meta(description="The kind of problem in a few words.")]
    status: Annotated[int, msgspec.Meta(ge=400, le=599, description="The HTTP status.")]
    detail: Annotated[str, msgspec.Meta(description="What went wrong this time and what to do about it.")]
    instance: Annotated[str, msgspec.Meta(description="The path that was asked for.")]
    errors: Annotated[
        list[FieldError], msgspec.Meta(max_length=MOST_ERRORS, description="Each refused value of a body or query.")
    ] = []


class Problem(Exception):
    """Raise a subclass; `detail` says what went wrong and what to do, `errors` names each bad field."""

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str]
    """For people: what /problems/{slug} says."""

    def __init__(
        self, detail: str = "", *, errors: Sequence[FieldError] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        self.detail = detail or self.meaning
        if len(errors) > MOST_ERRORS:
            self.detail += f" Only the first {MOST_ERRORS} are named."
        super().__init__(self.detail)
        self.errors = list(errors[:MOST_ERRORS])
        self.headers = dict(headers or {})


class Malformed(Problem):
    status, slug, title = 400, "malformed", "Malformed request"
    meaning = "The body is not well-formed JSON in UTF-8, or the request cannot be read at all."


class BadQuery(Problem):
    status, slug, title = 400, "bad-query", "Query not allowed"
    meaning = "A query parameter is unknown, given twice, or out of its range."


class BadCursor(Problem):
    status, slug, title = 400, "bad-cursor", "Cursor not usable"
    meaning = "A cursor works only as it was given, with the sort and the filters that it was given for."


class HostNotAllowed(Problem):
    status, slug, title = 400, "bad-host", "Host not allowed"
    meaning = "The service does not answer under the host name that the request gives."


class Unauthenticated(Problem):
    status, slug, title = 401, "unauthenticated", "Not signed in"
    meaning = (
        "The request needs a token, in its header `Authorization: Bearer ...`, and has none that holds: "
        "`POST /auth/token` gives one to whoever knows a username and its password."
    )


class Forbidden(Problem):
    status, slug, title = 403, "forbidden", "Forbidden"
    meaning = "The request may not be made from where it comes from, or by whom."


class NotFound(Problem):
    status, slug, title = 404, "not-found", "Not found"
    meaning = "There is nothing at this path, or no longer."


class MethodNotAllowed(Problem):
    status, slug, title = 405, "method-not-allowed", "Method not allowed"
    meaning = "The path exists, but not for this method: the Allow header lists those that it takes."


class NotAcceptable(Problem):
    status, slug, title = 406, "not-acceptable", "Not acceptable"
    meaning = "The Accept header leaves out every media type that this path can answer with."


class TooSlow(Problem):
    status, slug, title = 408, "too-slow", "Request too slow"
    meaning = "The request, or its next piece, did not arrive in time. Send it again."


class Conflicting(Problem):
    status, slug, title = 409, "conflict", "Conflict"
    meaning = "The change contradicts another record."


class PreconditionFailed(Problem):
    status, slug, title = 412, "precondition-failed", "Precondition failed"
    meaning = (
        "The record is no longer the one that If-Match names: get it again and repeat the change on what it is now."
    )


class TooLarge(Problem):
    status, slug, title = 413, "too-large", "Body too large"
    meaning = "The body is larger than this path takes."


class UnsupportedMedia(Problem):
    status, slug, title = 415, "unsupported-media", "Media type not supported"
    meaning = "The Content-Type is not one that this path reads."


class InvalidBody(Problem):
    status, slug, title = 422, "invalid-body", "Body not valid"
    meaning = "The body is well-formed, but not what this path takes; `errors` names every field that is not."


class KeyReused(Problem):
    status, slug, title = 422, "key-reused", "Idempotency key reused"
    meaning = (
        "The Idempotency-Key was used before with another body: every request that is not a repetition needs a key of "
        "its own."
    )


class Throttled(Problem):
    status, slug, title = 429, "throttled", "Too many requests"
    meaning = "This was tried too often: try again after the seconds in Retry-After."


class HeadersTooLarge(Problem):
    status, slug, title = 431, "headers-too-large", "Headers too large"
    meaning = "The request line and its headers are larger than the service reads."


class Failed(Problem):
    status, slug, title = 500, "internal-error", "Internal error"
    meaning = "Something went wrong that should not have; the X-Request-ID header finds it in the service's log."


class Unavailable(Problem):
    status, slug, title = 503, "unavailable", "Unavailable"
    meaning = (
        "The database is away, busy, or took too long; nothing was changed. Try again after the seconds in Retry-After."
    )


class OutcomeUnknown(Problem):
    status, slug, title = 503, "outcome-unknown", "Outcome unknown"
    meaning = (
        "The connection to the database broke, or the service had to stop, before it was known what became of the "
        "change: it may have been kept, in part perhaps, or not. Repeat the request with its Idempotency-Key, or look "
        "before repeating it."
    )


KINDS: dict[str, type[Problem]] = {kind.slug: kind for kind in Problem.__subclasses__()}


def of_exception(request: Request[Any, Any, Any], error: Exception) -> Problem:
    """The problem that any exception of a request amounts to; one that nobody foresaw is logged and becomes Failed."""
    match error:
        case Problem():
            return error
        case HTTPException():
            return _of_litestar(request, error)
        case NotFoundError():
            return NotFound(error.detail or "")
        case StalePrecondition():
            return PreconditionFailed()
        case InvalidCursor():
            return BadCursor(str(error))
        case errors.OutcomeUnknown():
            return OutcomeUnknown()
        case errors.Unavailable():
            return Unavailable(str(error), headers={"Retry-After": str(error.retry_after)})
        case errors.Conflict():
            return Conflicting(str(error))
        case errors.Invalid() if request.method == "GET":
            return BadQuery(str(error))
        case errors.Invalid():
            return InvalidBody(str(error))
    log.error("request failed", path=request.scope["path"], exc_info=error)
    return Failed()


def of_stop(method: str) -> Problem:
    """Of a request that is not answered when the service stops and waits no longer."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return Unavailable("The service is being stopped: try again in a moment.", headers={"Retry-After": "1"})
    return OutcomeUnknown()


def _of_litestar(request: Request[Any, Any, Any], error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return NotFound(f"There is nothing at {request.scope['path']}.")
        case 405 if isinstance(error, MethodNotAllowedException):
            return MethodNotAllowed(headers=error.headers)
        case 413:
            return TooLarge()
        case 415:
            return UnsupportedMedia(error.detail)
        case 400 if isinstance(error, ValidationException):
            return Malformed(EMPTY)
        case 400:
            return Malformed(error.detail)
        case 500 if error.detail == "client disconnected prematurely":
            return Malformed(ENDED_EARLY)
    if error.status_code >= 500:
        log.error("request failed", path=request.scope["path"], exc_info=error)
    return Failed()


def details(request: Request[Any, Any, Any], problem: Problem) -> ProblemDetails:
    instance = quote(request.scope["path"], safe=PATH_CHARACTERS)
    return ProblemDetails(
        f"/problems/{problem.slug}", problem.title, problem.status, problem.detail, instance, problem.errors
    )


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    problem = of_exception(request, error)
    return Response(
        msgspec.json.encode(details(request, problem)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**problem.headers, "Cache-Control": "no-store"},
    )

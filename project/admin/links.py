"""Links that nobody was given, but made by hand: what they ask for is not there."""

import datetime as dt
import math
from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from project.admin.forms import Endpoint

IDS = range(-(2**63), 2**63)


def is_place(values: Iterable[Any]) -> bool:
    """Whether a record can have these values, and a page end with it."""
    return all(map(_is_kept, values))


def _is_kept(value: Any) -> bool:
    match value:
        case dt.datetime():
            return value.tzinfo is dt.UTC
        case float():
            return math.isfinite(value)
        case int():
            return value in IDS
    return value is not None


def within_the_calendar(endpoint: Endpoint) -> Endpoint:
    """One of the library's, which counts on from the days of a link, beyond the first and the last of all."""

    async def answer(site: Any, request: Request) -> Response:
        try:
            return await endpoint(site, request)
        except OverflowError as error:
            if request.method != "GET":
                raise
            raise HTTPException(
                404, "There is nothing before the first day of the calendar, or after the last."
            ) from error

    return answer

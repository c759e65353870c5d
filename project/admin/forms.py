"""The token that a form of the site brings back: whoever sends one from elsewhere does not know it."""

from collections.abc import Awaitable, Callable
from typing import Any

from adminsite._http.csrf import FIELD_NAME, TOKEN_HEADER, is_valid
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Endpoint = Callable[[Any, Request], Awaitable[Response]]


async def require_token(request: Request) -> None:
    """Raises HTTPException for a form that has another. It is read for that, files included."""
    token = (await request.form()).get(FIELD_NAME)
    if not (isinstance(token, str) and token.isascii() and is_valid(request, token)):
        raise _expired()


def with_comparable_token(endpoint: Endpoint) -> Endpoint:
    """One of the library's, which fails over a token that is not ASCII instead of refusing it."""

    async def answer(site: Any, request: Request) -> Response:
        if request.method == "POST":
            token = (await request.form()).get(FIELD_NAME) or request.headers.get(TOKEN_HEADER)
            if isinstance(token, str) and not token.isascii():
                raise _expired()
        return await endpoint(site, request)

    return answer


def _expired() -> HTTPException:
    return HTTPException(403, "This form has expired.")

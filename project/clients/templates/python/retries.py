"""Requests that are sent again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import httpx

from .types import Response

T = TypeVar("T")

AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def retry(call: Callable[[], Response[T]], attempts: int = 5) -> Response[T]:
    """Call until there is an answer that is none of 429 and 503, waiting for as long as `Retry-After` says.

    An answer that was lost is asked for again too: a call that creates needs an `Idempotency-Key`.
    """
    for _ in range(attempts - 1):
        try:
            response = call()
        except httpx.TransportError:
            seconds = 1.0
        else:
            if response.status_code not in AGAIN:
                return response
            seconds = float(response.headers.get("Retry-After", "1"))
        time.sleep(seconds)
    return call()


async def retry_asyncio(call: Callable[[], Awaitable[Response[T]]], attempts: int = 5) -> Response[T]:
    """The same for a call that is awaited."""
    for _ in range(attempts - 1):
        try:
            response = await call()
        except httpx.TransportError:
            seconds = 1.0
        else:
            if response.status_code not in AGAIN:
                return response
            seconds = float(response.headers.get("Retry-After", "1"))
        await asyncio.sleep(seconds)
    return await call()

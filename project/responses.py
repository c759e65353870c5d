"""Answers, as they are kept for repetitions, as the responses that Litestar sends."""

import os
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

from litestar import Response
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from project.idempotency import Answer
from project.transfer.spools import send

JSON = (b"content-type", b"application/json")


class Encoded:
    """JSON that is ready to be sent as it is. Litestar takes it for a Response, of which it wants no more than this."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:
        return self.send

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body, given = self._answer
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in given.items()]
        if status != 304:
            headers.append(JSON)
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def json_response(answer: Answer) -> Response[Any]:
    return cast(Response[Any], Encoded(answer))


def download(file: BinaryIO, held: ExitStack, media_type: str, name: str) -> Stream:
    """The file, for saving under that name. What is held, the file itself at least, is let go when it is sent."""
    size = file.seek(0, os.SEEK_END)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(send(file, held), headers=headers, media_type=media_type)

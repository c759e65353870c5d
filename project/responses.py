"""Answers, as they are kept for repetitions, as the responses that Litestar sends."""

import os
from contextlib import ExitStack
from typing import Any, BinaryIO

from litestar import Response
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from project.idempotency import Answer
from project.transfer.spools import send


class Encoded(Response[bytes]):
    """JSON that is ready to be sent as it is: Litestar would take it apart and put it together again."""

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIApp:  # type: ignore[override]  # any ASGI application will do
        return self._send

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status_code != 304:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", b"%d" % len(self.content)))
        await send({"type": "http.response.start", "status": self.status_code or 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def json_response(answer: Answer) -> Response[Any]:
    return Encoded(answer.body, status_code=answer.status, headers=answer.headers)


def download(file: BinaryIO, held: ExitStack, media_type: str, name: str) -> Stream:
    """The file, for saving under that name. What is held, the file itself at least, is let go when it is sent."""
    size = file.seek(0, os.SEEK_END)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(send(file, held), headers=headers, media_type=media_type)

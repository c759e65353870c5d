"""Answers, as they are kept for repetitions, as the responses that Litestar sends."""

import os
from contextlib import ExitStack
from functools import partial
from typing import Any, BinaryIO

from litestar import MediaType, Response
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from project.idempotency import Answer
from project.transfer.spools import send

JSON = (b"content-type", b"application/json")


class Encoded(Response[bytes]):
    """JSON that is ready to be sent as it is: Litestar would take it apart and put it together again."""

    def __init__(self, answer: Answer) -> None:
        # Response's own way of setting these takes as long as to read a record.
        self.content = answer.body
        self.status_code = answer.status
        self.headers = dict(answer.headers)
        self.media_type = MediaType.JSON
        self.background = None
        self.cookies = []
        self.encoding = "utf-8"
        self.response_type_encoders = {}

    def to_asgi_response(self, *args: Any, **options: Any) -> ASGIApp:  # type: ignore[override]  # any application will do
        """Of one to which something was added, Litestar's."""
        if self.background or self.cookies or options.get("headers") or options.get("cookies"):
            return super().to_asgi_response(*args, **options)
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        if self.status_code != 304:
            headers.append(JSON)
            headers.append((b"content-length", b"%d" % len(self.content)))
        return partial(self._send, headers)

    async def _send(self, headers: list[tuple[bytes, bytes]], scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code or 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})


def json_response(answer: Answer) -> Response[Any]:
    return Encoded(answer)


def download(file: BinaryIO, held: ExitStack, media_type: str, name: str) -> Stream:
    """The file, for saving under that name. What is held, the file itself at least, is let go when it is sent."""
    size = file.seek(0, os.SEEK_END)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(send(file, held), headers=headers, media_type=media_type)

"""Answers, as they are kept for repetitions, as the responses that Litestar sends."""

import os
from contextlib import ExitStack
from typing import Any, BinaryIO

from litestar import Response
from litestar.response import Stream

from project.idempotency import Answer
from project.transfer.spools import send


def json_response(answer: Answer) -> Response[Any]:
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type="application/json")


def download(file: BinaryIO, held: ExitStack, media_type: str, name: str) -> Stream:
    """The file, for saving under that name. What is held, the file itself at least, is let go when it is sent."""
    size = file.seek(0, os.SEEK_END)
    headers = {"Content-Length": str(size), "Content-Disposition": f'attachment; filename="{name}"'}
    return Stream(send(file, held), headers=headers, media_type=media_type)

"""Answers, as they are kept for repetitions, as the responses that Litestar sends."""

from typing import Any

from litestar import Response

from project.idempotency import Answer


def json_response(answer: Answer) -> Response[Any]:
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type="application/json")

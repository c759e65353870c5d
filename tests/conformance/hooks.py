"""What schemathesis cannot know from a schema: what makes a value that has the right form a right one."""

import csv
import io
import json
import os
import uuid
from typing import Any

import schemathesis
from hypothesis import strategies as st

OWN_TOKEN, NO_TOKEN = "1", 2**62
"""What the requests are made with is not to be revoked by one of them."""

USER = {"username": os.environ["CONFORMANCE_USERNAME"], "password": os.environ["CONFORMANCE_PASSWORD"]}

NAMES = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)
STUDENTS = st.lists(
    st.fixed_dictionaries({"name": NAMES, "department": NAMES, "cgpa": st.floats(min_value=0, max_value=10)}),
    max_size=5,
)


def as_csv(students: list[dict[str, object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ("name", "department", "cgpa"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(students)
    return text.getvalue().encode()


def as_json_lines(students: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(student).encode() + b"\n" for student in students)


schemathesis.openapi.media_type("text/csv", STUDENTS.map(as_csv))
schemathesis.openapi.media_type("application/x-ndjson", STUDENTS.map(as_json_lines))


@schemathesis.serializer("text/csv", "application/x-ndjson")
def send_text(context: Any, value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """What was used or given before: a key that is new, ETags that let a change through, no cursor, a real user."""
    if str(case.path_parameters.get("token_id")) == OWN_TOKEN:
        case.path_parameters["token_id"] = NO_TOKEN
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    for name in case.headers or ():
        if name.lower() == "idempotency-key":
            case.headers[name] = str(uuid.uuid4())
        elif name.lower() == "if-match":
            case.headers[name] = "*"
        elif name.lower() == "if-none-match" and case.method != "GET":
            case.headers[name] = '"another"'
    (case.query or {}).pop("cursor", None)
    if isinstance(case.body, dict) and case.body.keys() >= USER.keys():
        case.body = {**case.body, **USER}

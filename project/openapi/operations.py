"""What each operation of the document says, mended.

What an operation can be asked and answered follows from what its handler declares: a struct of query parameters, a
body, a header of `project.headers`. Every mend is one function, which says what came of the document without it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from litestar import Litestar
from litestar.datastructures import ResponseHeader
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import Example, OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.routes import HTTPRoute

from project import problems
from project.access import needed
from project.callers import ROLES, Role
from project.headers import IDEMPOTENCY_REPLAYED, RETRY_AFTER, WWW_AUTHENTICATE
from project.openapi.structs import REFERENCE, Json, described
from project.problems import Problem, ProblemDetails

SCHEME = "token"
"""What the document calls the way in which callers say who they are."""

ROLE = "x-least-role"
"""The key of an operation for the least role that may call it, where a token is asked for."""

PROBLEMS = "problems"
"""The key of a handler's `opt` for the problems that do not follow from what it declares."""

OF_FORMAT = {"date-time": "2026-01-31T09:30:00Z", "date": "2026-01-31", "uuid": "00000000-0000-4000-8000-000000000000"}


def streamed(*, takes: Mapping[str, str] | None = None, gives: Mapping[str, str] | None = None) -> type[Operation]:
    """For `operation_class` of a route whose bodies are files of text: an example of each media type.

    What they give is called binary: clients in Java read any other string as JSON. What they take is not: they write
    the name of a file as JSON.
    """

    @dataclass
    class Streamed(Operation):
        def __post_init__(self) -> None:
            if takes:
                self.request_body = RequestBody(required=True, content=_texts(takes, Schema(type=OpenAPIType.STRING)))
            if gives:
                success = (self.responses or {})["200"]
                assert isinstance(success, OpenAPIResponse)
                success.content = _texts(gives, Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))

    return Streamed


def _texts(examples: Mapping[str, str], schema: Schema) -> dict[str, OpenAPIMediaType]:
    return {
        media_type: OpenAPIMediaType(schema=schema, examples={"example": Example(value=example)})
        for media_type, example in examples.items()
    }


class Described(NamedTuple):
    """An operation of the document, and the handler that it stands for."""

    path: str
    handler: HTTPRouteHandler
    content: Json
    components: Json

    @property
    def role(self) -> Role | None:
        """The least that may call it; None for anybody."""
        (method,) = self.handler.http_methods
        return needed(self.path, method)

    @property
    def success(self) -> Json:
        response: Json = self.content["responses"][str(self.handler.status_code)]
        return response

    @property
    def bodies(self) -> Json:
        """What it takes, by media type."""
        content: Json = self.content.get("requestBody", {}).get("content", {})
        return content

    def parameters(self, place: str) -> set[str]:
        """The names of the parameters in that place: `path`, `query` or `header`."""
        return {each["name"] for each in self.content.get("parameters", ()) if each["in"] == place}

    def resolved(self, schema: Json) -> Json:
        if "$ref" in schema:
            found: Json = self.components[schema["$ref"].rpartition("/")[2]]
            return found
        return schema


def mend(app: Litestar, document: Json) -> None:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS" and handler.resolve_include_in_schema():
                    path = route.path_format or "/"
                    content = document["paths"][path][method.lower()]
                    operation = Described(path, handler, content, document["components"]["schemas"])
                    for mend_one in MENDS:
                        mend_one(operation)


def describe(operation: Described) -> None:
    """The first line of the docstring is the summary: pages listed every operation as `Create` or `Get`."""
    name = operation.handler.handler_name.replace("_", " ").capitalize()
    first, _, rest = operation.content.get("description", name).partition("\n")
    operation.content["summary"] = operation.handler.summary or first.strip().removesuffix(".")
    operation.content["description"] = in_lines(rest) or first


def in_lines(text: str) -> str:
    """One line a paragraph: Markdown may show a line break as one."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))


def add_security(operation: Described) -> None:
    """Whether a token is asked for, and of which role: pages offered no place to give one.

    OpenAPI has room for roles among the scopes, but linters take them for scopes that nobody declared.
    """
    operation.content["security"] = []
    if operation.role is not None:
        operation.content.update({"security": [{SCHEME: []}], ROLE: operation.role})
        operation.content["description"] += f"\n\nFor the role `{operation.role}` and above."


def add_query(operation: Described) -> None:
    """The fields of the struct `parameters` are the query: clients had no parameters at all."""
    field = operation.handler.parsed_fn_signature.parameters.get("parameters")
    if field is None or not field.is_subclass_of(msgspec.Struct):
        return
    _, components = described(field.annotation)
    struct = components[field.annotation.__name__]
    for name, schema in struct["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in struct["required"], "schema": schema}
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": True}
            if not schema.get("default"):
                schema.pop("default", None)
        operation.content.setdefault("parameters", []).append(parameter)


def tidy_parameters(operation: Described) -> None:
    """A parameter is absent, never null, and described once: clients sent `If-Match: null`."""
    for parameter in operation.content.get("parameters", ()):
        schema = parameter["schema"]
        for alternative in schema.pop("oneOf", ()):
            if alternative != {"type": "null"}:
                schema.update(alternative)
        schema.pop("title", None)
        description = schema.pop("description", None)
        if description is not None:
            parameter.setdefault("description", description)
        parameter.pop("deprecated", None)


def tidy_headers(operation: Described) -> None:
    """Each header of an answer has a schema, also those that follow from a request's: clients could not read them."""
    headers = operation.success.pop("headers", {})
    described = {name: _header(header.get("description")) for name, header in headers.items()}
    if "Idempotency-Key" in operation.parameters("header"):
        described[IDEMPOTENCY_REPLAYED.name] = _header(IDEMPOTENCY_REPLAYED.description)
    if described:
        operation.success["headers"] = dict(sorted(described.items()))


def _header(description: str | None) -> Json:
    return {"description": description or "", "schema": {"type": "string"}}


def add_not_modified(operation: Described) -> None:
    """A conditional read can answer 304: clients took it for an error."""
    if operation.handler.http_methods == {"GET"} and "If-None-Match" in operation.parameters("header"):
        response: Json = {"description": "The record still has the ETag of If-None-Match."}
        if "headers" in operation.success:
            response["headers"] = dict(operation.success["headers"])
        operation.content["responses"]["304"] = response


def add_problems(operation: Described) -> None:
    """Each status with the problems that it can mean: clients knew of 400 only, in the shape of Litestar's errors."""
    responses = operation.content["responses"]
    responses.pop("400", None)
    by_status: dict[int, list[type[Problem]]] = {}
    for kind in dict.fromkeys(_kinds(operation)):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in by_status.items():
        response: Json = {
            "description": "\n\n".join(f"**{kind.title}**: {kind.meaning}" for kind in kinds),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": REFERENCE.format(name=ProblemDetails.__name__)},
                    "examples": {kind.slug: {"value": _example_of_problem(operation, kind)} for kind in kinds},
                }
            },
        }
        if status in _HEADERS:
            header = _HEADERS[status]
            response["headers"] = {header.name: _header(header.description)}
        responses[str(status)] = response
    operation.content["responses"] = dict(sorted(responses.items()))


_HEADERS: Mapping[int, ResponseHeader] = {
    HTTPStatus.UNAUTHORIZED: WWW_AUTHENTICATE,
    HTTPStatus.TOO_MANY_REQUESTS: RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: RETRY_AFTER,
}


def _kinds(operation: Described) -> Iterator[type[Problem]]:
    """What can go wrong with an operation, by what it takes."""
    headers = operation.parameters("header")
    yield from operation.handler.opt.get(PROBLEMS, ())
    if operation.role is not None:
        yield problems.Unauthenticated
        yield problems.Throttled
        yield problems.Unavailable
    if operation.role not in (None, ROLES[0]):
        yield problems.Forbidden
    yield problems.BadQuery
    if operation.bodies or "Idempotency-Key" in headers:
        yield problems.Malformed
    if "cursor" in operation.parameters("query"):
        yield problems.BadCursor
    if operation.parameters("path"):
        yield problems.NotFound
    if "content" in operation.success:
        yield problems.NotAcceptable
    if "If-Match" in headers:
        yield problems.PreconditionFailed
    if operation.bodies:
        yield problems.TooLarge
        yield problems.UnsupportedMedia
        yield problems.InvalidBody
    if "Idempotency-Key" in headers:
        yield problems.KeyReused
    if "database" in operation.handler.parsed_fn_signature.parameters:
        yield problems.Unavailable
        if operation.handler.http_methods != {"GET"}:
            yield problems.OutcomeUnknown


def _example_of_problem(operation: Described, kind: type[Problem]) -> Json:
    errors = []
    if kind is problems.BadQuery:
        errors = [problems.FieldError("/page", "is not known here")]
    elif kind is problems.InvalidBody and "application/json" in operation.bodies:
        schema = operation.resolved(operation.bodies["application/json"]["schema"])
        place, fields = ("", schema) if "properties" in schema else ("/0", operation.resolved(schema["items"]))
        errors = [problems.FieldError(f"{place}/{next(iter(fields['properties']))}", "is required")]
    path = re.sub(r"\{\w+\}", "1", operation.path)
    details = ProblemDetails(f"/problems/{kind.slug}", kind.title, kind.status, kind.meaning, path, errors)
    built: Json = msgspec.to_builtins(details)
    return built


def add_examples(operation: Described) -> None:
    """An example of each body, put together from those of its fields: pages showed `string` and `0`."""
    for media_type in (*operation.bodies.values(), *operation.success.get("content", {}).values()):
        if "examples" not in media_type:
            try:
                media_type["examples"] = {"example": {"value": _example(media_type["schema"], operation)}}
            except LookupError:
                continue


def _example(schema: Json, operation: Described, inside: tuple[Json, ...] = ()) -> Any:
    """Raises LookupError where a field has no example and is not of a kind that anybody can guess."""
    schema = operation.resolved(schema)
    if schema in inside:
        raise LookupError("a struct that holds itself")
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    inside = (*inside, schema)
    match schema:
        case {"anyOf": alternatives}:
            return _example(next(each for each in alternatives if each != {"type": "null"}), operation, inside)
        case {"type": "object"}:
            fields = schema.get("properties", {})
            return {name: _example(each, operation, inside) for name, each in fields.items()}
        case {"type": "array", "items": items}:
            return [_example(items, operation, inside)] * schema.get("minItems", 1)
        case {"type": "boolean"}:
            return schema.get("default", False)
        case {"type": "integer" | "number", "minimum": least}:
            return least
        case {"format": str(kind)} if kind in OF_FORMAT:
            return OF_FORMAT[kind]
    raise LookupError("a field without an example")


MENDS: Sequence[Callable[[Described], None]] = (
    describe,
    add_security,
    add_query,
    tidy_parameters,
    tidy_headers,
    add_not_modified,
    add_problems,
    add_examples,
)

"""The OpenAPI document: Litestar's, put right where it misleads those who generate clients from it.

Structs are described by msgspec, which reads them for the requests too. What an operation can be asked and answered
follows from what its handler declares: a struct of query parameters, a body, a header of `project.headers`. Every mend
of the finished document is one function, which says what came of the document without it.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
from litestar import Controller, Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import (
    Contact,
    Example,
    License,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    RequestBody,
    Schema,
    SecurityRequirement,
    Tag,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.plugins import OpenAPISchemaPlugin
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import Method
from litestar.typing import FieldDefinition

from project import problems
from project.headers import IDEMPOTENCY_REPLAYED, RETRY_AFTER
from project.problems import Problem, ProblemDetails

Json = dict[str, Any]
Format = Literal["json", "yaml"]

COMMITTED = Path(__file__).parent / "docs" / "openapi.json"
"""The document that clients are generated from, kept with the code so that a change of it is seen in review."""

TITLE = "Registrar"
VERSION = "1.0.0"
DESCRIPTION = """\
Bodies are JSON in UTF-8 and read strictly: `"9"` is no number, an unknown field or query parameter is refused.

**Errors.** Every error is `application/problem+json` (RFC 9457). Its `type` is a path that explains the kind of
problem; of a body or query that is refused, `errors` names every bad field.

**Changes.** An `ETag` names a state of a record. Send it as `If-Match` with a change, and the change is made only if
nobody else was faster; otherwise the answer is 412. A request with an `Idempotency-Key` may be sent again: it is done
once.

**Lists.** A page of a list ends with `next_cursor`; send it as `cursor`, with the same sort and filters, for the page
that follows.
"""

SECURITY: list[SecurityRequirement] = []
"""What is asked of callers where a handler does not say otherwise: nothing, as there are no accounts."""

REFERENCE = "#/components/schemas/{name}"
END_OF_TEXT = r"$(?![\s\S])"
MOST_INT32 = 2**31 - 1
MOST_INT64 = 2**63 - 1


def config(controllers: Sequence[type[Controller]]) -> OpenAPIConfig:
    return OpenAPIConfig(
        title=TITLE,
        version=VERSION,
        description=_in_lines(DESCRIPTION),
        contact=Contact(name=TITLE),
        license=License(name="MIT", identifier="MIT"),
        security=SECURITY,
        tags=[
            Tag(name=tag, description=_in_lines(cleandoc(controller.__doc__ or tag.capitalize())))
            for controller in controllers
            for tag in vars(controller).get("tags", ())
        ],
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        openapi_router=NoRoutes("/", route_handlers=[]),
    )


def operation_id(handler: HTTPRouteHandler, method: Method, path: Sequence[Any]) -> str:
    """`createCourse` for the method `create` of `CourseController`, `listCourses` for the function `list_courses`."""
    owner, _, name = handler.fn.__qualname__.rpartition(".")
    first, *others = name.split("_")
    noun = owner.rpartition(".")[2].removesuffix("Controller")
    return first + "".join(word.capitalize() for word in others) + noun


class NoRoutes(Router):
    """Where Litestar puts its own pages of documentation; beside them it answers every unknown path with HTML."""

    def register(self, value: Any) -> list[BaseRoute]:
        return []


class Verbatim(Schema):
    """A schema that is finished."""

    def __init__(self, content: Json) -> None:
        super().__init__()
        self.content = content

    def to_schema(self) -> Json:
        return self.content


class Structs(OpenAPISchemaPlugin):
    """Lets msgspec describe structs, and lists of them.

    Litestar's description lost the bounds of fields that may be absent, so that clients sent what is refused, and let
    the default of one field leak into every other of its type, so that a PATCH reset what it did not name.
    """

    def __init__(self) -> None:
        self.components: Json = {}

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        inner = field_definition.inner_types if field_definition.is_subclass_of(list) else ()
        return any(each.is_subclass_of(msgspec.Struct) for each in (field_definition, *inner))

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        (schema,), components = _described(field_definition.raw)
        self.components.update(components)
        return Verbatim(schema)


def streamed(*, takes: Mapping[str, str] | None = None, gives: Mapping[str, str] | None = None) -> type[Operation]:
    """For `operation_class` of a route whose bodies are streams of text: an example of each media type."""

    @dataclass
    class Streamed(Operation):
        def __post_init__(self) -> None:
            if takes:
                self.request_body = RequestBody(required=True, content=_texts(takes))
            if gives:
                success = (self.responses or {})["200"]
                assert isinstance(success, OpenAPIResponse)
                success.content = _texts(gives)

    return Streamed


def _texts(examples: Mapping[str, str]) -> dict[str, OpenAPIMediaType]:
    return {
        media_type: OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING), examples={"example": Example(value=example)}
        )
        for media_type, example in examples.items()
    }


class Document:
    """The document of an application, made when it is first asked for."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    @cached_property
    def content(self) -> Json:
        content = copy.deepcopy(self._app.openapi_schema.to_schema())
        _take_components(content, self._app.plugins.get(Structs).components)
        for operation in _operations(self._app, content):
            for mend_operation in OPERATION_MENDS:
                mend_operation(operation)
        for mend in DOCUMENT_MENDS:
            mend(content)
        return content

    @cached_property
    def json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self.content), indent=2) + b"\n"

    @cached_property
    def yaml(self) -> bytes:
        # Decoded again, so that no two places hold one object: YAML would write the second as an alias.
        return msgspec.yaml.encode(msgspec.json.decode(self.json))

    def encoded(self, form: Format) -> bytes:
        return self.yaml if form == "yaml" else self.json


class Described(NamedTuple):
    """An operation of the document, and the handler that it stands for."""

    path: str
    handler: HTTPRouteHandler
    content: Json
    document: Json

    @property
    def components(self) -> Json:
        schemas: Json = self.document["components"]["schemas"]
        return schemas

    def parameters(self, place: str) -> dict[str, Json]:
        return {each["name"]: each for each in self.content.get("parameters", ()) if each["in"] == place}

    @property
    def success(self) -> Json:
        response: Json = self.content["responses"][str(self.handler.status_code)]
        return response


def _operations(app: Litestar, document: Json) -> Iterator[Described]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method != "OPTIONS" and handler.resolve_include_in_schema():
                    path = route.path_format or "/"
                    yield Described(path, handler, document["paths"][path][method.lower()], document)


def _described(*types: Any) -> tuple[tuple[Json, ...], Json]:
    return msgspec.json.schema_components(types, ref_template=REFERENCE)


def _take_components(document: Json, components: Json) -> None:
    _, common = _described(ProblemDetails)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(components | common)


# Mends of an operation, in the order in which they are made


def describe(operation: Described) -> None:
    """The first line of the docstring is the summary: pages listed every operation as `Create` or `Get`."""
    summary, _, rest = str(operation.content.get("description", operation.content["summary"])).partition("\n")
    operation.content["summary"] = summary.strip().removesuffix(".")
    operation.content["description"] = _in_lines(rest) or summary


def _in_lines(text: str) -> str:
    """One line a paragraph: Markdown may show a line break as one."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()))


def add_query(operation: Described) -> None:
    """The fields of the struct `parameters` are the query: clients had no parameters at all."""
    field = operation.handler.parsed_fn_signature.parameters.get("parameters")
    if field is None or not field.is_subclass_of(msgspec.Struct):
        return
    _, components = _described(field.annotation)
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
        parameter.setdefault("description", description)
        parameter.pop("deprecated", None)


def tidy_headers(operation: Described) -> None:
    """Each header of an answer has a schema, also those that follow from a request's: clients could not read them."""
    headers = operation.success.setdefault("headers", {})
    if "Idempotency-Key" in operation.parameters("header"):
        headers[IDEMPOTENCY_REPLAYED.name] = _header(IDEMPOTENCY_REPLAYED.description)
    for name, header in headers.items():
        headers[name] = _header(header["description"])
    if not headers:
        del operation.success["headers"]


def _header(description: str | None) -> Json:
    return {"description": description, "schema": {"type": "string"}}


def add_not_modified(operation: Described) -> None:
    """A conditional read can answer 304: clients took it for an error."""
    if operation.handler.http_methods == {"GET"} and "If-None-Match" in operation.parameters("header"):
        response: Json = {"description": "The record still has the ETag of If-None-Match."}
        if headers := operation.success.get("headers"):
            response["headers"] = dict(headers)
        operation.content["responses"]["304"] = response


def add_problems(operation: Described) -> None:
    """Each status with the problems that it can mean: clients knew of 400 only, in the shape of Litestar's errors."""
    responses = operation.content["responses"]
    responses.pop("400", None)
    by_status: dict[int, list[type[Problem]]] = {}
    for kind in _kinds(operation):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        response: Json = {
            "description": "\n\n".join(f"**{kind.title}**: {kind.meaning}" for kind in kinds),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": REFERENCE.format(name=ProblemDetails.__name__)},
                    "examples": {kind.slug: {"value": _example_of_problem(operation, kind)} for kind in kinds},
                }
            },
        }
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            response["headers"] = {RETRY_AFTER.name: _header(RETRY_AFTER.description)}
        responses[str(status)] = response


def _kinds(operation: Described) -> Iterator[type[Problem]]:
    """What can go wrong with an operation, by what it takes."""
    yield problems.BadQuery
    if "content" in operation.success:
        yield problems.NotAcceptable
    body = operation.content.get("requestBody", {}).get("content", {})
    headers = operation.parameters("header")
    if "application/json" in body or "Idempotency-Key" in headers:
        yield problems.Malformed
    if "cursor" in operation.parameters("query"):
        yield problems.BadCursor
    if operation.parameters("path"):
        yield problems.NotFound
    if "If-Match" in headers:
        yield problems.PreconditionFailed
    if body:
        yield problems.TooLarge
        yield problems.UnsupportedMedia
    if "application/json" in body:
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
    elif kind is problems.InvalidBody:
        schema = _resolved(operation.content["requestBody"]["content"]["application/json"]["schema"], operation)
        place, fields = ("", schema) if "properties" in schema else ("/0", _resolved(schema["items"], operation))
        errors = [problems.FieldError(f"{place}/{next(iter(fields['properties']))}", "is required")]
    path = re.sub(r"\{\w+\}", "1", operation.path)
    details = ProblemDetails(f"/problems/{kind.slug}", kind.title, kind.status, kind.meaning, path, errors)
    built: Json = msgspec.to_builtins(details)
    return built


def _resolved(schema: Json, operation: Described) -> Json:
    if "$ref" in schema:
        found: Json = operation.components[schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def add_examples(operation: Described) -> None:
    """An example of each body, put together from those of its fields: pages showed `string` and `0`."""
    bodies = [operation.content.get("requestBody", {}), operation.success]
    for media_type in (each for body in bodies for each in body.get("content", {}).values()):
        if "examples" not in media_type:
            try:
                media_type["examples"] = {"example": {"value": _example(media_type["schema"], operation)}}
            except LookupError:
                continue


def _example(schema: Json, operation: Described) -> Any:
    """Raises LookupError where a field has no example and is not of a kind that anybody can guess."""
    schema = _resolved(schema, operation)
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    match schema.get("type"):
        case "object":
            return {name: _example(each, operation) for name, each in schema.get("properties", {}).items()}
        case "array":
            return [_example(schema["items"], operation)] * schema.get("minItems", 1)
        case "boolean":
            return schema.get("default", False)
        case "integer" | "number" if "minimum" in schema:
            return schema["minimum"]
    raise LookupError("a field without an example")


# Mends of the whole document


def drop_noise(document: Json) -> None:
    """What says nothing, or says twice what a component's name says: generators named classes after it."""
    for schema in _schemas(document):
        schema.pop("title", None)
        if schema.get("required") == []:
            del schema["required"]
    for item in document["paths"].values():
        for operation in item.values():
            operation.pop("deprecated", None)


def name_numbers(document: Json) -> None:
    """The size of every number: Java made `Integer` of an id, `BigDecimal` of a mark.

    The highest int64 is not said again as a bound: JavaScript shows and checks another number.
    """
    for schema in _schemas(document):
        if schema.get("type") == "number":
            schema.setdefault("format", "double")
        elif schema.get("type") == "integer":
            least, most = schema.get("minimum", -MOST_INT64), schema.get("maximum", MOST_INT64)
            schema.setdefault("format", "int32" if least >= -MOST_INT32 and most <= MOST_INT32 else "int64")
            if most == MOST_INT64:
                schema.pop("maximum", None)


def name_texts(document: Json) -> None:
    """The type of every list of words: generators made `any` of an enumeration without one."""
    for schema in _schemas(document):
        if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
            schema.setdefault("type", "string")


def name_orders(document: Json) -> None:
    """A name for each way to sort: Python made members called `VALUE_0` of those that start with `-`."""
    for schema in _schemas(document):
        words = schema.get("enum", ())
        if any(str(word).startswith("-") for word in words):
            names = [f"{word[1:]}_descending" if word.startswith("-") else word for word in words]
            schema["x-enum-varnames"] = [name.upper() for name in names]


def mend_patterns(document: Json) -> None:
    r"""The end of a text for every language: `\Z` was the letter Z elsewhere, while `$` lets a line break in here."""
    for schema in _schemas(document):
        if schema.get("pattern", "").endswith(r"\Z"):
            schema["pattern"] = schema["pattern"].removesuffix(r"\Z") + END_OF_TEXT


def rename_problem(document: Json) -> None:
    """Clients know the body of an error as `Problem`, which is the name of the exception here."""
    schemas = document["components"]["schemas"]
    schemas["Problem"] = schemas.pop(ProblemDetails.__name__)
    for node in _nodes(document):
        if node.get("$ref") == REFERENCE.format(name=ProblemDetails.__name__):
            node["$ref"] = REFERENCE.format(name="Problem")


def sort(document: Json) -> None:
    """Everything in an order that means something to a reader: it was that of a set, another in every process."""
    tags = [tag["name"] for tag in document.get("tags", ())]

    def place(item: tuple[str, Json]) -> tuple[int, str]:
        path, operations = item
        tag = next(iter(operations.values()))["tags"][0]
        return tags.index(tag), path.replace("{", " ")

    _put_first(document, "openapi", "info", "servers", "security", "tags", "paths")
    document["paths"] = dict(sorted(document["paths"].items(), key=place))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    for item in document["paths"].values():
        for operation in item.values():
            _put_first(operation, "tags", "summary", "description", "operationId", "parameters", "requestBody")
            operation["responses"] = dict(sorted(operation["responses"].items()))
            for response in operation["responses"].values():
                if "headers" in response:
                    response["headers"] = dict(sorted(response["headers"].items()))


def _put_first(node: Json, *keys: str) -> None:
    first = {key: node[key] for key in keys if key in node}
    others = {key: value for key, value in node.items() if key not in first}
    node.clear()
    node.update(first | others)


def _nodes(value: Any) -> Iterator[Json]:
    """Every object in the document, outer ones first."""
    if isinstance(value, dict):
        yield value
        for each in list(value.values()):
            yield from _nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)


def _schemas(document: Json) -> Iterator[Json]:
    """Every schema, those inside others too, but not what looks like one in an example."""
    roots = list(document["components"]["schemas"].values())
    roots += [node["schema"] for node in _nodes(document["paths"]) if isinstance(node.get("schema"), dict)]
    while roots:
        schema = roots.pop()
        yield schema
        roots += schema.get("properties", {}).values()
        roots += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
        roots += [each for key in ("anyOf", "oneOf", "allOf", "prefixItems") for each in schema.get(key, ())]


OPERATION_MENDS: Sequence[Callable[[Described], None]] = (
    describe,
    add_query,
    tidy_parameters,
    tidy_headers,
    add_not_modified,
    add_problems,
    add_examples,
)
DOCUMENT_MENDS: Sequence[Callable[[Json], None]] = (
    drop_noise,
    name_numbers,
    name_texts,
    name_orders,
    mend_patterns,
    rename_problem,
    sort,
)

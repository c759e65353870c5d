"""What the document says as a whole, mended. Every mend is one function, which says what came of it before."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from litestar.exceptions import ImproperlyConfiguredException

from project.openapi.structs import REFERENCE, Json
from project.problems import ProblemDetails

END_OF_TEXT = r"$(?![\s\S])"
MOST_INT32 = 2**31 - 1
MOST_INT64 = 2**63 - 1


def mend(document: Json) -> None:
    for mend_one in MENDS:
        mend_one(document)


def names(document: Json) -> set[str]:
    """What no other struct or operation may be called."""
    operations = {operation["operationId"] for operation in _operations(document)}
    return {*document["components"]["schemas"], *operations, ProblemDetails.__name__}


def drop_noise(document: Json) -> None:
    """What says nothing, or repeats a component's name: generators named classes after it."""
    for schema in _schemas(document):
        schema.pop("title", None)
        if schema.get("required") == []:
            del schema["required"]
    for operation in _operations(document):
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
    if "Problem" in schemas:
        raise ImproperlyConfiguredException(
            "A struct is called Problem, as clients know the body of an error: rename it."
        )
    schemas["Problem"] = schemas.pop(ProblemDetails.__name__)
    for node in _nodes(document):
        if node.get("$ref") == REFERENCE.format(name=ProblemDetails.__name__):
            node["$ref"] = REFERENCE.format(name="Problem")


def sort(document: Json) -> None:
    """Everything in an order that means something to a reader: it was that of a set, another in every process."""
    tags = [tag["name"] for tag in document.get("tags", ())]

    def place(entry: tuple[str, Json]) -> tuple[int, str]:
        path, item = entry
        used = {tag for operation in item.values() for tag in operation.get("tags", ())}
        return min((tags.index(tag) for tag in used if tag in tags), default=len(tags)), path.replace("{", " ")

    _put_first(document, "openapi", "info", "servers", "security", "tags", "paths")
    document["paths"] = dict(sorted(document["paths"].items(), key=place))
    document["components"]["schemas"] = dict(sorted(document["components"]["schemas"].items()))
    for operation in _operations(document):
        _put_first(operation, "tags", "summary", "description", "operationId", "parameters", "requestBody")


def _put_first(node: Json, *keys: str) -> None:
    first = {key: node[key] for key in keys if key in node}
    others = {key: value for key, value in node.items() if key not in first}
    node.clear()
    node.update(first | others)


def _operations(document: Json) -> Iterator[Json]:
    for item in document["paths"].values():
        yield from item.values()


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
    left = list(document["components"]["schemas"].values())
    left += [node["schema"] for node in _nodes(document["paths"]) if isinstance(node.get("schema"), dict)]
    while left:
        schema = left.pop()
        yield schema
        left += schema.get("properties", {}).values()
        left += [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
        left += [each for key in ("anyOf", "oneOf", "allOf", "prefixItems") for each in schema.get(key, ())]


MENDS: Sequence[Callable[[Json], None]] = (
    drop_noise,
    name_numbers,
    name_texts,
    name_orders,
    mend_patterns,
    rename_problem,
    sort,
)

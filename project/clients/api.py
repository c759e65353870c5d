"""What the document says of an API, in the words of the clients that are generated from it."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from project.openapi.shapes import resolved
from project.openapi.structs import Json

NAMES_OF_TYPES = {"string", "integer", "number", "boolean"}


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Body(NamedTuple):
    """What an operation takes: the component, and an example of it."""

    component: str
    example: Json
    is_flat: bool
    """Whether every field is a text, a number or a boolean, and nothing that a client has a type of its own for."""


class Operation(NamedTuple):
    """An operation of the document, and what programs call it."""

    method: str
    path: str
    content: Json
    document: Json

    @property
    def name(self) -> str:
        return str(self.content["operationId"])

    @property
    def summary(self) -> str:
        return str(self.content["summary"])

    @property
    def module(self) -> str:
        return snake_case(self.content.get("tags", ["default"])[0])

    @property
    def function(self) -> str:
        """What it is called in Python: a module that holds `sync`, `asyncio` and so on."""
        return snake_case(self.name)

    @property
    def type_name(self) -> str:
        """What TypeScript's types begin with."""
        return self.name[0].upper() + self.name[1:]

    @property
    def iterator(self) -> str:
        """What walks through its pages in TypeScript, in Python it is the module's `iterate`."""
        return "iterate" + re.sub("^list(?=[A-Z])", "", self.name)[0].upper() + re.sub("^list(?=[A-Z])", "", self.name)[1:]

    def parameters(self, place: str) -> dict[str, Json]:
        return {each["name"]: each for each in self.content.get("parameters", ()) if each["in"] == place}

    @property
    def media_types(self) -> list[str]:
        """What it takes."""
        return list(self.content.get("requestBody", {}).get("content", {}))

    @property
    def success(self) -> tuple[str, Json]:
        """The status and the response."""
        return next((status, each) for status, each in self.content["responses"].items() if status.startswith("2"))

    @property
    def is_secured(self) -> bool:
        return bool(self.content.get("security", self.document.get("security", [])))

    @property
    def has_pages(self) -> bool:
        """Whether it gives `items` and, where there are more, `next_cursor` for its parameter `cursor`."""
        schema = self.success[1].get("content", {}).get("application/json", {}).get("schema", {})
        fields = resolved(schema, self.document).get("properties", {})
        return "cursor" in self.parameters("query") and {"items", "next_cursor"} <= set(fields)

    @property
    def needs_input(self) -> bool:
        """Whether it cannot be called without parameters."""
        return any(each.get("required", False) for each in self.content.get("parameters", ()))

    @property
    def body(self) -> Body | None:
        """Its body, where that is JSON, a component, and has an example."""
        content = self.content.get("requestBody", {}).get("content", {}).get("application/json", {})
        examples = list(content.get("examples", {}).values())
        if "$ref" not in content.get("schema", {}) or not examples:
            return None
        fields = resolved(content["schema"], self.document).get("properties", {}).values()
        is_flat = all(each.get("type") in NAMES_OF_TYPES and not {"enum", "const"} & set(each) for each in fields)
        is_flat = is_flat and not any(each["type"] == "string" and "format" in each for each in fields)
        return Body(content["schema"]["$ref"].rpartition("/")[2], examples[0]["value"], is_flat)


class Api:
    """A document whose operations all have names and summaries, as those of this project have."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self.title: str = document["info"]["title"]
        self.version: str = document["info"]["version"]
        self.licence: str = document["info"]["license"]["identifier"]

    @cached_property
    def operations(self) -> list[Operation]:
        return [
            Operation(method.upper(), path, content, self.document)
            for path, item in self.document["paths"].items()
            for method, content in item.items()
        ]

    @property
    def has_accounts(self) -> bool:
        return any(operation.is_secured for operation in self.operations)

    @property
    def listing(self) -> Operation | None:
        return self._first(lambda each: each.has_pages and not each.needs_input)

    @property
    def creating(self) -> Operation | None:
        """One that can be repeated."""
        return self._first(lambda each: "Idempotency-Key" in each.parameters("header") and each.body is not None)

    @property
    def reading(self) -> Operation | None:
        """One that is answered with 304."""
        return self._first(lambda each: "304" in each.content["responses"] and len(each.parameters("path")) == 1)

    @property
    def changing(self) -> Operation | None:
        """One that is answered with 412, of what `reading` reads."""
        reading = self.reading
        return reading and self._first(
            lambda each: each.path == reading.path and each.method == "PATCH" and each.body is not None
        )

    @property
    def exporting(self) -> Operation | None:
        return self._first(lambda each: "text/csv" in each.success[1].get("content", {}))

    @property
    def importing(self) -> Operation | None:
        return self._first(lambda each: "text/csv" in each.media_types)

    def _first(self, fits: Any) -> Operation | None:
        found: Iterator[Operation] = filter(fits, self.operations)
        return next(found, None)

"""What the document says of an API, in the words of the clients that are generated from it."""

import builtins
import keyword
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from project.openapi.shapes import resolved
from project.openapi.structs import Json

NAMES_OF_TYPES = {"string", "integer", "number", "boolean"}


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Record(NamedTuple):
    """A body that is a component, and an example of it."""

    component: str
    fields: Json
    example: Json

    @property
    def is_plain(self) -> bool:
        """Whether it can be written with the fields as arguments: no name means anything in Python, no type is other
        than that of a literal."""
        return all(
            name.isidentifier()
            and not keyword.iskeyword(name)
            and not hasattr(builtins, name)
            and schema.get("type") in NAMES_OF_TYPES
            and not {"enum", "const", "format"} & set(schema) - ({"format"} if schema["type"] != "string" else set())
            for name, schema in self.fields.items()
        )


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
        """What walks through its pages in TypeScript; in Python it is the module's `iterate`."""
        return "iterate" + re.sub("^List(?=[A-Z])", "", self.type_name)

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
    def takes(self) -> Record | None:
        return self._record(self.content.get("requestBody", {}))

    @property
    def gives(self) -> Record | None:
        return self._record(self.success[1])

    def _record(self, holder: Json) -> Record | None:
        """What it holds, if that is JSON, a component, and has an example."""
        content = holder.get("content", {}).get("application/json", {})
        examples = list(content.get("examples", {}).values())
        if "$ref" not in content.get("schema", {}) or not examples:
            return None
        fields = resolved(content["schema"], self.document).get("properties", {})
        return Record(content["schema"]["$ref"].rpartition("/")[2], fields, examples[0]["value"])


class Story(NamedTuple):
    """The operations by which a record is created, read and changed, for an example that goes on."""

    creating: Operation
    reading: Operation
    changing: Operation


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
    def schemes(self) -> list[str]:
        """What is said of how callers say who they are."""
        schemes = self.document.get("components", {}).get("securitySchemes", {}).values()
        return [scheme["description"] for scheme in schemes if "description" in scheme]

    @property
    def listing(self) -> Operation | None:
        return self._first(lambda each: each.has_pages and not each.needs_input)

    @property
    def story(self) -> Story | None:
        """Of a record that has an `id`, the only thing that its path names."""
        for creating in self.operations:
            if "Idempotency-Key" in creating.parameters("header") and creating.takes and creating.gives:
                below = [each for each in self.operations if each.path.startswith(f"{creating.path}/{{")]
                reading = next((each for each in below if "304" in each.content["responses"]), None)
                changing = next((each for each in below if each.method == "PATCH" and each.takes), None)
                if "id" in creating.gives.fields and reading and changing and len(reading.parameters("path")) == 1:
                    return Story(creating, reading, changing)
        return None

    @property
    def exporting(self) -> Operation | None:
        return self._first(lambda each: "text/csv" in each.success[1].get("content", {}) and not each.needs_input)

    @property
    def importing(self) -> Operation | None:
        return self._first(lambda each: "text/csv" in each.media_types and not each.needs_input)

    def _first(self, fits: Callable[[Operation], bool]) -> Operation | None:
        found: Iterator[Operation] = filter(fits, self.operations)
        return next(found, None)

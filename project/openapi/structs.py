"""Structs in the document, as msgspec describes them."""

from typing import Any

import msgspec
from litestar.exceptions import ImproperlyConfiguredException
from litestar.openapi.spec import Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

Json = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"


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
        """The schemas of the structs that were asked for, by name."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        inner = field_definition.inner_types if field_definition.is_subclass_of(list) else ()
        return any(each.is_subclass_of(msgspec.Struct) for each in (field_definition, *inner))

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        schema, components = described(field_definition.raw)
        merge(self.components, components)
        return Verbatim(schema)


def merge(components: Json, others: Json) -> None:
    """Raises ImproperlyConfiguredException where two structs have the same name."""
    for name, component in others.items():
        if components.setdefault(name, component) != component:
            raise ImproperlyConfiguredException(
                f"Two different structs are called {name}, which clients could not tell apart: rename one."
            )


def described(shape: Any) -> tuple[Json, Json]:
    """The schema of a type, and those of the structs in it by their names."""
    (schema,), components = msgspec.json.schema_components([shape], ref_template=REFERENCE)
    return schema, components

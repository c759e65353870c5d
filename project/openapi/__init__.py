"""The OpenAPI document: Litestar's, put right where it misleads those who generate clients from it.

Structs are described by msgspec (`structs`), which reads them for the requests too. Then each operation is mended
(`operations`), and then the whole (`documents`).
"""

import copy
from collections.abc import Sequence
from functools import cached_property
from inspect import cleandoc
from typing import Any, Literal

import msgspec
from litestar import Controller, Litestar, Router
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, Contact, License, SecurityScheme, Tag
from litestar.routes import BaseRoute
from litestar.types import Method

from project.openapi import documents, operations
from project.openapi.operations import SCHEME, streamed
from project.openapi.structs import Json, Structs, described, merge
from project.problems import ProblemDetails

__all__ = ["TITLE", "Document", "Format", "Structs", "config", "streamed"]

Format = Literal["json", "yaml"]

TITLE = "Registrar"
VERSION = "1.0.0"
"""Of the API, and of the clients that are generated for it: a new first number for a change that breaks them."""

DESCRIPTION = """\
Bodies are JSON in UTF-8 and read strictly: `"9"` is no number, an unknown field or query parameter is refused.

**Errors.** Every error is `application/problem+json` (RFC 9457). Its `type` is a path that explains the kind of
problem; of a body or query that is refused, `errors` names every bad field.

**Changes.** An `ETag` names a state of a record. Send it as `If-Match` with a change, and the change is made only if
nobody else was faster; otherwise the answer is 412. A request with an `Idempotency-Key` may be sent again: it is done
once.

**Access.** A request says who makes it with a token, as `Authorization: Bearer ...`. A `viewer`
reads, an `editor` writes too, an `admin` does everything; `x-least-role` names the least that an operation needs.

**Lists.** A page of a list ends with `next_cursor`; send it as `cursor`, with the same sort and filters, for the page
that follows.
"""

TOKEN = SecurityScheme(
    type="http",
    scheme="bearer",
    description="What `POST /auth/token` gives for a username and its password. With DEBUG=true none is needed.",
)


def config(controllers: Sequence[type[Controller]]) -> OpenAPIConfig:
    """The docstring of a controller describes the tags that it names."""
    return OpenAPIConfig(
        title=TITLE,
        version=VERSION,
        description=operations.in_lines(DESCRIPTION),
        contact=Contact(name=TITLE),
        license=License(name="MIT", identifier="MIT"),
        components=Components(security_schemes={SCHEME: TOKEN}),
        tags=[
            Tag(name=tag, description=operations.in_lines(cleandoc(controller.__doc__ or tag.capitalize())))
            for controller in controllers
            for tag in vars(controller).get("tags", ())
        ],
        use_handler_docstrings=True,
        operation_id_creator=operation_id,
        openapi_router=NoRoutes("/", route_handlers=[]),
    )


def operation_id(handler: HTTPRouteHandler, method: Method, path: Sequence[Any]) -> str:
    """`createCourse` for the method `create` of `CourseController`, `listCourses` for the function `list_courses`."""
    *_, owner, name = f".{handler.fn.__qualname__}".split(".")
    first, *others = name.split("_")
    noun = owner.removesuffix("Controller") if owner.endswith("Controller") else ""
    return first + "".join(word.capitalize() for word in others) + noun


class NoRoutes(Router):
    """Where Litestar puts its own pages of documentation; beside them it answers every unknown path with HTML."""

    def register(self, value: Any) -> list[BaseRoute]:
        return []


class Document:
    """The document of an application, made when it is first asked for."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    @cached_property
    def content(self) -> Json:
        """Raises ImproperlyConfiguredException where two operations or two structs have the same name."""
        content = copy.deepcopy(self._app.openapi_schema.to_schema())
        _, common = described(ProblemDetails)
        components = copy.deepcopy(self._app.plugins.get(Structs).components)
        merge(components, common)
        content.setdefault("components", {}).setdefault("schemas", {}).update(components)
        operations.mend(self._app, content)
        documents.mend(content)
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

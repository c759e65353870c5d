"""What of a change in the API breaks programs that were written against it, or generated from its description."""

from collections.abc import Iterator
from typing import Any

from project.callers import ROLES
from project.openapi.operations import ROLE
from project.openapi.shapes import Direction, Shapes, resolved
from project.openapi.structs import Json

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

Operations = dict[tuple[str, str], Json]
"""By method and path."""


def breaking_edits(before: Json, after: Json) -> list[str]:
    """The edits that break clients, a clause each: `GET /students, query parameter q: is gone`.

    Both are OpenAPI documents, whose references lead nowhere else.
    """
    return list(dict.fromkeys(Comparison(before, after).edits()))


class Comparison:
    def __init__(self, before: Json, after: Json) -> None:
        self._before, self._after = before, after
        self._shapes = Shapes(before, after)

    def edits(self) -> Iterator[str]:
        yield from self._servers()
        yield from self._schemes()
        yield from self._operations()
        yield from self._components()

    def _servers(self) -> Iterator[str]:
        after = [server["url"] for server in self._after.get("servers", [{"url": "/"}])]
        for server in self._before.get("servers", [{"url": "/"}]):
            if server["url"] not in after:
                yield f"server {server['url']}: is gone"

    def _schemes(self) -> Iterator[str]:
        """How clients say who they are."""
        after = self._after.get("components", {}).get("securitySchemes", {})
        for name, scheme in self._before.get("components", {}).get("securitySchemes", {}).items():
            if name not in after:
                yield f"security scheme {name}: is gone"
            elif _without_words(scheme) != _without_words(after[name]):
                yield f"security scheme {name}: is another"

    def _components(self) -> Iterator[str]:
        after = self._after.get("components", {}).get("schemas", {})
        for name in self._before.get("components", {}).get("schemas", {}):
            if name not in after:
                yield f"component {name}: is gone"

    def _operations(self) -> Iterator[str]:
        old, new = _operations(self._before), _operations(self._after)
        moved = {operation["operationId"]: place for place, operation in new.items() if "operationId" in operation}
        for (method, path), operation in old.items():
            place = f"{method.upper()} {path}"
            if (method, path) in new:
                yield from self._operation(place, operation, new[method, path])
            elif (name := operation.get("operationId")) in moved:
                to = moved[name]
                yield f"{place}: {name} has moved to {to[0].upper()} {to[1]}"
                yield from self._operation(place, operation, new[to])
            else:
                yield f"{place}: {name or 'the operation'} is gone"

    def _operation(self, place: str, before: Json, after: Json) -> Iterator[str]:
        name, name_before = after.get("operationId"), before.get("operationId")
        if name_before is not None and name != name_before:
            yield f"{place}: is called {name or 'nothing'}, was {name_before}"
        tag, tag_before = _first_tag(after), _first_tag(before)
        if tag != tag_before:
            yield f"{place}: belongs to {tag}, was in {tag_before}"
        yield from self._security(place, before, after)
        yield from self._parameters(place, before, after)
        yield from self._body(place, before, after)
        yield from self._responses(place, before, after)

    def _security(self, place: str, before: Json, after: Json) -> Iterator[str]:
        """Every way to be let in must still do."""
        ways = _ways(after.get("security", self._after.get("security", [])))
        for way in _ways(before.get("security", self._before.get("security", []))):
            if not any(other <= way for other in ways):
                yield f"{place}: asks for {' or '.join(map(_credentials, ways))} of who gives {_credentials(way)}"
        role, role_before = after.get(ROLE), before.get(ROLE)
        if role_before in ROLES and role in ROLES and ROLES.index(role) > ROLES.index(role_before):
            yield f"{place}: is for the role {role}, was for {role_before}"

    def _parameters(self, place: str, before: Json, after: Json) -> Iterator[str]:
        old, new = _parameters(before, self._before), _parameters(after, self._after)
        for key, parameter in old.items():
            here = f"{place}, {key[0]} parameter {key[1]}"
            if key not in new:
                yield f"{here}: is gone"
                continue
            if new[key].get("required", False) and not parameter.get("required", False):
                yield f"{here}: is required"
            for keyword in ("style", "explode", "allowReserved"):
                if parameter.get(keyword) != new[key].get(keyword):
                    yield f"{here}: {keyword} is {new[key].get(keyword)}, was {parameter.get(keyword)}"
            schemas = parameter.get("schema", True), new[key].get("schema", True)
            yield from self._shapes.edits(*schemas, Direction.SENT, here)
        for key, parameter in new.items():
            if key not in old and parameter.get("required", False):
                yield f"{place}, {key[0]} parameter {key[1]}: is new and required"

    def _body(self, place: str, before: Json, after: Json) -> Iterator[str]:
        old = resolved(before.get("requestBody", {}), self._before)
        new = resolved(after.get("requestBody", {}), self._after)
        here = f"{place}, body"
        if old and not new:
            yield f"{here}: is gone"
            return
        if new.get("required", False) and not old.get("required", False):
            yield f"{here}: is {'required' if old else 'new and required'}"
        yield from self._content(here, old, new, Direction.SENT)

    def _content(self, place: str, before: Json, after: Json, direction: Direction) -> Iterator[str]:
        new = after.get("content", {})
        for media_type, content in before.get("content", {}).items():
            if media_type not in new:
                yield f"{place}: {media_type} is gone"
                continue
            here = f"{place} {media_type}"
            schemas = content.get("schema", True), new[media_type].get("schema", True)
            yield from self._shapes.edits(*schemas, direction, here)

    def _responses(self, place: str, before: Json, after: Json) -> Iterator[str]:
        """Programs have a case for each success; to meet another kind of failure they have to be ready anyway."""
        old, new = before.get("responses", {}), after.get("responses", {})
        for status, response in old.items():
            if status not in new:
                yield f"{place}: status {status} is gone"
                continue
            one, other = resolved(response, self._before), resolved(new[status], self._after)
            yield from self._content(f"{place}, {status}", one, other, Direction.RECEIVED)
            yield from self._headers(f"{place}, {status}", one, other)
        for status in new:
            if status not in old and status.startswith("2"):
                yield f"{place}: status {status} is new"

    def _headers(self, place: str, before: Json, after: Json) -> Iterator[str]:
        new = after.get("headers", {})
        for name, header in before.get("headers", {}).items():
            here = f"{place}, header {name}"
            if name not in new:
                yield f"{here}: is gone"
                continue
            one, other = resolved(header, self._before), resolved(new[name], self._after)
            if one.get("required", False) and not other.get("required", False):
                yield f"{here}: may be absent"
            schemas = one.get("schema", True), other.get("schema", True)
            yield from self._shapes.edits(*schemas, Direction.RECEIVED, here)


def _operations(document: Json) -> Operations:
    found = {}
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                shared = {"parameters": [*item.get("parameters", ()), *item[method].get("parameters", ())]}
                found[method, path] = {**item[method], **shared}
    return found


def _parameters(operation: Json, document: Json) -> dict[tuple[str, str], Json]:
    parameters = (resolved(parameter, document) for parameter in operation["parameters"])
    return {(parameter["in"], parameter["name"]): parameter for parameter in parameters}


def _first_tag(operation: Json) -> str:
    """Generators make a module or a class of it."""
    return next(iter(operation.get("tags", ())), "no tag")


def _ways(security: Any) -> list[frozenset[tuple[str, str]]]:
    """Each with the schemes, and their scopes, that it takes together; one that takes none lets everybody in."""
    ways = [frozenset((scheme, scope) for scheme, scopes in way.items() for scope in ("", *scopes)) for way in security]
    return ways or [frozenset()]


def _credentials(way: frozenset[tuple[str, str]]) -> str:
    return " and ".join(f"{scheme}:{scope}".removesuffix(":") for scheme, scope in sorted(way)) or "nothing"


def _without_words(scheme: Json) -> Json:
    return {key: value for key, value in scheme.items() if key not in ("description", "bearerFormat")}

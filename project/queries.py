"""Query strings, as strict as bodies: every parameter is declared in a struct, anything else is a problem."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.di import Provide

from project.dto import faults_of
from project.problems import BadQuery, FieldError

Q = TypeVar("Q", bound=msgspec.Struct)


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A route that takes no parameters."""


def query_of(struct: type[Q]) -> Provide:
    """A dependency: the request's query as that struct. Tuples are parameters that may be repeated."""

    def read(request: Request[Any, Any, Any]) -> Q:
        return parse(request.scope["query_string"], struct)

    return Provide(read, sync_to_thread=False)


def parse(query: bytes, struct: type[Q]) -> Q:
    """Raises BadQuery, with every parameter that is not allowed."""
    values: dict[str, Any] = {}
    faults = []
    many = _repeatable(struct)
    for part in query.split(b"&") if query else ():
        name_bytes, _, value_bytes = part.partition(b"=")
        try:
            name, value = _text(name_bytes), _text(value_bytes)
        except UnicodeDecodeError:
            raise BadQuery("The query is not UTF-8 in percent encoding.") from None
        if name in many:
            values.setdefault(name, []).append(value)
        elif name in values:
            faults.append(FieldError(f"/{name}", "may be given only once"))
        else:
            values[name] = value
    try:
        if not faults:
            return _convert(struct)(values)
    except msgspec.ValidationError:
        pass
    faults.extend(faults_of(values, struct, strict=False))
    raise BadQuery(errors=faults)


def _text(encoded: bytes) -> str:
    return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()


@cache
def _repeatable(struct: type[msgspec.Struct]) -> frozenset[str]:
    fields = {field.name: field.type for field in msgspec.inspect.type_info(struct).fields}  # type: ignore[attr-defined]
    bare = {name: kind.type if isinstance(kind, msgspec.inspect.Metadata) else kind for name, kind in fields.items()}
    return frozenset(name for name, kind in bare.items() if isinstance(kind, msgspec.inspect.VarTupleType))


@cache
def _convert(struct: type[Q]) -> Callable[[dict[str, Any]], Q]:
    return lambda values: msgspec.convert(values, struct, strict=False)

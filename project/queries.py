"""Query strings, as strict as bodies: every parameter is declared in a struct, anything else is a problem."""

import json
import re
from functools import cache, lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from litestar import Request
from litestar.di import Provide
from msgspec import inspect

from project.faults import REPEATED, faults
from project.problems import BadQuery

Q = TypeVar("Q", bound=msgspec.Struct)

_SCALAR = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")


class NoQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A route that takes no parameters."""


def query_of(struct: type[Q]) -> Provide:
    """A dependency: the request's query as that struct.

    Tuples are parameters that may be repeated. Numbers and booleans are written as in JSON.
    """

    def read(request: Request[Any, Any, Any]) -> Q:
        return parse(request.scope["query_string"], struct)

    return Provide(read, sync_to_thread=False)


def parse(query: bytes, struct: type[Q]) -> Q:
    """Raises BadQuery, with every parameter that is not allowed."""
    values: dict[str, Any] = {}
    parameters = _parameters(struct)
    for part in query.split(b"&"):
        if not part:
            continue
        encoded_name, _, encoded_value = part.partition(b"=")
        name, text = _text(encoded_name), _text(encoded_value)
        kind = parameters.get(name)
        value = text if kind is None or _is_text(kind) else _scalar(text)
        if isinstance(kind, inspect.VarTupleType):
            values.setdefault(name, []).append(value)
        else:
            values[name] = REPEATED if name in values else value
    try:
        return msgspec.convert(values, struct)
    except msgspec.ValidationError as error:
        raise BadQuery(errors=faults(values, struct)) from error


def _text(encoded: bytes) -> str:
    if b"%" in encoded or b"+" in encoded:
        encoded = unquote_to_bytes(encoded.replace(b"+", b" "))
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        raise BadQuery("The query is not UTF-8 in percent encoding.") from None


@lru_cache(64)
def _scalar(text: str) -> Any:
    """Text that is no scalar of JSON stays as it is, and is refused for its type."""
    return json.loads(text) if _SCALAR.fullmatch(text) else text


@cache
def _parameters(struct: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: _bare(field.type) for field in described.fields}


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _is_text(kind: inspect.Type) -> bool:
    inner = _bare(kind.item_type) if isinstance(kind, inspect.VarTupleType) else kind
    return not isinstance(inner, inspect.IntType | inspect.FloatType | inspect.BoolType)

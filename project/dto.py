"""Strict bodies: JSON in UTF-8 that is exactly what a struct says, or a problem that names every field that is not."""

import datetime as dt
import json
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, cast, get_args, get_origin

import msgspec
from litestar import Request
from litestar.dto import MsgspecDTO
from litestar.handlers import BaseRouteHandler
from litestar.openapi.spec import Reference, Schema
from litestar.params import BodyKwarg
from litestar.typing import FieldDefinition

from project.faults import REPEATED, faults, in_words
from project.fields import Fields
from project.problems import InvalidBody, Malformed, UnsupportedMedia

T = TypeVar("T")


class StrictDTO(MsgspecDTO[T], Generic[T]):  # type: ignore[type-var]
    """The DTO of a struct, or of a list of structs, that is its own schema."""

    @classmethod
    def create_for_field_definition(cls, *args: Any, **kwargs: Any) -> None:
        """The struct needs no transfer model beside it."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: Any
    ) -> Reference | Schema:
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema

    def decode_bytes(self, value: bytes) -> Any:
        request = cast(Request[Any, Any, Any], self.asgi_connection)
        if Fields.of(request.scope).get(b"content-type") != b"application/json" and not _is_json(request):
            raise UnsupportedMedia("Send JSON with Content-Type: application/json, as curl --json does.")
        return decode(value, _shape(request.route_handler))


def _is_json(request: Request[Any, Any, Any]) -> bool:
    media, options = request.content_type
    return media == "application/json" and options.get("charset", "utf-8").lower() in ("utf-8", "utf8")


@cache
def _shape(handler: BaseRouteHandler) -> Any:
    """Of its body, without what only Litestar reads: to look up a decoder by that takes longer than to decode."""
    annotation = handler.parsed_data_field.raw  # type: ignore[union-attr]
    if get_origin(annotation) is not Annotated:
        return annotation
    read = [each for each in get_args(annotation)[1:] if not isinstance(each, BodyKwarg)]
    bare = annotation.__origin__
    return Annotated[bare, *read] if read else bare


def decode(body: bytes, shape: Any) -> Any:
    """The body as that type, a struct or a list of structs. Raises Malformed or InvalidBody."""
    try:
        value = _decoder(shape).decode(body)
        if _may_repeat(body, value) and (found := faults(_document(body), shape)):
            raise InvalidBody(errors=found)
    except msgspec.ValidationError as error:
        raise InvalidBody(errors=faults(_document(body), shape) or [in_words(error, shape)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error
    return value


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _may_repeat(body: bytes, value: Any) -> bool:
    """Whether the document that became this value may hold a name more than once: each name has its colon.

    msgspec takes the last of a repeated name, as most do; which one was meant is not for us to guess.
    """
    colons = body.count(b":")
    return colons > _least_names(value) and (b"\\u003" in body or colons > _least_colons(value))


def _least_names(value: Any) -> int:
    """How many names a document has at least that becomes this value, those in inner objects aside."""
    if isinstance(value, list):
        return sum(map(_least_names, value))
    return sum(getattr(value, name) is not default for name, default in _defaults(value.__class__))


def _least_colons(value: Any) -> int:
    """How many colons such a document has at least, where none is written as an escape: texts and times have some."""
    match value:
        case str():
            return value.count(":")
        case dt.datetime():
            return 2
        case list():
            return sum(map(_least_colons, value))
        case msgspec.Struct():
            given = [(getattr(value, name), default) for name, default in _defaults(value.__class__)]
            return sum(1 + _least_colons(each) for each, default in given if each is not default)
    return 0


@cache
def _defaults(struct: type[msgspec.Struct]) -> list[tuple[str, Any]]:
    fields = msgspec.structs.fields(struct)
    return [(field.name, field.default) for field in fields if field.required or field.default is not msgspec.NODEFAULT]


def _document(body: bytes) -> Any:
    """The body as the standard library reads it, which shows every name; REPEATED for those given more than once.

    Raises Malformed for what it would let through.
    """
    try:
        _decoder(msgspec.Raw).decode(body)
        return json.loads(body.decode(), parse_int=_integer, object_pairs_hook=_object)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error


def _integer(digits: str) -> int | float:
    """Python refuses to read an integer of some thousand digits; no field holds one of hundreds."""
    return int(digits) if len(digits) < 300 else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = REPEATED if name in found else value
    return found


def _malformed(error: Exception) -> Malformed:
    if isinstance(error, RecursionError):
        return Malformed("The JSON is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return Malformed("The body is not UTF-8: send JSON in UTF-8.")
    if "truncated" in str(error):
        return Malformed("The body ends before its JSON does: send all of it.")
    return Malformed(f"The body is not well-formed JSON: {str(error).removeprefix('JSON is malformed: ')}.")

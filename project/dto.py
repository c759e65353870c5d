"""Strict bodies: JSON in UTF-8 that is exactly what the struct says, or a problem that names every field that is not."""

import re
from functools import cache
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import msgspec
from litestar.dto import MsgspecDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from project.problems import MOST_ERRORS, FieldError, InvalidBody, Malformed, UnsupportedMedia

T = TypeVar("T")

_PLACE = re.compile(r"(.*?)(?: - at `\$(.*)`)?", re.DOTALL)


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
        media, options = self.asgi_connection.content_type
        if media != "application/json" or options.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
            raise UnsupportedMedia("Send JSON with Content-Type: application/json, as curl --json does.")
        return decode(value, self.asgi_connection.route_handler.parsed_data_field.raw)  # type: ignore[union-attr]


def decode(body: bytes, shape: Any) -> Any:
    """Raises Malformed or InvalidBody."""
    try:
        return _decoder(shape).decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody(errors=_faults(body, shape) or [_fault(error)]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error


def faults_of(fields: dict[str, Any], struct: type[msgspec.Struct], *, strict: bool = True) -> list[FieldError]:
    """What is wrong with each of these values, if they were to make that struct."""
    found = []
    for field in msgspec.structs.fields(struct):
        if field.encode_name in fields:
            try:
                msgspec.convert(fields[field.encode_name], field.type, strict=strict)
            except msgspec.ValidationError as error:
                found.append(_fault(error, f"/{field.encode_name}", field.type))
        elif field.required:
            found.append(FieldError(f"/{field.encode_name}", "is required"))
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    found.extend(FieldError(f"/{_escape(name)}", "is not a known field") for name in fields if name not in known)
    return found


@cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _malformed(error: Exception) -> Malformed:
    if isinstance(error, RecursionError):
        return Malformed("The JSON is nested too deeply.")
    if isinstance(error, UnicodeDecodeError):
        return Malformed("The body is not UTF-8.")
    return Malformed(f"The body is not well-formed JSON: {str(error).removeprefix('JSON is malformed: ')}.")


def _faults(body: bytes, shape: Any, pointer: str = "") -> list[FieldError]:
    bare = get_args(shape)[0] if get_origin(shape) is Annotated else shape
    try:
        _decoder(msgspec.Raw).decode(body)
        if get_origin(bare) is list:
            return _faults_of_list(body, get_args(bare)[0], pointer) or _fault_of_whole(body, shape, pointer)
        if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            return _faults_of_struct(body, bare, pointer)
        return _fault_of_whole(body, shape, pointer)
    except msgspec.ValidationError as error:
        return [_fault(error, pointer, shape)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(error) from error


def _fault_of_whole(body: bytes, shape: Any, pointer: str) -> list[FieldError]:
    try:
        _decoder(shape).decode(body)
    except msgspec.ValidationError as error:
        return [_fault(error, pointer, shape)]
    return []


def _faults_of_list(body: bytes, item_type: Any, pointer: str) -> list[FieldError]:
    items = _decoder(list[msgspec.Raw]).decode(body)
    found: list[FieldError] = []
    for index, item in enumerate(items):
        found.extend(_faults(bytes(item), item_type, f"{pointer}/{index}"))
        if len(found) >= MOST_ERRORS:
            break
    return found


def _faults_of_struct(body: bytes, struct: type[msgspec.Struct], pointer: str) -> list[FieldError]:
    values = _decoder(dict[str, msgspec.Raw]).decode(body)
    found: list[FieldError] = []
    for field in msgspec.structs.fields(struct):
        place = f"{pointer}/{field.encode_name}"
        if field.encode_name in values:
            found.extend(_faults(bytes(values[field.encode_name]), field.type, place))
        elif field.required:
            found.append(FieldError(place, "is required"))
    known = {field.encode_name for field in msgspec.structs.fields(struct)}
    found.extend(
        FieldError(f"{pointer}/{_escape(name)}", "is not a known field") for name in values if name not in known
    )
    return found


def _fault(error: msgspec.ValidationError, pointer: str = "", shape: Any = None) -> FieldError:
    matched = _PLACE.fullmatch(str(error))
    assert matched is not None
    steps = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", matched[2] or "")
    detail = matched[1].replace("Expected", "expected", 1)
    return FieldError(pointer + "".join(f"/{name or index}" for name, index in steps), _in_words(detail, shape))


def _in_words(detail: str, shape: Any) -> str:
    """A pattern's source says nothing to the person whose text does not match it: what the field's Meta says instead does."""
    if "matching regex" in detail:
        for annotation in get_args(shape):
            if isinstance(annotation, msgspec.Meta) and annotation.extra and "refusal" in annotation.extra:
                return str(annotation.extra["refusal"])
            if (inner := _in_words(detail, annotation)) != detail:
                return inner
    return detail.replace("`", "")


def _escape(name: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")

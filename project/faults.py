"""Everything that is wrong with a value, each fault with its place and in words: msgspec alone names only the first."""

import enum
import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from project.problems import MOST_ERRORS, FieldError

REPEATED: Any = object()
"""Stands in a mapping for the value of a name that was given more than once."""


def faults(value: Any, shape: Any, pointer: str = "", *, strict: bool = True) -> list[FieldError]:
    """What keeps a value, as JSON has it, from being that type: all of it, or the first MOST_ERRORS and some.

    Lists, tuples of one type and structs are looked into. `pointer` is the JSON pointer (RFC 6901) of the value.
    Without `strict`, text counts as the number that it spells.
    """
    if value is REPEATED:
        return [FieldError(pointer, "may be given only once")]
    bare, *notes = get_args(shape) if get_origin(shape) is Annotated else (shape,)
    if get_origin(bare) in (list, tuple):
        itself = Annotated[list[Any], *notes] if notes else list[Any]
        return _fault(value, itself, pointer, strict) or _of_items(value, get_args(bare)[0], pointer, strict)
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct) and isinstance(value, Mapping):
        return _of_fields(value, bare, pointer, strict)
    return _fault(value, shape, pointer, strict)


def _of_items(values: list[Any], shape: Any, pointer: str, strict: bool) -> list[FieldError]:
    found: list[FieldError] = []
    for index, value in enumerate(values):
        found.extend(faults(value, shape, f"{pointer}/{index}", strict=strict))
        if len(found) >= MOST_ERRORS:
            break
    return found


def _of_fields(values: Mapping[str, Any], struct: type[msgspec.Struct], pointer: str, strict: bool) -> list[FieldError]:
    found: list[FieldError] = []
    fields = msgspec.structs.fields(struct)
    for field in fields:
        place = f"{pointer}/{field.encode_name}"
        if field.encode_name in values:
            found.extend(faults(values[field.encode_name], field.type, place, strict=strict))
        elif field.required:
            found.append(FieldError(place, "is required"))
    if struct.__struct_config__.forbid_unknown_fields:
        known = [field.encode_name for field in fields]
        detail = f"is not known here, only {', '.join(known)}" if known else "is not known here, nor is any other name"
        found.extend(FieldError(f"{pointer}/{escape(name)}", detail) for name in values if name not in known)
    return found


def _fault(value: Any, shape: Any, pointer: str, strict: bool) -> list[FieldError]:
    try:
        msgspec.convert(value, shape, strict=strict)
    except msgspec.ValidationError as error:
        return [in_words(error, shape, pointer)]
    return []


def in_words(error: msgspec.ValidationError, shape: Any, pointer: str = "") -> FieldError:
    """msgspec's own message says it in the names of Python's types."""
    message, _, path = str(error).partition(" - at `$")
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", path)
    return FieldError(pointer + "".join(f"/{name or index}" for name, index in steps), _sentence(message, shape))


def _sentence(message: str, shape: Any) -> str:
    if "matching regex" in message:
        return next((refusal for note in _notes(shape) if (refusal := (note.extra or {}).get("refusal"))), message)
    if message.startswith("Invalid enum value"):
        return f"must be one of {', '.join(map(str, _choices(shape)))}"
    for pattern, words in _SENTENCES:
        if matched := pattern.fullmatch(message):
            return words.format(*map(_word, matched.groups()))
    return message[:1].lower() + message[1:].replace("`", "")


def _word(text: str) -> str:
    return " or ".join(_WORDS.get(part, part) for part in text.split(" | "))


_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a moment",
    ">=": "at least",
    "<=": "at most",
    ">": "above",
    "<": "below",
}
_SENTENCES = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"Expected `int`, got `float`", "must be a whole number"),
        (r"Expected `([\w| ]+)`, got `(\w+)`", "must be {}, not {}"),
        (r"Expected `(?:int|float)` ([<>]=?) (-?\d+)(?:\.0)?", "must be {} {}"),
        (r"Expected `(?:int|float)` ([<>]=?) (\S+)", "must be {} {}"),
        (r"Expected `str` of length ([<>]=) 1", "must have {} 1 character"),
        (r"Expected `str` of length ([<>]=) (\d+)", "must have {} {} characters"),
        (r"Expected `array` of length ([<>]=) 1", "must have {} 1 item"),
        (r"Expected `array` of length ([<>]=) (\d+)", "must have {} {} items"),
        (r"(?:Number|Integer value) out of range", "is out of range"),
        (r"Expected `datetime` with a timezone component", "must end with its time zone: Z, or an offset like +05:30"),
        (r"Invalid RFC3339 encoded datetime", "must be a moment as RFC 3339 has it, like 2026-01-31T09:30:00Z"),
    )
]


@cache
def _notes(shape: Any) -> tuple[msgspec.Meta, ...]:
    inner = [note for part in get_args(shape) if get_origin(shape) is not Literal for note in _notes(part)]
    return (*(part for part in get_args(shape) if isinstance(part, msgspec.Meta)), *inner)


@cache
def _choices(shape: Any) -> tuple[Any, ...]:
    if get_origin(shape) is Literal:
        return get_args(shape)
    if isinstance(shape, type) and issubclass(shape, enum.Enum):
        return tuple(member.value for member in shape)
    return tuple(choice for part in get_args(shape) for choice in _choices(part))


def escape(name: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")

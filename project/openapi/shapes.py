"""Which changes of a schema break programs, by the direction in which the values travel.

What clients send must still be taken: it breaks them if the schema lets less through. What clients receive must still
be what they were told: it breaks them if the schema lets more through, because there are clients that check, and
others that have a member for each word of an enumeration. A field that is new in an answer breaks nobody, unless the
schema said that there were no others.

Whichever the direction, generated programs use the names of components, fields and words of enumerations, and have the
types that follow from `type` and `format`: a change of one of those breaks them.
"""

import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from project.openapi.structs import Json

NAME = "$name"
"""Where a schema that was referred to keeps its component's name here."""

VARNAMES = "x-enum-varnames"

LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
RESTRICTIONS = ("pattern", "multipleOf", "uniqueItems")
"""What lets less through where it stands, and cannot be compared where it changes."""
COMPARED = {
    *("type", "format", "enum", "const", "default", "properties", "required", "additionalProperties", "items"),
    *(*LOWER, *UPPER, *RESTRICTIONS, NAME),
}
SAYS_NOTHING = {"title", "description", "example", "examples", "deprecated", "externalDocs", "$comment"}


class Direction(Enum):
    SENT = "sent"
    """From clients to the service."""
    RECEIVED = "received"


class Difference(NamedTuple):
    """A schema before and after, both resolved, where it stands, and which way its values go."""

    before: Json
    after: Json
    direction: Direction
    place: str

    @property
    def is_sent(self) -> bool:
        return self.direction is Direction.SENT


class Shapes:
    """The schemas of two documents. Components that meet more than once are compared once a direction."""

    def __init__(self, before: Json, after: Json) -> None:
        self._before, self._after = before, after
        self._met: set[bytes] = set()

    def edits(self, before: Any, after: Any, direction: Direction, place: str) -> Iterator[str]:
        """What breaks clients, a clause each that begins with the place."""
        is_sent = direction is Direction.SENT
        old, new = _alternatives(before, self._before), _alternatives(after, self._after)
        if len(old) == len(new) == 1:
            yield from self._edits(Difference(old[0], new[0], direction, place))
            return
        for one in old if is_sent else new:
            other = _counterpart(one, new if is_sent else old)
            if other is not None:
                pair = (one, other) if is_sent else (other, one)
                yield from self._edits(Difference(*pair, direction, place))
            else:
                yield f"{place}: {'cannot be' if is_sent else 'can also be'} {_word(one)}{' any longer' * is_sent}"

    def _edits(self, difference: Difference) -> Iterator[str]:
        before, after, direction, place = difference
        name, name_before = after.get(NAME), before.get(NAME)
        if name != name_before:
            yield f"{place}: is {name or 'without a name'}, was {name_before or 'without a name'}"
        if name_before is not None:
            place = name_before
            difference = difference._replace(place=place)
            if (met := msgspec.json.encode((before, after, direction))) in self._met:
                return
            self._met.add(met)
        if before.get("type") != after.get("type"):
            if "type" in (after if difference.is_sent else before):
                yield f"{place}: is {_type(after)}, was {_type(before)}"
            return
        for compare in (_format, _words, _default, _bounds, _restrictions, _others):
            yield from compare(difference)
        if "items" in before or "items" in after:
            yield from self.edits(before.get("items", True), after.get("items", True), direction, f"{place}[]")
        yield from self._fields(difference)

    def _fields(self, difference: Difference) -> Iterator[str]:
        before, after, direction, place = difference
        old, new = before.get("properties", {}), after.get("properties", {})
        needed_before, needed = set(before.get("required", ())), set(after.get("required", ()))
        for name in old:
            if name not in new:
                yield f"{place}.{name}: is gone"
            else:
                if difference.is_sent and name in needed - needed_before:
                    yield f"{place}.{name}: is required"
                elif not difference.is_sent and name in needed_before - needed:
                    yield f"{place}.{name}: may be absent"
                yield from self.edits(old[name], new[name], direction, f"{place}.{name}")
        for name in [name for name in (*new, *sorted(needed)) if name not in old]:
            if difference.is_sent and name in needed and name not in needed_before:
                yield f"{place}.{name}: is new and required"
            elif not difference.is_sent and before.get("additionalProperties") is False:
                yield f"{place}.{name}: is new, where there were to be no others"
        yield from self._other_fields(difference)

    def _other_fields(self, difference: Difference) -> Iterator[str]:
        before, after, direction, place = difference
        old, new = before.get("additionalProperties", True), after.get("additionalProperties", True)
        least, most = (old, new) if difference.is_sent else (new, old)
        if most is False and least is not False:
            yield f"{place}: {'takes no' if difference.is_sent else 'may have'} other fields"
        elif isinstance(old, dict) or isinstance(new, dict):
            yield from self.edits(old, new, direction, f"{place}.*")


def _format(difference: Difference) -> Iterator[str]:
    yield from _changed(difference, "format", lambda old, new: True)


def _words(difference: Difference) -> Iterator[str]:
    """A word that is gone is gone from the members of a generated enumeration too; one that is new is no member."""
    before, after, _, place = difference
    old, new = _enumeration(before), _enumeration(after)
    if old is None and new is None:
        return
    if new is None:
        yield f"{place}: can be anything, was one of {_list(old)}"
    elif old is None:
        yield from [f"{place}: can only be one of {_list(new)}"] if difference.is_sent else ()
    else:
        yield from (f"{place}: cannot be {_show(word)} any longer" for word in old if word not in new)
        if not difference.is_sent:
            yield from (f"{place}: can also be {_show(word)}" for word in new if word not in old)
        names = _member_names(before), _member_names(after)
        for word in map(_show, old):
            if word in names[0] and word in names[1] and names[0][word] != names[1][word]:
                yield f"{place}: the name of {word} is {names[1][word]}, was {names[0][word]}"


def _default(difference: Difference) -> Iterator[str]:
    """Who sends nothing means the default, or what was the default when the program was generated."""
    if "default" in difference.before and difference.is_sent:
        yield from _changed(difference, "default", lambda old, new: True)


def _bounds(difference: Difference) -> Iterator[str]:
    for keyword in LOWER:
        yield from _changed(difference, keyword, lambda free, bound: _at_least(bound) > _at_least(free))
    for keyword in UPPER:
        yield from _changed(difference, keyword, lambda free, bound: _at_most(bound) < _at_most(free))


def _at_least(bound: float | None) -> float:
    return -math.inf if bound is None else bound


def _at_most(bound: float | None) -> float:
    return math.inf if bound is None else bound


def _restrictions(difference: Difference) -> Iterator[str]:
    for keyword in RESTRICTIONS:
        yield from _changed(difference, keyword, lambda free, bound: bool(bound))


def _others(difference: Difference) -> Iterator[str]:
    """What is not understood here is not known to be harmless."""
    for keyword in sorted({*difference.before, *difference.after} - COMPARED - SAYS_NOTHING):
        if not keyword.startswith("x-"):
            yield from _changed(difference, keyword, lambda old, new: True)


def _changed(difference: Difference, keyword: str, breaks: Callable[[Any, Any], bool]) -> Iterator[str]:
    """`breaks` is told first the value that clients go by, then the one that they meet."""
    before, after = difference.before.get(keyword), difference.after.get(keyword)
    if before != after and breaks(*((before, after) if difference.is_sent else (after, before))):
        yield f"{difference.place}: {keyword} is {_show(after)}, was {_show(before)}"


def _alternatives(schema: Any, document: Json) -> list[Json]:
    """The schemas of which a value must fit one, none of them a reference or a combination of others."""
    if schema is True:
        return [{}]
    if schema is False:
        return []
    schema = dict(schema)
    found: list[Json] = [{}]
    if (name := _component(schema)) is not None:
        found = _joined(found, [{**each, NAME: name} for each in _alternatives(resolved(schema, document), document)])
        del schema["$ref"]
    for each in schema.pop("allOf", ()):
        found = _joined(found, _alternatives(each, document))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            found = _joined(found, [one for each in schema.pop(keyword) for one in _alternatives(each, document)])
    kinds = schema.pop("type", None)
    if isinstance(kinds, list):
        return _joined(found, [_of_type(schema, kind) for kind in kinds])
    return _joined(found, [schema if kinds is None else {**schema, "type": kinds}])


def _of_type(schema: Json, kind: str) -> Json:
    if kind == "null":
        return {"type": "null"}
    words = {"enum": [word for word in schema["enum"] if word is not None]} if "enum" in schema else {}
    return {**schema, **words, "type": kind}


def _joined(left: list[Json], right: list[Json]) -> list[Json]:
    """Those that say what one of the left and one of the right say."""
    return [_both(one, other) for one in left for other in right]


def _both(one: Json, other: Json) -> Json:
    found = {**one, **other}
    if "properties" in one and "properties" in other:
        found["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        found["required"] = [*one["required"], *other["required"]]
    for keywords, strictest in ((LOWER, max), (UPPER, min)):
        found |= {key: strictest(one[key], other[key]) for key in keywords if key in one and key in other}
    return found


def resolved(node: Json, document: Json) -> Json:
    """What a reference within the document leads to; anything else is what it is."""
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def _component(schema: Any) -> str | None:
    return schema["$ref"].rpartition("/")[2] if isinstance(schema, dict) and "$ref" in schema else None


def _counterpart(schema: Json, others: list[Json]) -> Json | None:
    """The one that stands for the same kind of value."""
    alike = [other for other in others if other.get("type") == schema.get("type")]
    for keyword in (NAME, "format", "const", "enum"):
        alike = [other for other in alike if other.get(keyword) == schema.get(keyword)] or alike
    return alike[0] if alike and (NAME not in schema or alike[0].get(NAME) == schema[NAME]) else None


def _enumeration(schema: Json) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _member_names(schema: Json) -> dict[str, str]:
    words = [_show(word) for word in schema.get("enum", ())]
    return dict(zip(words, schema.get(VARNAMES, ()), strict=False))


def _word(schema: Json) -> str:
    return str(schema.get(NAME) or _type(schema))


def _type(schema: Json) -> str:
    return str(schema.get("type", "anything"))


def _show(value: Any) -> str:
    return "absent" if value is None else value if isinstance(value, str) else str(value).lower()


def _list(words: Any) -> str:
    return ", ".join(map(_show, words))

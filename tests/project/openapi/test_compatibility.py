"""Which edits of a document break clients, in every form that a document may have."""

from typing import Any

import pytest

from project.openapi.compatibility import breaking_edits

Json = dict[str, Any]

REFERENCE = {"$ref": "#/components/schemas/Thing"}


def document(*, sent: Any = None, received: Any = None, **more: Any) -> Json:
    """One operation whose body and answer have these schemas."""
    operation: Json = {"operationId": "swapThing", "responses": {"200": _content(received)}}
    if sent is not None:
        operation["requestBody"] = {**_content(sent), "required": True}
    operation |= {key: more.pop(key) for key in ("parameters", "security", "tags") if key in more}
    return {"openapi": "3.1.0", "paths": {"/things": {"post": operation}}, **more}


def _content(schema: Any) -> Json:
    return {"content": {"application/json": {"schema": True if schema is None else schema}}}


def sent(before: Any, after: Any, **more: Any) -> list[str]:
    edits = breaking_edits(document(sent=before, **more), document(sent=after, **more))
    return [edit.removeprefix("POST /things, body application/json: ") for edit in edits]


def received(before: Any, after: Any, **more: Any) -> list[str]:
    edits = breaking_edits(document(received=before, **more), document(received=after, **more))
    return [edit.removeprefix("POST /things, 200 application/json: ") for edit in edits]


def of_things(*fields: str, **more: Any) -> Json:
    return {"type": "object", "properties": {field: {"type": "string"} for field in fields}, **more}


class TestDirections:
    @pytest.mark.parametrize(
        ("wide", "narrow"),
        [
            ({"type": "string"}, {"type": "string", "maxLength": 5}),
            ({"type": "string", "minLength": 1}, {"type": "string", "minLength": 2}),
            ({"type": "number", "minimum": -1}, {"type": "number", "minimum": 0}),
            ({"type": "number"}, {"type": "number", "exclusiveMaximum": 9}),
            ({"type": "string"}, {"type": "string", "pattern": "^a"}),
            ({"type": "array"}, {"type": "array", "uniqueItems": True}),
            ({"type": "string"}, {"type": "string", "enum": ["a"]}),
            ({"type": ["string", "null"]}, {"type": "string"}),
            ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}),
            ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "string"}),
            (of_things("a"), of_things("a", additionalProperties=False)),
            (of_things("a"), of_things("a", required=["a"])),
            (True, {"type": "string"}),
            ({"type": "array"}, {"type": "array", "items": {"type": "string"}}),
            (
                {"type": "object", "additionalProperties": {"type": "string"}},
                {"type": "object", "additionalProperties": {"type": "string", "maxLength": 9}},
            ),
        ],
    )  # fmt: skip
    def test_less_may_not_be_taken_and_more_may_not_be_given(self, wide: Any, narrow: Any) -> None:
        assert len(sent(wide, narrow)) == len(received(narrow, wide)) == 1
        if "enum" not in str(narrow):
            assert sent(narrow, wide) == received(wide, narrow) == []

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"type": "string"}, {"type": "integer"}),
            ({"type": "integer", "format": "int32"}, {"type": "integer", "format": "int64"}),
            ({"type": "string"}, {"type": "string", "format": "date-time"}),
            ({"type": "string", "enum": ["a", "b"]}, {"type": "string", "enum": ["b"]}),
            ({"type": "string", "enum": ["a"]}, {"type": "string"}),
            (
                {"type": "string", "enum": ["-a"], "x-enum-varnames": ["A_DOWN"]},
                {"type": "string", "enum": ["-a"], "x-enum-varnames": ["A_DESCENDING"]},
            ),
            (of_things("a", "b"), of_things("a")),
            ({"type": "string", "not": {"const": "a"}}, {"type": "string", "not": {"const": "b"}}),
        ],
    )
    def test_what_programs_are_made_of_may_not_change_either_way(self, before: Any, after: Any) -> None:
        assert len(sent(before, after)) == len(received(before, after)) == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ({"type": "string"}, {"type": "string", "description": "A word.", "examples": ["a"], "title": "Word"}),
            (of_things("a"), of_things("a", "b")),
            ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, {"type": "string"}]}),
            ({"const": "a"}, {"enum": ["a"]}),
            (
                of_things("a", "b", required=["a"]),
                {"allOf": [of_things("a", required=["a"]), of_things("b")]},
            ),
        ],
    )
    def test_what_says_the_same_breaks_nobody(self, before: Any, after: Any) -> None:
        assert sent(before, after) == received(before, after) == []

    def test_new_fields_break_only_who_must_send_them(self) -> None:
        before, after = of_things("a"), of_things("a", "b", required=["b"])
        assert sent(before, after) == ["POST /things, body application/json.b: is new and required"]
        assert received(before, after) == []

    def test_new_fields_break_who_was_told_that_there_are_no_others(self) -> None:
        before, after = of_things("a", additionalProperties=False), of_things("a", "b", additionalProperties=False)
        assert sent(before, after) == []
        assert received(before, after) == [
            "POST /things, 200 application/json.b: is new, where there were to be no others"
        ]

    def test_new_words_break_only_who_receives_them(self) -> None:
        before, after = ({"type": "string", "enum": words} for words in (["a"], ["a", "b"]))
        assert sent(before, after) == []
        assert received(before, after) == ["can also be b"]

    def test_defaults_are_what_is_meant_by_sending_nothing(self) -> None:
        before, after = ({"type": "integer", "default": default} for default in (1, 2))
        assert sent(before, after) == ["default is 2, was 1"]
        assert received(before, after) == []


class TestComponents:
    def components(self, thing: Json, **others: Json) -> Json:
        return {"schemas": {"Thing": thing, **others}}

    def test_are_named_where_they_change(self) -> None:
        before, after = (
            document(sent={"type": "array", "items": REFERENCE}, components=self.components(of_things(*fields)))
            for fields in ("ab", "a")
        )
        assert breaking_edits(before, after) == ["Thing.b: is gone"]

    def test_are_compared_in_each_direction_that_they_go(self) -> None:
        short, long = ({"type": "string", "maxLength": length} for length in (5, 9))
        before, after = (
            document(sent=REFERENCE, received=REFERENCE, components=self.components(thing)) for thing in (short, long)
        )
        assert breaking_edits(before, after) == ["Thing: maxLength is 9, was 5"]
        assert breaking_edits(after, before) == ["Thing: maxLength is 5, was 9"]

    def test_may_hold_themselves(self) -> None:
        tree = {"type": "object", "properties": {"parent": {"anyOf": [REFERENCE, {"type": "null"}]}}}
        changed = {"type": "object", "properties": {**tree["properties"], "name": {"type": "string"}}}  # type: ignore[dict-item]
        before, after = (document(received=REFERENCE, components=self.components(thing)) for thing in (tree, changed))
        assert breaking_edits(before, after) == []
        assert breaking_edits(after, before) == ["Thing.name: is gone"]

    def test_may_be_alternatives(self) -> None:
        union = {"oneOf": [of_things("a", required=["a"]), {"type": "array", "items": REFERENCE}]}
        changed = {"oneOf": [of_things("a"), {"type": "array", "items": REFERENCE}]}
        before, after = (document(received=REFERENCE, components=self.components(thing)) for thing in (union, changed))
        assert breaking_edits(before, after) == ["Thing.a: may be absent"]

    def test_cannot_stand_for_one_another(self) -> None:
        components = self.components(of_things("a"), Other=of_things("a"))
        other = {"$ref": "#/components/schemas/Other"}
        before, after = (document(received=schema, components=components) for schema in (REFERENCE, other))
        assert breaking_edits(before, after) == ["POST /things, 200 application/json: is Other, was Thing"]


class TestOperations:
    def test_parameters_may_be_shared_and_referred_to(self) -> None:
        limit = {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}}
        before = document()
        before["paths"]["/things"]["parameters"] = [{"$ref": "#/components/parameters/Limit"}]
        before["components"] = {"parameters": {"Limit": limit}}
        after = document(parameters=[{**limit, "schema": {"type": "integer", "maximum": 50}}])
        assert breaking_edits(before, document()) == ["POST /things, query parameter limit: is gone"]
        assert breaking_edits(before, after) == ["POST /things, query parameter limit: maximum is 50, was 100"]
        assert breaking_edits(document(), before) == []

    @pytest.mark.parametrize(
        ("before", "after", "edits"),
        [
            ([], [{"token": []}], ["POST /things: asks for token of who gives nothing"]),
            ([{"token": []}], [], []),
            (
                [{"token": []}],
                [{"token": ["write"]}],
                ["POST /things: asks for token and token:write of who gives token"],
            ),
            ([{"token": []}], [{"token": []}, {"cookie": []}], []),
            ([{"token": []}, {"cookie": []}], [{"token": []}], ["POST /things: asks for token of who gives cookie"]),
        ],
    )
    def test_may_not_ask_for_more_of_callers(self, before: Any, after: Any, edits: list[str]) -> None:
        assert breaking_edits(document(security=before), document(security=after)) == edits

    def test_may_not_be_for_fewer_roles(self) -> None:
        before, after = document(security=[{"token": []}]), document(security=[{"token": []}])
        before["paths"]["/things"]["post"]["x-least-role"] = "viewer"
        after["paths"]["/things"]["post"]["x-least-role"] = "editor"
        assert breaking_edits(before, after) == ["POST /things: is for the role editor, was for viewer"]
        assert breaking_edits(after, before) == []

    def test_ask_as_the_document_does_where_they_do_not_say(self) -> None:
        before, after = document(), document()
        after["security"] = [{"token": []}]
        assert breaking_edits(before, after) == ["POST /things: asks for token of who gives nothing"]

    def test_schemes_may_not_change(self) -> None:
        before, after, without = document(), document(), document()
        before["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A"}}}
        after["components"] = {"securitySchemes": {"token": {"type": "apiKey", "name": "token", "in": "header"}}}
        assert breaking_edits(before, after) == ["security scheme token: is another"]
        assert breaking_edits(before, without) == ["security scheme token: is gone"]

    def test_bodies_may_not_become_necessary(self) -> None:
        without, necessary = document(), document(sent={"type": "string"})
        optional = document(sent={"type": "string"})
        optional["paths"]["/things"]["post"]["requestBody"]["required"] = False
        assert breaking_edits(without, optional) == breaking_edits(necessary, optional) == []
        assert breaking_edits(without, necessary) == ["POST /things, body: is new and required"]
        assert breaking_edits(optional, necessary) == ["POST /things, body: is required"]
        assert breaking_edits(necessary, without) == ["POST /things, body: is gone"]

    def test_servers_may_not_move(self) -> None:
        before, after = document(servers=[{"url": "/v1"}]), document(servers=[{"url": "/v2"}, {"url": "/v1"}])
        assert breaking_edits(before, after) == []
        assert breaking_edits(after, before) == ["server /v2: is gone"]

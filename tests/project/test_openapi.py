"""The description of the API: of this service, and of apps that others write."""

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator
from litestar import Controller, Litestar, Response, get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import ImproperlyConfiguredException
from litestar.params import JSONBody, PathParameter
from litestar.testing import TestClient
from msgspec import UNSET, Meta, UnsetType
from openapi_spec_validator import validate

from project import openapi
from project.asgi import create_app
from project.database import Database
from project.dto import StrictDTO
from project.headers import ETAG, IdempotencyKey, IfMatch, IfNoneMatch
from project.problems import KINDS
from project.queries import query_of
from project.settings import load

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Json:
    """As the service gives it."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    settings = load({"DATABASE_URL": f"sqlite:///{folder / 'registrar.sqlite3'}", "LOG_LEVEL": "WARNING"})
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        content: Json = client.get("/openapi.json").json()
    return content


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def objects(value: Any) -> Iterator[Json]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(each)


class TestDocument:
    def test_keeps_to_the_specification(self, document: Json) -> None:
        validate(document)  # type: ignore[arg-type]
        assert document["openapi"].startswith("3.1")

    def test_says_what_each_operation_is_and_does(self, document: Json) -> None:
        tags = {tag["name"] for tag in document["tags"] if tag["description"]}
        names = [operation["operationId"] for _, operation in operations(document)]
        assert len(names) == len(set(names)) > 0
        for name, operation in operations(document):
            assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", operation["operationId"]), name
            assert operation["summary"][-1] != "."
            assert operation["description"] not in ("", operation["summary"])
            assert len(operation["tags"]) == 1
            assert tags.issuperset(operation["tags"])
            assert all(parameter["description"] for parameter in operation.get("parameters", ())), name

    def test_knows_the_type_of_every_success(self, document: Json) -> None:
        for name, operation in operations(document):
            (status,) = [status for status in operation["responses"] if status.startswith("2")]
            for media_type in operation["responses"][status].get("content", {}).values():
                assert media_type["schema"], name

    def test_gives_every_error_one_shape(self, document: Json) -> None:
        for name, operation in operations(document):
            errors = [response for status, response in operation["responses"].items() if status >= "400"]
            assert errors, name
            for response in errors:
                (content,) = response["content"].items()
                assert content[0] == "application/problem+json"
                assert content[1]["schema"] == {"$ref": "#/components/schemas/Problem"}

    def test_tells_the_problems_of_a_status_apart(self, document: Json) -> None:
        for _, operation in operations(document):
            for status, response in operation["responses"].items():
                if status >= "400":
                    for slug, example in response["content"]["application/problem+json"]["examples"].items():
                        assert KINDS[slug].status == int(status)
                        assert KINDS[slug].meaning in response["description"]
                        assert example["value"]["type"] == f"/problems/{slug}"

    def test_says_when_to_try_again(self, document: Json) -> None:
        unavailable = [each["responses"]["503"] for _, each in operations(document) if "503" in each["responses"]]
        assert unavailable
        assert all("Retry-After" in response["headers"] for response in unavailable)

    def test_holds_examples_that_fit(self, document: Json) -> None:
        found = 0
        for media_type in objects(document["paths"]):
            for example in media_type["examples"].values() if isinstance(media_type.get("examples"), dict) else ():
                Draft202012Validator({**document, **media_type["schema"]}).validate(example["value"])
                found += 1
        assert found > 0

    def test_names_the_size_of_every_number(self, document: Json) -> None:
        sizes = {"number": {"double"}, "integer": {"int32", "int64"}}
        found = [each for each in objects(document) if each.get("type") in ("number", "integer")]
        assert found
        for schema in found:
            assert schema["format"] in sizes[schema["type"]], schema

    def test_never_asks_for_null(self, document: Json) -> None:
        for name, operation in operations(document):
            asked = [operation.get("parameters", []), operation.get("requestBody", {})]
            taken = [each["$ref"].rpartition("/")[2] for each in objects(asked[1]) if "$ref" in each]
            asked += [document["components"]["schemas"][component] for component in taken]
            assert not [each for part in asked for each in objects(part) if each.get("type") == "null"], name

    def test_uses_every_component(self, document: Json) -> None:
        used = {each["$ref"].rpartition("/")[2] for each in objects(document) if "$ref" in each}
        assert used == set(document["components"]["schemas"])


Title = Annotated[
    str, Meta(min_length=1, pattern=r"^[a-z ]*[a-z][a-z ]*\Z", description="A title.", examples=["algebra"])
]
Points = Annotated[int, Meta(ge=0, le=30, description="What it counts.", examples=[6])]


class Course(msgspec.Struct):
    """A course."""

    id: Annotated[int, Meta(ge=1, le=2**63 - 1, examples=[1])]
    title: Title
    points: Points
    level: Literal["basic", "advanced"]


class CourseCreate(msgspec.Struct, forbid_unknown_fields=True):
    """A course to be created."""

    title: Title
    points: Points = 6
    level: Literal["basic", "advanced"] = "basic"


class CourseUpdate(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change of a course."""

    title: Title | UnsetType = UNSET
    points: Points | UnsetType = UNSET


class CoursePage(msgspec.Struct):
    """Some courses."""

    items: list[Course]


class CourseQuery(msgspec.Struct, forbid_unknown_fields=True):
    level: Annotated[tuple[Literal["basic", "advanced"], ...], Meta(description="Only these.")] = ()
    points_min: Annotated[Points, Meta(description="Only from this on.")] | UnsetType = UNSET
    sort: Annotated[Literal["title", "-title"], Meta(description="The order.")] = "title"
    limit: Annotated[int, Meta(ge=1, le=100, description="How many at most.")] = 20
    cursor: Annotated[str, Meta(description="Where to go on.")] | UnsetType = UNSET


CourseId = Annotated[int, PathParameter(description="The course's id.")]


class CourseController(Controller):
    """Courses, and what they count."""

    path = "/courses"
    tags = ("courses",)

    @get(operation_id="listCourses", dependencies={"parameters": query_of(CourseQuery)})
    async def list_(
        self, database: NamedDependency[Database], parameters: NamedDependency[CourseQuery]
    ) -> Response[CoursePage]:
        """List courses.

        In order
        of their title.

        All of them.
        """
        raise NotImplementedError

    @post(dto=StrictDTO[CourseCreate], return_dto=None)
    async def create(
        self, database: NamedDependency[Database], data: JSONBody[CourseCreate], idempotency_key: IdempotencyKey = None
    ) -> Response[Course]:
        """Create a course."""
        raise NotImplementedError

    @post("/many", dto=StrictDTO[CourseCreate], return_dto=None)
    async def create_many(
        self,
        database: NamedDependency[Database],
        data: JSONBody[Annotated[list[CourseCreate], Meta(min_length=1, max_length=9)]],
    ) -> Response[CoursePage]:
        """Create courses."""
        raise NotImplementedError

    @patch("/{course_id:int}", dto=StrictDTO[CourseUpdate], return_dto=None)
    async def update(
        self,
        database: NamedDependency[Database],
        course_id: CourseId,
        data: JSONBody[CourseUpdate],
        if_match: IfMatch = None,
    ) -> Response[Course]:
        """Change a course."""
        raise NotImplementedError

    @get("/file", operation_class=openapi.streamed(gives={"text/csv": "title\n", "text/plain": "title"}))
    async def file(self) -> Response[bytes]:
        """Get all courses as a file."""
        raise NotImplementedError

    @post("/file", operation_class=openapi.streamed(takes={"text/csv": "title\n"}))
    async def take(self) -> Response[CoursePage]:
        """Create courses from a file."""
        raise NotImplementedError

    @get("/{course_id:int}", response_headers=[ETAG])
    async def get(
        self, database: NamedDependency[Database], course_id: CourseId, if_none_match: IfNoneMatch = None
    ) -> Response[Course]:
        """Get a course."""
        raise NotImplementedError


class Topic(msgspec.Struct):
    """A topic, and those in it."""

    title: Title
    topics: list["Topic"]


class Lesson(msgspec.Struct):
    taught_at: Annotated[dt.datetime, Meta(tz=True)]
    room: Annotated[str, Meta(examples=["12"])] | None
    is_public: bool


@get("/topics")
async def list_topics() -> list[Topic]:
    raise NotImplementedError


@get("/lessons")
async def list_lessons() -> list[Lesson]:
    raise NotImplementedError


def description(*handlers: Any) -> Json:
    app = Litestar(
        handlers,
        openapi_config=openapi.config([handler for handler in handlers if isinstance(handler, type)]),
        plugins=[openapi.Structs()],
        dependencies={"database": Provide(object, sync_to_thread=False)},
    )
    return openapi.Document(app).content


@pytest.fixture(scope="module")
def described() -> Json:
    """The description of an app that somebody else has written."""
    return description(CourseController)


def named(document: Json, operation_id: str) -> Json:
    return next(operation for _, operation in operations(document) if operation["operationId"] == operation_id)


class TestAppOfOthers:
    def test_keeps_to_the_specification(self, described: Json) -> None:
        validate(described)  # type: ignore[arg-type]

    def test_names_operations_after_their_methods(self, described: Json) -> None:
        names = {name: operation["operationId"] for name, operation in operations(described)}
        assert names == {
            "GET /courses": "listCourses",
            "POST /courses": "createCourse",
            "GET /courses/{course_id}": "getCourse",
            "PATCH /courses/{course_id}": "updateCourse",
            "GET /courses/file": "fileCourse",
            "POST /courses/file": "takeCourse",
            "POST /courses/many": "createManyCourse",
        }

    def test_takes_words_from_docstrings(self, described: Json) -> None:
        assert described["tags"] == [{"name": "courses", "description": "Courses, and what they count."}]
        listing = named(described, "listCourses")
        assert listing["summary"] == "List courses"
        assert listing["description"] == "In order of their title.\n\nAll of them.\n\nFor the role `viewer` and above."
        assert named(described, "createCourse")["description"] == "Create a course.\n\nFor the role `editor` and above."

    def test_has_the_fields_of_a_query_as_parameters(self, described: Json) -> None:
        parameters = named(described, "listCourses")["parameters"]
        by_name = {parameter["name"]: parameter for parameter in parameters}
        assert list(by_name) == ["level", "points_min", "sort", "limit", "cursor"]
        assert by_name["level"] == {
            "name": "level",
            "in": "query",
            "required": False,
            "style": "form",
            "explode": True,
            "description": "Only these.",
            "schema": {"type": "array", "items": {"type": "string", "enum": ["advanced", "basic"]}},
        }
        assert by_name["limit"]["schema"] == {
            "type": "integer", "minimum": 1, "maximum": 100, "default": 20, "format": "int32"
        }  # fmt: skip
        assert by_name["sort"]["schema"] == {
            "type": "string",
            "enum": ["-title", "title"],
            "x-enum-varnames": ["TITLE_DESCENDING", "TITLE"],
            "default": "title",
        }
        assert by_name["points_min"]["schema"]["minimum"] == 0
        assert "default" not in by_name["points_min"]["schema"]

    def test_keeps_bounds_of_what_may_be_absent(self, described: Json) -> None:
        create, update = (described["components"]["schemas"][name] for name in ("CourseCreate", "CourseUpdate"))
        assert create["required"] == ["title"]
        assert create["properties"]["points"]["default"] == 6
        assert "required" not in update
        assert update["properties"]["points"] == {
            "description": "What it counts.",
            "examples": [6],
            "type": "integer",
            "format": "int32",
            "minimum": 0,
            "maximum": 30,
        }
        assert create["additionalProperties"] is update["additionalProperties"] is False

    def test_describes_lists_with_their_length(self, described: Json) -> None:
        body = named(described, "createManyCourse")["requestBody"]["content"]["application/json"]
        assert body["schema"] == {
            "type": "array",
            "items": {"$ref": "#/components/schemas/CourseCreate"},
            "minItems": 1,
            "maxItems": 9,
        }

    def test_leaves_int64_to_its_name(self, described: Json) -> None:
        id_of_course = described["components"]["schemas"]["Course"]["properties"]["id"]
        assert id_of_course == {"type": "integer", "format": "int64", "minimum": 1, "examples": [1]}

    @pytest.mark.parametrize(
        ("text", "fits"), [("algebra", True), (" a ", True), ("", False), (" ", False), ("a\n", False), ("\na", False)]
    )
    def test_writes_patterns_that_python_reads_as_the_service_does(
        self, described: Json, text: str, fits: bool
    ) -> None:
        pattern = described["components"]["schemas"]["Course"]["properties"]["title"]["pattern"]
        assert Draft202012Validator({"pattern": pattern}).is_valid(text) is fits
        assert "Z" not in pattern

    @pytest.mark.parametrize(
        ("name", "statuses"),
        [
            ("listCourses", ["200", "400", "401", "406", "429", "503"]),
            ("createCourse", ["201", "400", "401", "403", "406", "413", "415", "422", "429", "503"]),
            ("getCourse", ["200", "304", "400", "401", "404", "406", "429", "503"]),
            ("updateCourse", ["200", "400", "401", "403", "404", "406", "412", "413", "415", "422", "429", "503"]),
            ("fileCourse", ["200", "400", "401", "406", "429", "503"]),
            ("takeCourse", ["201", "400", "401", "403", "406", "413", "415", "422", "429", "503"]),
        ],
    )
    def test_knows_what_can_come_of_what_is_taken(self, described: Json, name: str, statuses: list[str]) -> None:
        assert list(named(described, name)["responses"]) == statuses

    def test_documents_the_headers_of_answers(self, described: Json) -> None:
        created = named(described, "createCourse")["responses"]["201"]
        assert list(created["headers"]) == ["Idempotency-Replayed"]
        read = named(described, "getCourse")["responses"]
        assert list(read["200"]["headers"]) == list(read["304"]["headers"]) == ["ETag"]
        assert read["200"]["headers"]["ETag"]["schema"] == {"type": "string"}
        assert "content" not in read["304"]

    def test_documents_streams_by_their_media_types(self, described: Json) -> None:
        given = named(described, "fileCourse")["responses"]["200"]["content"]
        taken = named(described, "takeCourse")["requestBody"]
        assert list(given) == ["text/csv", "text/plain"]
        assert list(taken["content"]) == ["text/csv"]
        assert taken["required"] is True
        binary = {"type": "string", "format": "binary"}
        assert given["text/csv"] == {"schema": binary, "examples": {"example": {"value": "title\n"}}}
        assert taken["content"]["text/csv"]["schema"] == {"type": "string"}

    def test_shows_an_example_of_each_body(self, described: Json) -> None:
        create = named(described, "createCourse")
        body = create["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
        assert body == {"title": "algebra", "points": 6, "level": "advanced"}
        refused = create["responses"]["422"]["content"]["application/problem+json"]["examples"]
        assert list(refused) == ["invalid-body", "key-reused"]
        assert refused["invalid-body"]["value"]["errors"] == [{"pointer": "/title", "detail": "is required"}]


class TestOtherHandlers:
    def test_need_no_controller_and_no_tag(self) -> None:
        document = description(list_topics, CourseController)
        validate(document)  # type: ignore[arg-type]
        assert list(document["paths"])[-1] == "/topics"
        assert document["paths"]["/topics"]["get"]["operationId"] == "listTopics"
        assert document["paths"]["/topics"]["get"]["summary"] == "List topics"

    def test_may_answer_structs_that_hold_themselves(self) -> None:
        content = description(list_topics)["paths"]["/topics"]["get"]["responses"]["200"]["content"]
        assert content["application/json"] == {
            "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Topic"}}
        }

    def test_may_not_answer_two_structs_of_one_name(self) -> None:
        other = msgspec.defstruct("Topic", [("id", int)])

        @get("/other-topics")
        async def list_other_topics() -> other:  # type: ignore[valid-type]
            raise NotImplementedError

        with pytest.raises(ImproperlyConfiguredException, match="Two different structs are called Topic"):
            description(list_topics, list_other_topics)

    @pytest.mark.parametrize("name", ["Problem", "ProblemDetails"])
    def test_may_not_answer_a_struct_of_the_name_that_errors_have(self, name: str) -> None:
        other = msgspec.defstruct(name, [("id", int)])

        @get("/issues")
        async def list_issues() -> other:  # type: ignore[valid-type]
            raise NotImplementedError

        with pytest.raises(ImproperlyConfiguredException, match=rf"structs? (is|are) called {name}, "):
            description(list_issues)

    def test_show_examples_of_what_anybody_can_guess(self) -> None:
        content = description(list_lessons)["paths"]["/lessons"]["get"]["responses"]["200"]["content"]
        assert content["application/json"]["examples"]["example"]["value"] == [
            {"taught_at": "2026-01-31T09:30:00Z", "room": "12", "is_public": False}
        ]

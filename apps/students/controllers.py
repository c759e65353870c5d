"""Students over HTTP."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from apps.students import schemas
from apps.students.services import StudentService, conditions
from project.conditional import Condition, etag
from project.database import Database
from project.dto import StrictDTO
from project.headers import ETAG, LOCATION, IdempotencyKey, IfMatch, IfNoneMatch
from project.idempotency import Answer, answer_once, claim, fingerprint
from project.pagination import Cursors
from project.problems import BadQuery, FieldError
from project.queries import query_of
from project.responses import json_response

StudentId = Annotated[int, PathParameter(description="The student's id.", schema_extra={"minimum": 1})]


class StudentController(Controller):
    """Students and their grades: one at a time, in pages, or all that a filter lets through."""

    path = "/students"
    tags = ("students",)

    @post(
        operation_id="createStudent",
        dto=StrictDTO[schemas.StudentCreate],
        return_dto=None,
        response_description="The student, with the id that it was given.",
        response_headers=[ETAG, LOCATION],
    )
    async def create(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        data: JSONBody[schemas.StudentCreate],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[schemas.Student]:
        """Create a student.

        Send an `Idempotency-Key` to be able to repeat the request when its answer was lost: one student is created.
        """

        async def work(students: StudentService) -> Answer:
            student = students.view(await students.create(data))
            body = msgspec.json.encode(student)
            return Answer(201, body, {"ETag": etag(body), "Location": f"/students/{student.id}"})

        claimed = claim(request, idempotency_key, fingerprint(request, await request.body()))
        return json_response(await answer_once(database, StudentService, claimed, work))

    @get(
        operation_id="listStudents",
        dependencies={"parameters": query_of(schemas.StudentQuery)},
        response_description="A page of students, and the cursor of the next.",
    )
    async def list(
        self,
        database: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        parameters: NamedDependency[schemas.StudentQuery],
    ) -> Response[schemas.StudentPage]:
        """List students, a page at a time.

        Walk through the pages with `cursor`: a student that is there all along comes exactly once, whatever is created
        or deleted meanwhile. All filters must let a student through, but it needs to be in one of the departments only.
        """
        filters = _filters(parameters)
        page = await database.read(
            StudentService,
            lambda students: students.page(
                cursors,
                filters=filters,
                sort=parameters.sort,
                limit=parameters.limit,
                cursor=parameters.cursor or None,
                count=parameters.count,
            ),
        )
        return json_response(Answer(200, msgspec.json.encode(page), {}))

    @get(
        "/{student_id:int}",
        operation_id="getStudent",
        response_description="The student.",
        response_headers=[ETAG],
    )
    async def get(
        self,
        database: NamedDependency[Database],
        student_id: StudentId,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[schemas.Student]:
        """Get a student.

        With `If-None-Match`, a student that is still the same is not sent again.
        """

        async def work(students: StudentService) -> schemas.Student:
            return students.view(await students.get(student_id))

        body = msgspec.json.encode(await database.read(StudentService, work))
        tag = etag(body)
        if Condition(if_match, if_none_match).is_fresh(tag):
            return json_response(Answer(304, b"", {"ETag": tag}))
        return json_response(Answer(200, body, {"ETag": tag}))

    @put(
        "/{student_id:int}",
        operation_id="replaceStudent",
        dto=StrictDTO[schemas.StudentCreate],
        return_dto=None,
        response_description="The student as it is now.",
        response_headers=[ETAG],
    )
    async def replace(
        self,
        database: NamedDependency[Database],
        student_id: StudentId,
        data: JSONBody[schemas.StudentCreate],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[schemas.Student]:
        """Replace all of a student's fields.

        With `If-Match`, only if nobody changed the student since it was read.
        """
        return await _change(database, student_id, data, Condition(if_match, if_none_match))

    @patch(
        "/{student_id:int}",
        operation_id="updateStudent",
        dto=StrictDTO[schemas.StudentUpdate],
        return_dto=None,
        response_description="The student as it is now.",
        response_headers=[ETAG],
    )
    async def update(
        self,
        database: NamedDependency[Database],
        student_id: StudentId,
        data: JSONBody[schemas.StudentUpdate],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[schemas.Student]:
        """Change some of a student's fields.

        What is not sent stays as it is; `{}` changes nothing. With `If-Match`, only if nobody changed the student since
        it was read.
        """
        return await _change(database, student_id, data, Condition(if_match, if_none_match))

    @delete("/{student_id:int}", operation_id="deleteStudent", response_description="The student is gone.")
    async def delete(
        self,
        database: NamedDependency[Database],
        student_id: StudentId,
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> None:
        """Delete a student.

        Its id is never given to another. With `If-Match`, only if nobody changed the student since it was read.
        """
        condition = Condition(if_match, if_none_match)
        await database.write(StudentService, lambda students: students.delete(student_id, condition=condition))


async def _change(database: Database, student_id: int, data: Any, condition: Condition) -> Response[schemas.Student]:
    async def work(students: StudentService) -> schemas.Student:
        return students.view(await students.update(data, student_id, condition=condition))

    body = msgspec.json.encode(await database.write(StudentService, work))
    return json_response(Answer(200, body, {"ETag": etag(body)}))


def _filters(query: schemas.StudentFilters) -> dict[str, Any]:
    try:
        return conditions(query)
    except ValueError as error:
        raise BadQuery(errors=[FieldError("/updated_after", f"is not a moment in RFC 3339: {error}")]) from error

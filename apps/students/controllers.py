"""Students over HTTP."""

from contextlib import ExitStack
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.response import Stream

from apps.students import schemas
from apps.students.services import StudentService, conditions
from project.conditional import Condition, etag
from project.database import Database
from project.dto import StrictDTO
from project.headers import ETAG, LOCATION, IdempotencyKey, IfMatch, IfNoneMatch
from project.idempotency import Answer, answer_once, claim
from project.openapi import streamed
from project.pagination import Cursors
from project.problems import BadQuery, FieldError
from project.queries import query_of
from project.requests import MEDIA_TYPES
from project.responses import download, json_response
from project.transfer.exports import FORMATS, export_rows
from project.transfer.imports import ImportOptions, ImportReport, import_records, records_of
from project.transfer.spools import receive, spool

MOST_BATCH = 8 * 1024 * 1024

CSV_EXAMPLE = "id,name,department,cgpa,created_at,updated_at\n"
CSV_EXAMPLE += "1,Ananya,CSE,8.9,2026-01-31T09:30:00.123456Z,2026-01-31T09:30:00.123456Z\n"
JSON_LINES_EXAMPLE = '{"id":1,"name":"Ananya","department":"CSE","cgpa":8.9,'
JSON_LINES_EXAMPLE += '"created_at":"2026-01-31T09:30:00.123456Z","updated_at":"2026-01-31T09:30:00.123456Z"}\n'

StudentId = Annotated[int, PathParameter(description="The student's id.", schema_extra={"minimum": 1})]


class StudentHandlers:
    """One student at a time, below any path."""

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

        claimed = claim(request, idempotency_key, await request.body())
        return json_response(await answer_once(database, StudentService, claimed, work, together=True))

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

        body = msgspec.json.encode(await database.read(StudentService, lambda students: students.show(student_id)))
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


class StudentController(StudentHandlers, Controller):
    """Students and their grades: one at a time, in pages, or all that a filter lets through."""

    path = "/students"
    tags = ("students",)

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

    @post(
        "/batch",
        operation_id="createStudents",
        dto=StrictDTO[schemas.StudentCreate],
        return_dto=None,
        request_max_body_size=MOST_BATCH,
        response_description="The students, in the order of the batch, with the ids that they were given.",
    )
    async def create_many(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        data: JSONBody[schemas.StudentsCreate],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[schemas.StudentBatch]:
        """Create up to 1,000 students, all or none.

        A list of up to 8 MiB. Errors point into it: `/17/cgpa`. Send an `Idempotency-Key` to be able to repeat the
        request when its answer was lost.
        """

        async def work(students: StudentService) -> Answer:
            batch = schemas.StudentBatch([students.view(student) for student in await students.create_many(data)])
            return Answer(201, msgspec.json.encode(batch), {})

        claimed = claim(request, idempotency_key, await request.body())
        return json_response(await answer_once(database, StudentService, claimed, work))

    @get(
        "/statistics",
        operation_id="getStudentStatistics",
        dependencies={"parameters": query_of(schemas.StudentFilters)},
        response_description="The departments, in order of their names.",
    )
    async def statistics(
        self, database: NamedDependency[Database], parameters: NamedDependency[schemas.StudentFilters]
    ) -> Response[schemas.StudentStatistics]:
        """Sum up the grades of each department.

        Over all students that the filters let through. The mean is exact until it is rounded once.
        """
        filters = _filters(parameters)
        items = await database.snapshot(StudentService, lambda students: students.statistics(filters), limited=True)
        return json_response(Answer(200, msgspec.json.encode(schemas.StudentStatistics(items)), {}))

    @get(
        "/export",
        operation_id="exportStudents",
        dependencies={"parameters": query_of(schemas.StudentExport)},
        opt={MEDIA_TYPES: ("text/csv", "application/x-ndjson")},
        operation_class=streamed(gives={"text/csv": CSV_EXAMPLE, "application/x-ndjson": JSON_LINES_EXAMPLE}),
        response_description="The students, as they were at one moment.",
    )
    async def export(
        self, database: NamedDependency[Database], parameters: NamedDependency[schemas.StudentExport]
    ) -> Stream:
        """Export all students, or those that the filters let through.

        CSV has a header line, quotes as RFC 4180 does, and ends lines in LF; JSON Lines has one student a line, as
        elsewhere in this API. An import takes both.
        """
        filters, form = _filters(parameters), FORMATS[parameters.format]
        with ExitStack() as held:
            file = held.enter_context(spool())
            await export_rows(
                database, StudentService, lambda students: students.export(filters, parameters.sort), form, file
            )
            return download(file, held.pop_all(), form.media_type, f"students.{parameters.format}")

    @post(
        "/import",
        operation_id="importStudents",
        status_code=200,
        dependencies={"parameters": query_of(ImportOptions)},
        request_max_body_size=None,
        operation_class=streamed(takes={"text/csv": CSV_EXAMPLE, "application/x-ndjson": JSON_LINES_EXAMPLE}),
        response_description="What became of the records.",
    )
    async def import_file(
        self,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        parameters: NamedDependency[ImportOptions],
        idempotency_key: IdempotencyKey = None,
    ) -> Response[ImportReport]:
        """Create students from a file of any size.

        CSV whose first line names the columns, or JSON Lines, in UTF-8 and with lines of up to 1 MiB. What an export
        gives is taken as it is, but `id`, `created_at` and `updated_at` are passed over.

        Records that are valid are kept; each that is not is reported with the line that it starts in. With
        `atomic=true` none is kept if one is refused. With that, or with an `Idempotency-Key`, all appear at one moment;
        otherwise some at a time, and other changes come in between.
        """
        with spool() as file:
            digest = await receive(request.stream(), file)
            claimed = claim(request, idempotency_key, digest)
            records = records_of(request, file, schemas.StudentRecord)
            answer = await import_records(database, StudentService, records, parameters, claimed)
        return json_response(answer)


class TutorialController(StudentHandlers, Controller):
    """The paths of the tutorial that people come from."""

    path = "/student"
    include_in_schema = False


async def _change(database: Database, student_id: int, data: Any, condition: Condition) -> Response[schemas.Student]:
    async def work(students: StudentService) -> schemas.Student:
        return students.view(await students.update(data, student_id, condition=condition))

    body = msgspec.json.encode(await database.write(StudentService, work))
    return json_response(Answer(200, body, {"ETag": etag(body)}))


def _filters(query: schemas.StudentFilters) -> dict[str, Any]:
    try:
        return conditions(query)
    except OverflowError as error:
        raise BadQuery(errors=[FieldError("/updated_after", "must be in the years 1 to 9999 of UTC")]) from error

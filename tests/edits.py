"""Edits of the code that change the API: those that break clients, with the clause that names them, and others."""

from typing import NamedTuple

from tests.trees import Tree

CONTROLLERS, SCHEMAS = "apps/students/controllers.py", "apps/students/schemas.py"
HEADERS, HEALTH, IMPORTS = "project/headers.py", "project/health.py", "project/transfer/imports.py"


class Edit(NamedTuple):
    path: str
    old: str
    """What stands in the file once."""
    new: str
    named: str = ""

    def make(self, tree: Tree) -> None:
        tree.edit(self.path, self.old, self.new)


BREAKING = {
    "operation removed": Edit(
        CONTROLLERS,
        '        operation_id="getStudentStatistics",\n',
        "        include_in_schema=False,\n",
        "GET /students/statistics: getStudentStatistics is gone",
    ),
    "operation renamed": Edit(
        CONTROLLERS,
        'operation_id="listStudents"',
        'operation_id="findStudents"',
        "GET /students: is called findStudents, was listStudents",
    ),
    "path changed": Edit(
        CONTROLLERS, '"/batch"', '"/many"', "POST /students/batch: createStudents has moved to POST /students/many"
    ),
    "method changed": Edit(
        CONTROLLERS,
        '@put(\n        "/{student_id:int}"',
        '@post(\n        "/{student_id:int}", status_code=200',
        "PUT /students/{student_id}: replaceStudent has moved to POST /students/{student_id}",
    ),
    "tag changed": Edit(
        HEALTH, 'tags = ("operations",)', 'tags = ("service",)', "GET /metrics: belongs to service, was in operations"
    ),
    "parameter removed": Edit(
        SCHEMAS,
        "    count: Annotated[bool",
        "    total: Annotated[bool",
        "GET /students, query parameter count: is gone",
    ),
    "parameter required": Edit(
        IMPORTS,
        'Meta(description="Keep none if one is refused.")] = False',
        'Meta(description="Keep none if one is refused.")]',
        "POST /students/import, query parameter atomic: is required",
    ),
    "new required parameter": Edit(
        IMPORTS,
        "    dry_run: Annotated",
        '    reason: Annotated[str, Meta(description="Why.")]\n    dry_run: Annotated',
        "POST /students/import, query parameter reason: is new and required",
    ),
    "header renamed": Edit(
        HEADERS,
        'name="If-None-Match"',
        'name="If-Changed"',
        "GET /students/{student_id}, header parameter If-None-Match: is gone",
    ),
    "bound of a parameter tightened": Edit(
        SCHEMAS, "ge=1, le=100", "ge=1, le=50", "GET /students, query parameter limit: maximum is 50, was 100"
    ),
    "default changed": Edit(
        SCHEMAS,
        'description="How many at most.")] = 20',
        'description="How many at most.")] = 50',
        "GET /students, query parameter limit: default is 50, was 20",
    ),
    "word of a parameter removed": Edit(
        SCHEMAS,
        '"created_at", "-created_at"',
        '"created_at"',
        "GET /students, query parameter sort: cannot be -created_at any longer",
    ),
    "new required field in a request": Edit(
        SCHEMAS,
        '    """A student to be created, or everything that may be replaced of one."""\n',
        '    """A student to be created, or everything that may be replaced of one."""\n\n    year: Count\n',
        "StudentCreate.year: is new and required",
    ),
    "field of a request removed": Edit(
        SCHEMAS, "    department: Department | UnsetType = UNSET\n", "", "StudentUpdate.department: is gone"
    ),
    "field of an answer renamed": Edit(
        SCHEMAS,
        "    department: Department\n    count: Annotated",
        "    name: Department\n    count: Annotated",
        "DepartmentStatistics.department: is gone",
    ),
    "bound of a field tightened": Edit(
        SCHEMAS,
        'max_length=200,\n        pattern=VISIBLE,\n        extra=REFUSAL,\n        description="Full name',
        'max_length=150,\n        pattern=VISIBLE,\n        extra=REFUSAL,\n        description="Full name',
        "StudentCreate.name: maxLength is 150, was 200",
    ),
    "length of a list tightened": Edit(
        SCHEMAS,
        "max_length=1000",
        "max_length=500",
        "POST /students/batch, body application/json: maxItems is 500, was 1000",
    ),
    "bound of an answer loosened": Edit(
        SCHEMAS,
        'Meta(ge=0, le=10, description="Mean',
        'Meta(ge=0, le=100, description="Mean',
        "DepartmentStatistics.mean: maximum is 100, was 10",
    ),
    "type changed": Edit(SCHEMAS, "    id: Id\n", "    id: str\n", "Student.id: is string, was integer"),
    "format changed": Edit(SCHEMAS, "le=2**63 - 1", "le=2**31 - 1", "Student.id: format is int32, was int64"),
    "null in an answer": Edit(
        SCHEMAS, "    min: Cgpa\n", "    min: Cgpa | None\n", "DepartmentStatistics.min: can also be null"
    ),
    "field of an answer may be absent": Edit(
        SCHEMAS,
        "    updated_at: Timestamp\n",
        "    updated_at: Timestamp | UnsetType = UNSET\n",
        "Student.updated_at: may be absent",
    ),
    "new word in an answer": Edit(HEALTH, 'Literal["ok"]', 'Literal["ok", "slow"]', "Health.status: can also be slow"),
    "component renamed": Edit(
        SCHEMAS,
        'class StudentBatch(Struct):\n    """The students that a batch created, in its order."""\n\n'
        "    items: list[Student]\n",
        "class CreatedStudents(Struct):\n    items: list[Student]\n\n\nStudentBatch = CreatedStudents\n",
        "component StudentBatch: is gone",
    ),
    "status changed": Edit(
        CONTROLLERS,
        'operation_id="createStudents"',
        'operation_id="createStudents", status_code=200',
        "POST /students/batch: status 201 is gone",
    ),
    "media type of a request removed": Edit(
        CONTROLLERS,
        'takes={"text/csv": CSV_EXAMPLE, "application/x-ndjson": JSON_LINES_EXAMPLE}',
        'takes={"text/csv": CSV_EXAMPLE}',
        "POST /students/import, body: application/x-ndjson is gone",
    ),
    "media type of an answer changed": Edit(
        CONTROLLERS,
        'gives={"text/csv": CSV_EXAMPLE',
        'gives={"text/plain": CSV_EXAMPLE',
        "GET /students/export, 200: text/csv is gone",
    ),
    "header of an answer removed": Edit(
        HEADERS, '"Location",', '"Content-Location",', "POST /students, 201, header Location: is gone"
    ),
}

COMPATIBLE = {
    "new operation": Edit(
        HEALTH,
        '    @get("/health/ready"',
        '    @get("/alive", operation_id="isAlive")\n    async def alive(self) -> Health:\n        """Ask."""\n'
        '        return Health()\n\n    @get("/health/ready"',
    ),
    "new optional parameter": Edit(
        SCHEMAS,
        "    cursor: (\n",
        '    whole: Annotated[bool, Meta(description="All of it.")] = False\n    cursor: (\n',
    ),
    "bound of a parameter loosened": Edit(SCHEMAS, "ge=1, le=100", "ge=1, le=200"),
    "new word of a parameter": Edit(SCHEMAS, 'Literal["csv", "jsonl"]', 'Literal["csv", "jsonl", "parquet"]'),
    "new optional field in a request": Edit(
        SCHEMAS,
        "    cgpa: Cgpa | UnsetType = UNSET\n",
        "    cgpa: Cgpa | UnsetType = UNSET\n    year: Count | UnsetType = UNSET\n",
    ),
    "length of a list loosened": Edit(SCHEMAS, "max_length=1000", "max_length=2000"),
    "new required field in an answer": Edit(SCHEMAS, "    mean: Annotated", "    median: Cgpa\n    mean: Annotated"),
    "new optional field in an answer": Edit(
        SCHEMAS,
        "    ]\n\n\nclass StudentStatistics(",
        "    ]\n    mode: Cgpa | UnsetType = UNSET\n\n\nclass StudentStatistics(",
    ),
    "bound of an answer tightened": Edit(
        SCHEMAS, 'Meta(ge=1, description="Students.",', 'Meta(ge=2, description="Students.",'
    ),
    "new media type of a request": Edit(
        CONTROLLERS, 'takes={"text/csv": CSV_EXAMPLE', 'takes={"text/plain": "", "text/csv": CSV_EXAMPLE'
    ),
    "new header of an answer": Edit(
        "project/openapi/operations.py",
        "        described[IDEMPOTENCY_REPLAYED.name] =",
        "        described[RETRY_AFTER.name] = described[IDEMPOTENCY_REPLAYED.name] =",
    ),
    "new kind of failure": Edit(
        "project/openapi/operations.py",
        "    yield problems.BadQuery\n",
        "    yield from (problems.BadQuery, problems.Forbidden)\n",
    ),
    "other words": Edit(CONTROLLERS, '"""Create a student.\n', '"""Add a student.\n'),
}

"""What a user of the client does, in the order of a day: given the service's URL, a username and its password."""

import asyncio
import datetime as dt
import sys

from registrar_client import AuthenticatedClient, Client
from registrar_client.api.audit import list_audit_entries
from registrar_client.api.auth import create_token, get_me, list_tokens, revoke_token
from registrar_client.api.students import (
    create_student,
    create_students,
    delete_student,
    export_students,
    get_student,
    get_student_statistics,
    import_students,
    list_students,
    replace_student,
    update_student,
)
from registrar_client.errors import UnexpectedStatus
from registrar_client.models import (
    ExportStudentsFormat,
    ImportReport,
    ListStudentsSort,
    Me,
    NewToken,
    Problem,
    Student,
    StudentBatch,
    StudentCreate,
    StudentPage,
    StudentStatistics,
    StudentUpdate,
    TokenCreate,
    TokenCreateRole,
    TokenList,
)
from registrar_client.retries import retry, retry_asyncio

_, url, username, password = sys.argv


def sign_in(role: TokenCreateRole = TokenCreateRole.ADMIN) -> AuthenticatedClient:
    body = TokenCreate(username=username, password=password, role=role)
    token = create_token.sync(client=Client(base_url=url), body=body)
    assert isinstance(token, NewToken)
    return AuthenticatedClient(base_url=url, token=token.access_token)


def stay_out() -> None:
    wrong = create_token.sync(client=Client(base_url=url), body=TokenCreate(username=username, password="no, not this"))
    assert isinstance(wrong, Problem)
    assert wrong.status == 401
    forged = AuthenticatedClient(base_url=url, token="forged")
    answer = list_students.sync_detailed(client=forged)
    assert isinstance(answer.parsed, Problem)
    assert answer.parsed.type_ == "/problems/unauthenticated"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def look_after_tokens() -> None:
    viewer = sign_in(TokenCreateRole.VIEWER)
    me = get_me.sync(client=viewer)
    assert isinstance(me, Me)
    assert (me.username, me.role) == (username, "viewer")
    denied = create_student.sync(client=viewer, body=StudentCreate(name="Ananya", department="CSE", cgpa=8.9))
    assert isinstance(denied, Problem)
    assert denied.status == 403
    tokens = list_tokens.sync(client=client)
    assert isinstance(tokens, TokenList)
    assert me.token_id in [token.id for token in tokens.items]
    assert revoke_token.sync_detailed(me.token_id, client=client).status_code == 204


def look_back() -> None:
    entries = list_audit_entries.iterate(client=client, record="students.student", limit=10)
    assert {"create", "update", "delete"} <= {entry.action for entry in entries}


client = sign_in()


def create() -> tuple[Student, str]:
    body = StudentCreate(name="Ananya", department="CSE", cgpa=8.9)
    first = retry(lambda: create_student.sync_detailed(client=client, body=body, idempotency_key="first"))
    again = retry(lambda: create_student.sync_detailed(client=client, body=body, idempotency_key="first"))
    assert first.status_code == again.status_code == 201
    assert again.headers["Idempotency-Replayed"] == "true"
    assert isinstance(first.parsed, Student)
    assert first.parsed == again.parsed
    assert first.parsed.created_at.tzinfo is not None
    return first.parsed, first.headers["ETag"]


def create_many() -> None:
    bodies = [StudentCreate(name=f"Student {number}", department="Physics", cgpa=number / 10) for number in range(50)]
    batch = create_students.sync(client=client, body=bodies)
    assert isinstance(batch, StudentBatch)
    assert [student.name for student in batch.items] == [body.name for body in bodies]


def list_all() -> None:
    assert len(list(list_students.iterate(client=client, limit=7))) == 51
    ordered = list_students.iterate(client=client, limit=10, sort=ListStudentsSort.CGPA_DESCENDING)
    grades = [student.cgpa for student in ordered]
    assert grades == sorted(grades, reverse=True)
    assert grades[0] == 8.9

    async def count() -> int:
        found = [student async for student in list_students.iterate_asyncio(client=client, limit=50)]
        answer = await retry_asyncio(lambda: list_students.asyncio_detailed(client=client, limit=1))
        assert isinstance(answer.parsed, StudentPage)
        return len(found)

    assert asyncio.run(count()) == 51


def filter_them() -> None:
    page = list_students.sync(
        client=client,
        department=["CSE", "Law"],
        cgpa_min=8.9,
        q="ANAN",
        updated_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        count=True,
    )
    assert isinstance(page, StudentPage)
    assert [student.name for student in page.items] == ["Ananya"]
    assert page.total == 1
    status = 200
    try:
        list(list_students.iterate(client=client, limit=101))
    except UnexpectedStatus as error:
        status = error.status_code
    assert status == 400


def read_and_change(student: Student, tag: str) -> None:
    same = get_student.sync_detailed(student.id, client=client, if_none_match=tag)
    assert (same.status_code, same.parsed) == (304, None)
    assert get_student.sync(student.id, client=client) == student
    changed = update_student.sync_detailed(student.id, client=client, body=StudentUpdate(cgpa=9.0), if_match=tag)
    assert isinstance(changed.parsed, Student)
    assert (changed.parsed.cgpa, changed.parsed.name) == (9.0, "Ananya")
    late = StudentCreate(name="Somebody", department="CSE", cgpa=1.0)
    conflict = replace_student.sync_detailed(student.id, client=client, body=late, if_match=tag)
    assert conflict.status_code == 412
    assert isinstance(conflict.parsed, Problem)
    assert conflict.parsed.type_ == "/problems/precondition-failed"


def be_refused() -> None:
    problem = create_student.sync(client=client, body=StudentCreate(name=" ", department="CSE", cgpa=11.0))
    assert isinstance(problem, Problem)
    assert problem.status == 422
    assert {error.pointer for error in problem.errors or []} == {"/name", "/cgpa"}
    missing = get_student.sync_detailed(2**63 - 1, client=client)
    assert isinstance(missing.parsed, Problem)
    assert missing.status_code == 404


def move_files() -> None:
    table = export_students.sync(client=client)
    assert isinstance(table, str)
    assert table.startswith("id,name,department,cgpa,created_at,updated_at\n")
    tried = import_students.sync(client=client, body=table, dry_run=True)
    assert isinstance(tried, ImportReport)
    assert (tried.created, tried.dry_run) == (51, True)
    lines = export_students.sync(client=client, format_=ExportStudentsFormat.JSONL, department=["CSE"])
    assert isinstance(lines, str)
    report = import_students.sync(
        client=client,
        body=iter([lines.encode(), b'{"name": "Nobody", "department": "CSE", "cgpa": "high"}\n']),
        content_type="application/x-ndjson; charset=utf-8",
    )
    assert isinstance(report, ImportReport)
    assert (report.created, report.refused) == (1, 1)
    assert [(error.line, error.pointer) for error in report.errors] == [(2, "/cgpa")]


def sum_up() -> None:
    statistics = get_student_statistics.sync(client=client)
    assert isinstance(statistics, StudentStatistics)
    assert [(item.department, item.count) for item in statistics.items] == [("CSE", 2), ("Physics", 50)]


def delete(student: Student) -> None:
    assert delete_student.sync_detailed(student.id, client=client).status_code == 204
    assert delete_student.sync_detailed(student.id, client=client).status_code == 404


stay_out()
look_after_tokens()
student, tag = create()
create_many()
list_all()
filter_them()
read_and_change(student, tag)
be_refused()
move_files()
sum_up()
delete(student)
look_back()
print("done")

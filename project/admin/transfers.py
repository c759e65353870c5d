"""Files out of a list and into it, in the form that the API gives and takes."""

import asyncio
import io
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import msgspec
from adminsite import Permission, PermissionDeniedError
from adminsite._http.listing import list_spec, read_list_request
from adminsite._http.requests import find_view
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from project.admin.forms import require_token
from project.admin.sessions import Desk
from project.database.statements import Row, Statement
from project.problems import Problem
from project.transfer.exports import FORMATS
from project.transfer.imports import ImportOptions, ImportReport, import_records
from project.transfer.records import read_csv
from project.transfer.spools import send, spool

if TYPE_CHECKING:
    from project.admin.site import Site
    from project.admin.views import RecordView

MOST_FAULTS = 100
"""Refused records that the page names; the API names more."""


async def export(site: "Site", request: Request) -> Response:
    """All that the list's search and filters let through, in its order, as it was at one moment."""
    view: RecordView[Any] = find_view(site, request)  # type: ignore[assignment]
    if not await view.allows(Permission.EXPORT, request=request, record=None):
        raise PermissionDeniedError(Permission.EXPORT, view.label_plural)
    names = view.service.schema.__struct_fields__
    columns = [view.model.__table__.c[name] for name in names]
    spec = list_spec(view, request, read_list_request(request, view)).replace(limit=None, offset=0)
    select = view._repository.statement(spec, view._scope_for(request))
    statement = Statement(select.with_only_columns(*columns, maintain_column_froms=True), times_as_text=True)
    form = FORMATS["csv"]
    encode = form.encoder(view.service.schema)
    with ExitStack() as held:
        file = held.enter_context(spool())

        def append(rows: list[Row]) -> None:
            file.write(encode(rows))

        async def work(desk: Desk) -> None:
            file.seek(0)
            file.truncate()
            file.write(form.head(names))
            async for rows in desk.session.chunks(statement):
                await asyncio.to_thread(append, rows)

        await site.source.active.snapshot(Desk, work)
        headers = {
            "Content-Length": str(file.seek(0, io.SEEK_END)),
            "Content-Disposition": f'attachment; filename="{view.name}.csv"',
        }
        return StreamingResponse(send(file, held.pop_all()), headers=headers, media_type=form.media_type)


async def import_form(site: "Site", request: Request) -> Response:
    return await _page(site, request, await _importable(site, request))


async def import_file(site: "Site", request: Request) -> Response:
    """Create records from a file of any size, as the API does, or only say what would become of each."""
    view = await _importable(site, request)
    await require_token(request)
    form = await request.form()
    upload = form.get("file")
    if not isinstance(upload, UploadFile) or not upload.filename:
        return await _page(site, request, view, error="Choose a file.")
    options = ImportOptions(dry_run="dry_run" in form, atomic="atomic" in form)
    try:
        records = read_csv(upload.file, view.service.record)
        answer = await import_records(site.source.active, view.service, records, options, None)
    except Problem as problem:
        named = "; ".join(f"{error.pointer.removeprefix('/')} {error.detail}" for error in problem.errors)
        return await _page(site, request, view, error=f"{problem.detail} {named}".strip())
    report = msgspec.json.decode(answer.body, type=ImportReport)
    return await _page(site, request, view, report=report, filename=upload.filename)


async def _importable(site: "Site", request: Request) -> "RecordView[Any]":
    view: RecordView[Any] = find_view(site, request)  # type: ignore[assignment]
    if not await view.allows(Permission.IMPORT, request=request, record=None):
        raise PermissionDeniedError(Permission.IMPORT, view.label_plural)
    return view


async def _page(
    site: "Site",
    request: Request,
    view: "RecordView[Any]",
    *,
    error: str = "",
    report: ImportReport | None = None,
    filename: str = "",
) -> Response:
    fields = msgspec.structs.fields(view.service.record)
    context = {
        "view": view,
        "error": error,
        "report": report,
        "faults": report.errors[:MOST_FAULTS] if report else [],
        "filename": filename,
        "required": [field.encode_name for field in fields if field.required],
        "passed_over": [field.encode_name for field in fields if field.type is Any],
    }
    return await site.render("import.html", request, context, status_code=422 if error else 200)

"""The audit trail over HTTP."""

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from project.audit import schemas
from project.audit.sealing import catch_up
from project.audit.services import AuditService, conditions
from project.database import Database
from project.idempotency import Answer
from project.pagination import Cursors
from project.queries import query_of
from project.responses import json_response


class AuditController(Controller):
    """Who did what to which record, when, and from where."""

    path = "/audit"
    tags = ("audit",)

    @get(
        operation_id="listAuditEntries",
        dependencies={"parameters": query_of(schemas.AuditQuery)},
        response_description="A page of entries, and the cursor of the next.",
    )
    async def list(
        self,
        database: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        parameters: NamedDependency[schemas.AuditQuery],
    ) -> Response[schemas.AuditPage]:
        """List what was done, a page at a time, the latest first.

        An entry tells of one record that was created, changed or deleted; a batch, an import or a command that changes
        many leaves one entry with their number. Nobody can change entries: `verifyaudit` finds out who tries.
        """
        filters = conditions(parameters)
        await catch_up(database)
        page = await database.read(
            AuditService,
            lambda trail: trail.page(
                cursors,
                filters=filters,
                sort=parameters.sort.replace("at", "created_at"),
                limit=parameters.limit,
                cursor=parameters.cursor or None,
            ),
        )
        return json_response(Answer(200, msgspec.json.encode(page), {}))

"""The audit trail as admins read it."""

import datetime as dt
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import sqlalchemy as sa

from project.audit import schemas
from project.audit.models import AuditEntry
from project.database.statements import Row
from project.database.trails import Details
from project.database.types import Timestamp
from project.problems import BadQuery, FieldError
from project.repositories import Repository
from project.services import Service

Condition = Callable[[type[Any], sa.BindParameter[Any]], sa.ColumnElement[bool]]


class AuditRepository(Repository[AuditEntry]):
    model_type = AuditEntry
    filters: ClassVar[dict[str, Condition]] = {
        "record": lambda model, value: model.record == value,
        "key": lambda model, value: model.key == value,
        "actor": lambda model, value: model.actor == value,
        "action": lambda model, value: model.action == value,
        "since": lambda model, value: model.created_at >= sa.type_coerce(value, Timestamp()),
        "until": lambda model, value: model.created_at < sa.type_coerce(value, Timestamp()),
    }


class AuditService(Service[AuditEntry, AuditRepository, schemas.AuditEntry]):
    """Only reads: entries are written by trails, and sealed."""

    repository_type = AuditRepository
    schema = schemas.AuditEntry

    def shown(self, row: Row) -> schemas.AuditEntry:
        values = dict(zip(self.schema.__struct_fields__, row, strict=True))
        details = msgspec.json.decode(values.pop("details"), type=Details)
        changes = {name: schemas.AuditChange(*each) for name, each in details.changes.items()}
        shown = schemas.AuditDetails(changes, details.counts, details.keys, details.truncated)
        values |= {name: msgspec.UNSET for name in ("actor_id", "token_id") if values[name] is None}
        return schemas.AuditEntry(**values, details=shown)


def conditions(query: schemas.AuditQuery) -> dict[str, Any]:
    """The filters of a query in the words of the repository. Raises BadQuery for a moment that UTC lacks."""
    found: dict[str, Any] = {}
    for name in AuditRepository.filters:
        value = getattr(query, name)
        if isinstance(value, dt.datetime):
            try:
                value = value.astimezone(dt.UTC)
            except OverflowError as error:
                raise BadQuery(errors=[FieldError(f"/{name}", "must be in the years 1 to 9999 of UTC")]) from error
        if value is not msgspec.UNSET:
            found[name] = value
    return found

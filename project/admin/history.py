"""The audit trail in the library's terms: the history of a record, and all that was done."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from adminsite.audit import AuditEntry as Entry
from adminsite.audit import AuditEvent, AuditQuery

from project.admin.links import is_place
from project.admin.sessions import Source
from project.audit import sealing
from project.audit.models import AuditEntry
from project.database import trails
from project.database.trails import Details
from project.models import label

EVENTS = {
    trails.CREATE: AuditEvent.CREATED,
    trails.UPDATE: AuditEvent.UPDATED,
    trails.DELETE: AuditEvent.DELETED,
}
"""What trails call them, done to one record; all else that was done is an action under its own name."""


class Trail:
    """Reads the trail. What it tells of was written down with the change itself, so `record` has nothing to add."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._labels: dict[str, str] = {}

    def know(self, views: Iterable[Any]) -> None:
        """The views whose records the trail tells of."""
        self._labels = {view.name: label(view.model) for view in views}

    async def record(self, entries: Sequence[Entry]) -> None:
        """Nothing."""

    async def find(self, query: AuditQuery, *, limit: int) -> list[Entry]:
        await sealing.catch_up(self._source.active)
        order = (AuditEntry.created_at.desc(), AuditEntry.id.desc())
        select = sa.select(AuditEntry).where(*self._conditions(query)).order_by(*order).limit(limit)
        async with self._source.session() as session:
            return [self._entry(found) for found in await session.scalars(select)]

    def _conditions(self, query: AuditQuery) -> list[sa.ColumnElement[bool]]:
        found: list[sa.ColumnElement[bool]] = []
        if query.views is not None:
            found.append(AuditEntry.record.in_([self._labels.get(name, name) for name in query.views]))
        if query.view is not None:
            found.append(AuditEntry.record == self._labels.get(query.view, query.view))
        if query.record_key is not None:
            found.append(AuditEntry.key == query.record_key)
        if query.user is not None:
            found.append(AuditEntry.actor == query.user)
        if query.events:
            actions = [action for action, event in EVENTS.items() if event in query.events]
            is_one = sa.and_(AuditEntry.key != "", AuditEntry.action.in_(actions))
            is_other = sa.or_(AuditEntry.key == "", AuditEntry.action.not_in(EVENTS))
            found.append(is_other if AuditEvent.ACTION in query.events else is_one)
        if query.since is not None:
            found.append(AuditEntry.created_at >= query.since.replace(tzinfo=dt.UTC))
        if query.until is not None:
            found.append(AuditEntry.created_at < query.until.replace(tzinfo=dt.UTC))
        if query.older_than is not None and is_place(query.older_than):
            moment, key = query.older_than
            is_before = sa.or_(
                AuditEntry.created_at < moment, sa.and_(AuditEntry.created_at == moment, AuditEntry.id < key)
            )
            found.append(sa.and_(AuditEntry.created_at <= moment, is_before))
        return found

    def _entry(self, entry: AuditEntry) -> Entry:
        details = msgspec.json.decode(entry.details, type=Details)
        views = {label: name for name, label in self._labels.items()}
        event = EVENTS.get(entry.action, AuditEvent.ACTION) if entry.key else AuditEvent.ACTION
        return Entry(
            id=entry.id,
            occurred_at=entry.created_at,
            view=views.get(entry.record, entry.record),
            record_key=entry.key,
            record_title=entry.key and f"{entry.record.partition('.')[2]} {entry.key}",
            event=event,
            changes=details.changes,
            action=None if event is not AuditEvent.ACTION else entry.action,
            user=entry.actor or entry.channel,
            user_key=None if entry.actor_id is None else str(entry.actor_id),
            ip=entry.address or None,
            inputs={
                f"{record.partition('.')[2] or record}, {action}": f"{count:,}"
                for record, actions in details.counts.items()
                for action, count in actions.items()
            },
        )

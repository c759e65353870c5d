"""What a unit of work has changed is written down beside the changes, in their transaction: all are kept, or none.

Nobody has to think of it. A session counts what its statements do to the tables of the models; repositories, which know
the records, say what was done to each; what nobody described is an entry with its counts. Entries wait in a table
without indexes, which costs a writer the least, until `project.audit` seals them.

A table or column whose `info` says `unaudited` leaves no trace here, of one that is `secret` only that it changed.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from advanced_alchemy.types import BigIntIdentity
from sqlalchemy.orm import ORMExecuteState, UOWTransaction
from sqlalchemy.orm import Session as PlainSession
from sqlalchemy.orm.attributes import get_history, instance_dict
from sqlalchemy.orm.base import NO_VALUE

from project import callers
from project.database.metadata import LABELS, metadata
from project.database.statements import Statement, Target, is_audited, target_of
from project.database.types import Text, Timestamp
from project.keys import SIGNATURE_LENGTH, Signer
from project.times import timestamp_text

MOST_DETAILS = 4000
"""Characters."""
MOST_VALUE = 256
"""Characters of one value before or after a change."""
MOST_KEYS = 1000
"""Characters of the keys of many records."""
HIDDEN = "(secret)"
CREATE, UPDATE, DELETE = "create", "update", "delete"

MICROSECOND = dt.timedelta(microseconds=1)

TRAIL = "trail"
"""The key of a session's `info` for its trail."""

PURPOSE = "audit"


class Details(msgspec.Struct, omit_defaults=True):
    """What an entry says beyond who, when and where."""

    changes: dict[str, tuple[Any, Any]] = {}
    """By field, its value before and after; of one that was created or deleted there is only one of them."""
    counts: dict[str, dict[str, int]] = {}
    """By record and action, how many."""
    keys: str = ""
    """Of many records: `1-1000, 1002`."""
    truncated: bool = False
    """Whether something was too much to be kept."""


def columns() -> list[sa.Column[Any]]:
    """What every entry has, sealed or not, beside its id and its time."""
    return [
        sa.Column("actor", Text(200), nullable=False),
        sa.Column("actor_id", sa.BigInteger()),
        sa.Column("token_id", sa.BigInteger()),
        sa.Column("channel", Text(10), nullable=False),
        sa.Column("address", Text(50), nullable=False),
        sa.Column("request_id", Text(128), nullable=False),
        sa.Column("action", Text(50), nullable=False),
        sa.Column("record", Text(100), nullable=False),
        sa.Column("key", Text(300), nullable=False),
        sa.Column("details", Text(MOST_DETAILS), nullable=False),
        sa.Column("signature", Text(SIGNATURE_LENGTH), nullable=False),
    ]


PENDING = sa.Table(
    "audit_pending",
    metadata,
    sa.Column("id", BigIntIdentity, sa.Identity(), primary_key=True),
    sa.Column("created_at", Timestamp(), nullable=False),
    *columns(),
    info={"unaudited": True, "kept": True},
)

SIGNED = tuple(column.key for column in PENDING.columns if column.key not in ("id", "signature"))
"""The columns of an entry that its signature is of, in this order; the time as text."""

_raw = sa.table(PENDING.name, *(sa.column(name) for name in (*SIGNED, "signature")))
"""Without types but the time's: what an entry holds needs no looking at twice."""
_INSERT = (
    sa.insert(_raw)
    .values({column.key: sa.bindparam(column.key) for column in _raw.columns})
    .values(created_at=sa.bindparam("created_at", type_=PENDING.c.created_at.type))
    .inline()
)
INSERT = Statement(_INSERT)


def content(values: Iterable[Any]) -> bytes:
    """What is signed of an entry: its values in the order of SIGNED, written in one way only."""
    return msgspec.msgpack.encode(tuple(values))


class Note(NamedTuple):
    action: str
    record: str
    key: str
    details: Details


class Trail:
    """What one unit of work has done so far."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self._notes: list[Note] = []
        self._touched: dict[tuple[str, str], int] = {}
        """What statements did, by record and action, and was not described."""
        self._name = ""

    def touch(self, target: Target, count: int) -> None:
        """A statement changed so many rows of a table."""
        self._add(LABELS[target.table], target.action, count)

    def note(
        self, action: str, record: str, key: object = "", changes: Mapping[str, tuple[Any, Any]] | None = None
    ) -> None:
        """Somebody did this to that record, or something else that is not seen from what statements do."""
        shown = {name: (_plain(before), _plain(after)) for name, (before, after) in (changes or {}).items()}
        self._note(action, record, key, shown)

    def created(self, table: sa.Table, key: object, values: Mapping[str, Any]) -> None:
        self._note(CREATE, LABELS[table], key, {name: (None, value) for name, value in _shown(table, values)})

    def updated(self, table: sa.Table, key: object, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """`before` has the fields that changed, and some of those that did not."""
        now = dict(_shown(table, after))
        changes = {
            name: (value, now[name])
            for name, value in _shown(table, before)
            if name in now and (before[name] != after[name] or type(before[name]) is not type(after[name]))
        }
        self._note(UPDATE, LABELS[table], key, changes)

    def deleted(self, table: sa.Table, key: object, values: Mapping[str, Any]) -> None:
        self._note(DELETE, LABELS[table], key, {name: (value, None) for name, value in _shown(table, values)})

    def _note(self, action: str, record: str, key: object, changes: dict[str, tuple[Any, Any]]) -> None:
        self._add(record, action, -1)
        self._notes.append(Note(action, record, str(key), Details(changes)))

    def _add(self, record: str, action: str, count: int) -> None:
        kind = record, action
        self._touched[kind] = self._touched.get(kind, 0) + count

    def created_many(self, table: sa.Table, keys: Sequence[int]) -> None:
        """One entry for all of them."""
        record = LABELS[table]
        self._add(record, CREATE, -len(keys))
        self._notes.append(Note(CREATE, record, "", Details(counts={record: {CREATE: len(keys)}}, keys=_ranges(keys))))

    def name(self, action: str) -> None:
        """What the changes are, taken together, that nobody describes."""
        self._name = action

    def entries(self) -> list[dict[str, Any]]:
        """The rows to be written, signed; after this the trail starts anew."""
        if not self._touched:
            return []
        notes = [*self._notes, *self._in_bulk()]
        self._notes.clear()
        self._touched.clear()
        now = dt.datetime.now(dt.UTC)
        return [self._entry(note, now + place * MICROSECOND) for place, note in enumerate(notes)]

    def _entry(self, note: Note, now: dt.datetime) -> dict[str, Any]:
        """No two of a unit of work have the same time: who finds two that are the same in everything finds a copy."""
        caller = callers.current.get() or _NOBODY
        entry: dict[str, Any] = {
            "created_at": timestamp_text(now),
            "actor": caller.name[:200],
            "actor_id": caller.user_id,
            "token_id": caller.token_id,
            "channel": caller.channel,
            "address": caller.address or "",
            "request_id": caller.request_id or "",
            "action": note.action[:50],
            "record": note.record[:100],
            "key": note.key[:300],
            "details": _encoded(note.details),
        }
        entry["signature"] = self.signer.sign(content(entry.values()))
        entry["created_at"] = now
        return entry

    def _in_bulk(self) -> list[Note]:
        left = [(kind, count) for kind, count in self._touched.items() if count > 0]
        if not left:
            return []
        counts: dict[str, dict[str, int]] = {}
        for (record, action), count in sorted(left):
            counts.setdefault(record, {})[action] = count
        actions = {action for each in counts.values() for action in each}
        action = self._name or (actions.pop() if len(actions) == 1 else "change")
        record = next(iter(counts)) if len(counts) == 1 else ""
        return [Note(action, record, "", Details(counts=counts))]


class Untold(Trail):
    """Of who moves rows from one database to another: nothing becomes of them that anybody did."""

    def __init__(self) -> None:
        """Nothing is signed."""

    def touch(self, target: Target, count: int) -> None:
        pass


class _Nobody(NamedTuple):
    """The service itself."""

    name: str = ""
    user_id: None = None
    token_id: None = None
    channel: str = "service"
    address: str = ""
    request_id: str = ""


_NOBODY = _Nobody()


_TIMES = frozenset({"created_at", "updated_at"})


@cache
def _kinds(table: sa.Table) -> dict[str, bool]:
    """The columns whose values are kept, and whether each is secret."""
    return {
        column.key: bool(column.info.get("secret"))
        for column in table.columns
        if not (column.primary_key or column.info.keys() & {"derived", "unaudited"} or column.key in _TIMES)
    }


def _shown(table: sa.Table, values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        (name, HIDDEN if is_secret and values[name] is not None else _plain(values[name]))
        for name, is_secret in _kinds(table).items()
        if name in values
    ]


def _plain(value: Any) -> Any:
    """As JSON has it, and not too long."""
    match value:
        case str():
            return value if len(value) <= MOST_VALUE else value[: MOST_VALUE - 1] + "…"
        case float() | int() | bool() | None:
            return value
        case dt.datetime():
            return timestamp_text(value)
        case bytes():
            return f"({len(value):,} bytes)"
    return None if value is NO_VALUE else _plain(str(value))


def _encoded(details: Details) -> str:
    text = msgspec.json.encode(details).decode()
    while len(text) > MOST_DETAILS:
        details.truncated = True
        (details.changes or details.counts).popitem()
        text = msgspec.json.encode(details).decode()
    return text


def _ranges(keys: Sequence[int]) -> str:
    """`1-3, 7`, as many as there is room for."""
    spans: list[list[int]] = []
    for key in sorted(keys):
        if spans and key == spans[-1][1] + 1:
            spans[-1][1] = key
        else:
            spans.append([key, key])
    text = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
    return text if len(text) <= MOST_KEYS else text[: text.rindex(", ", 0, MOST_KEYS - 2)] + ", …"


@sa.event.listens_for(PlainSession, "after_flush")
def _describe_flush(session: PlainSession, context: UOWTransaction) -> None:
    """Of every session of SQLAlchemy's, whoever opened it."""
    audited = {id(found): found for found in (*session.new, *session.dirty, *session.deleted) if _is_audited(found)}
    if not audited:
        return
    noting = Trail(_trail(session).signer)
    for found in audited.values():
        if found in session.new:
            noting.created(found.__table__, _key(found), instance_dict(found))
        elif found in session.deleted:
            noting.deleted(found.__table__, _key(found), instance_dict(found))
        else:
            _note_update(noting, found)
    _write(session, noting.entries())


@sa.event.listens_for(PlainSession, "do_orm_execute")
def _count_rows(state: ORMExecuteState) -> Any:
    target = target_of(state.statement)
    if target is None:
        return None
    noting = Trail(_trail(state.session).signer)
    result: Any = state.invoke_statement()
    if isinstance(state.parameters, Sequence):
        count = len(state.parameters)
    elif getattr(state.statement, "returning_column_descriptions", ()):
        frozen = result.freeze()
        count, result = len(frozen.data), frozen()
    else:
        count = result.rowcount
        if isinstance(state.statement, sa.Insert) and state.statement.select is None:
            count = max(count, 1)  # a driver does not count the row whose key SQLAlchemy asks for
    noting.touch(target, count)
    _write(state.session, noting.entries())
    return result


def _is_audited(instance: Any) -> bool:
    table = instance.__table__
    return is_audited(table)


def _key(instance: Any) -> str:
    return "/".join(str(instance_dict(instance)[column.key]) for column in instance.__table__.primary_key)


def _note_update(noting: Trail, instance: Any) -> None:
    """Unless nothing was changed, or nothing that is audited."""
    now = instance_dict(instance)
    before: dict[str, Any] = {}
    for column in instance.__table__.columns:
        history = get_history(instance, column.key)
        if history.added:
            before[column.key] = history.deleted[0] if history.deleted else None
    if any(not instance.__table__.columns[name].info.get("unaudited") for name in before):
        noting.updated(instance.__table__, _key(instance), before, now)


def _trail(session: PlainSession) -> Trail:
    found: Trail | None = session.info.get(TRAIL)
    if found is None:
        raise RuntimeError("records are written in units of work, by Database.write, or in a Database.session")
    return found


def _write(session: PlainSession, entries: Sequence[Mapping[str, Any]]) -> None:
    if entries:
        session.connection().execute(_INSERT, entries)

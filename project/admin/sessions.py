"""What the library takes for its session: it reads through `Database.read`, and what it changes, services change.

The library fills in the attributes of records and then commits. Here nothing is written until then. All that was
added, changed and deleted becomes one unit of work in which each record's service creates, updates or deletes it, from
what the structs of the API let through: whichever page, action or hook it came from, the same rules hold for it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec
import sqlalchemy as sa
from adminsite import RefusedError
from adminsite import database as library
from advanced_alchemy.exceptions import NotFoundError
from sqlalchemy.engine.result import IteratorResult, ScalarResult, SimpleResultMetaData
from sqlalchemy.orm import Session as PlainSession
from sqlalchemy.orm import class_mapper, make_transient_to_detached
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.sql import Executable

from project.admin.signing_in import Accounts, sentence
from project.conditional import StalePrecondition
from project.database import Database, dialects, errors
from project.database.dialects import Ordering, Position
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.faults import faults
from project.models import Record
from project.problems import Problem
from project.services import Service
from project.times import timestamp_text

S = TypeVar("S")
T = TypeVar("T")

Work = Callable[[Session], Awaitable[T]]


class Rules(NamedTuple):
    """How records of one model are written."""

    service: type[Service[Any, Any, Any]]
    creates: type[msgspec.Struct]
    updates: type[msgspec.Struct]


class Source(library.Database):
    """Hands the library sessions; they hold neither a connection nor an engine."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self.is_async = True
        self.engine = None
        self.active = database
        self.accounts = accounts
        self.rules: dict[type[Record], Rules] = {}
        """Of each model that the admin site may write."""
        self.memory: dict[Any, Any] = {}
        """Whatever is to be remembered between requests."""

    def open(self) -> "RecordSession":
        return RecordSession(self)

    async def write(self, work: Work[T]) -> T:
        return await self.accounts.change(lambda users: work(users.repository.session))


class RecordSession(library.SessionAdapter):
    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source
        self._loaded: list[Record] = []
        self._added: list[Record] = []
        self._deleted: list[Record] = []
        self._versions: dict[int, str] = {}

    @property
    def dialect_name(self) -> str:
        return self.source.active.dialect.name

    @property
    def accounts(self) -> Accounts:
        return self.source.accounts

    async def ask(self, service: type[S], work: Callable[[S], Awaitable[T]]) -> T:
        """Read with a service of that type."""
        return await self.source.active.read(service, work)

    def only_if(self, record: Record, version: str) -> None:
        """Have the next commit change the record only if its `updated_at` is still that."""
        self._versions[id(record)] = version

    async def execute(self, statement: Executable) -> IteratorResult[Any]:
        if not isinstance(statement, sa.Select):
            raise TypeError("The admin site's statements read: a change is made to records, which services then write.")
        [first, *more] = statement.column_descriptions
        model = first["expr"]
        if not more and isinstance(model, type) and issubclass(model, Record):
            records = await self._records(model, _columns_of(model, statement))
            return IteratorResult(SimpleResultMetaData([first["name"]]), iter([(record,) for record in records]))
        names = [description["name"] for description in (first, *more)]
        rows = await self._rows(statement)
        return IteratorResult(SimpleResultMetaData(names), iter([tuple(row) for row in rows]))

    async def page(self, select: sa.Select[Any], ordering: Ordering, position: Position, limit: int) -> list[Record]:
        """The first records of a select of them, in that order and from that position on."""
        model = select.column_descriptions[0]["expr"]
        most = sa.bindparam("page_limit", limit, sa.Integer())
        dialect = dialects.named(self.dialect_name)
        return await self._records(model, dialect.page(_columns_of(model, select), ordering, position, most))

    async def _records(self, model: type[Record], select: Executable) -> list[Record]:
        names = [column.key for column in model.__table__.columns]
        records = [_record(model, names, row) for row in await self._rows(select)]
        self._loaded += records
        return records

    async def _rows(self, select: Executable) -> list[Row]:
        statement = Statement(select)
        return await self.source.active.read(Desk, lambda desk: desk.session.rows(statement))

    async def scalars(self, statement: Executable) -> ScalarResult[Any]:
        return (await self.execute(statement)).scalars()

    async def scalar(self, statement: Executable) -> Any:
        return (await self.execute(statement)).scalar()

    async def get(self, model: type[T], key: Any) -> T | None:
        found: T | None = (await self.scalars(sa.select(model).where(model.id == key))).first()  # type: ignore[attr-defined]
        return found

    async def add(self, record: Any) -> None:
        self._added.append(record)

    async def delete(self, record: Any) -> None:
        self._deleted.append(record)

    async def flush(self) -> None:
        """Nothing is written before the commit."""

    async def refresh(self, record: Any, attributes: Sequence[str] | None = None) -> None:
        """What a record holds is what was read, until the commit."""

    @asynccontextmanager
    async def no_autoflush(self) -> AsyncIterator["RecordSession"]:
        yield self

    async def run(self, work: Callable[[PlainSession], T]) -> NoReturn:
        raise TypeError("The admin site has no session of SQLAlchemy's.")

    def _plain(self) -> NoReturn:
        raise TypeError("The admin site has no session of SQLAlchemy's.")

    async def close(self) -> None:
        self._forget()

    async def _rollback(self) -> None:
        self._forget()

    async def _commit(self) -> None:
        gone = {id(record) for record in self._deleted}
        changed = [record for record in self._loaded if id(record) not in gone and _changes(record)]
        changes = [
            *map(self._update, changed),
            *map(self._creation, self._added),
            *map(self._deletion, self._deleted),
        ]
        if changes:
            try:
                saved = await self.source.write(lambda session: _apply(changes, session))
            except (Problem, NotFoundError, StalePrecondition, errors.Conflict, errors.Invalid) as error:
                raise refusal(error) from error
            for change, instance in zip(changes, saved, strict=True):
                for name, value in instance.__dict__.items():
                    if name != "_sa_instance_state":
                        set_committed_value(change.record, name, value)
        self._forget()

    def _update(self, record: Record) -> "_Change":
        """Only what was changed is written: what others changed meanwhile stays."""
        rules = self._rules(record)
        data = _validated(_changes(record), rules.updates)
        key, version = record.id, self._versions.get(id(record))

        async def apply(service: Service[Any, Any, Any]) -> Any:
            if version is not None:
                current = await service.repository.get(key, with_for_update=True)
                if timestamp_text(current.updated_at) != version:
                    raise StalePrecondition
            return await service.update(data, key)

        return _Change(record, rules.service, apply)

    def _creation(self, record: Record) -> "_Change":
        rules = self._rules(record)
        state = record.__dict__
        data = _validated({n: state[n] for n in rules.creates.__struct_fields__ if n in state}, rules.creates)

        async def apply(service: Service[Any, Any, Any]) -> Any:
            return await service.create(data)

        return _Change(record, rules.service, apply)

    def _deletion(self, record: Record) -> "_Change":
        key = record.id

        async def apply(service: Service[Any, Any, Any]) -> Any:
            return await service.delete(key)

        return _Change(record, self._rules(record).service, apply)

    def _rules(self, record: Record) -> Rules:
        return self.source.rules[type(record)]

    def _forget(self) -> None:
        self._loaded.clear()
        self._added.clear()
        self._deleted.clear()
        self._versions.clear()


class Desk:
    """A service with nothing but its session."""

    def __init__(self, *, session: Session) -> None:
        self.session = session


class _Change(NamedTuple):
    record: Record
    service: type[Service[Any, Any, Any]]
    apply: Callable[[Service[Any, Any, Any]], Awaitable[Any]]
    """Gives back the record as it then is, or as it was when it was deleted."""


async def _apply(changes: Sequence[_Change], session: Session) -> list[Any]:
    return [await change.apply(session.service(change.service)) for change in changes]


def _columns_of(model: type[Record], select: sa.Select[Any]) -> sa.Select[Any]:
    return select.with_only_columns(*model.__table__.columns, maintain_column_froms=True)


def _record(model: type[Record], names: Sequence[str], row: Row) -> Record:
    """An instance that remembers what was read when its attributes are set."""
    record: Record = class_mapper(model).class_manager.new_instance()
    record.__dict__.update(zip(names, row, strict=True))
    make_transient_to_detached(record)
    return record


def _changes(record: Record) -> dict[str, Any]:
    """What was set on it, but for what its model derives from that."""
    columns, now = record.__table__.columns, record.__dict__
    return {
        name: now[name]
        for name, before in instance_state(record).committed_state.items()
        if before != now[name] and not columns[name].info.get("derived")
    }


def _validated(values: dict[str, Any], shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The values, if that struct takes them. Raises RefusedError, beside the field that is not valid."""
    if found := faults(values, shape):
        raise RefusedError(sentence(found[0].detail), field=found[0].pointer.removeprefix("/"))
    return values


def refusal(error: Exception) -> RefusedError:
    """What a service says against a change, for the form that asked for it."""
    match error:
        case Problem(errors=[first, *_]):
            return RefusedError(sentence(first.detail), field=first.pointer.removeprefix("/"))
        case Problem():
            return RefusedError(error.detail)
        case StalePrecondition():
            return RefusedError("Somebody changed this record since the form was opened: open it again.")
        case NotFoundError():
            return RefusedError(error.detail or "There is no such record any more.")
    return RefusedError(str(error))

"""The repository that every app's repository extends: advanced-alchemy's, with the hot path executed by the driver."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from functools import cache, lru_cache
from typing import Any, ClassVar, Generic, TypeVar

import sqlalchemy as sa
from advanced_alchemy.exceptions import NotFoundError
from advanced_alchemy.repository import SQLAlchemyAsyncRepository
from sqlalchemy.orm import class_mapper
from sqlalchemy.orm.attributes import instance_state

from project.database import dialects
from project.database.dialects import Ordering
from project.database.sessions import Session
from project.database.statements import Row, Statement
from project.models import Record

M = TypeVar("M", bound=Record)

MOST_ID = 2**63 - 1
STATEMENTS = 1024
"""How many of the statements are kept whose text depends on what clients ask for."""
MICROSECOND = dt.timedelta(microseconds=1)


class Repository(SQLAlchemyAsyncRepository[M], Generic[M]):
    """Set `model_type`, and what clients may do with a list of it in `filters`.

    `get`, `add`, `update` and `delete` are one short statement each and give back detached instances with every column
    loaded. Given any of the library's options beyond the plain call, they are the library's own. The rest is inherited.
    """

    filters: ClassVar[Mapping[str, Callable[[type[Any], sa.BindParameter[Any]], sa.ColumnElement[bool]]]] = {}
    """By name, the condition that a filter puts on the model, given the parameter that will carry its value."""
    wrap_exceptions = False
    session: Session

    def __init__(self, *, session: Session, **options: Any) -> None:
        super().__init__(session=session, **{**options, "wrap_exceptions": False, "auto_refresh": False})

    def new(self, values: Mapping[str, Any]) -> M:
        """An instance of a row's values, after the model's `@validates` methods. Raises TypeError for other names.

        No listener is told of what is set, which costs more than to write the row.
        """
        if unknown := values.keys() - _columns(self.model_type):
            raise TypeError(f"{self.model_type.__name__} has no column {', '.join(sorted(unknown))}")
        return _instance(self.model_type, self.model_type.row_of(values))

    async def get(self, item_id: Any, **options: Any) -> M:
        """Raises NotFoundError. `with_for_update=True` keeps the row as it is until the unit of work ends."""
        lock = options.pop("with_for_update", None)
        if not _plain(options) or lock not in (None, False, True):
            return await super().get(item_id, with_for_update=lock, **options)
        if 0 < item_id <= MOST_ID:
            rows = await self.session.rows(_select_one(self.model_type, bool(lock)), id=item_id)
            if rows:
                return self._instance(rows[0])
        raise _nothing(self.model_type, item_id)

    async def row(self, columns: tuple[str, ...], item_id: int) -> Row:
        """Values of one row, timestamps as text. Raises NotFoundError."""
        if 0 < item_id <= MOST_ID:
            rows = await self.session.rows(_select_row(self.model_type, columns), id=item_id)
            if rows:
                return rows[0]
        raise _nothing(self.model_type, item_id)

    async def add(self, data: M, **options: Any) -> M:
        state = _stamped(data, now())
        values = _values(data)
        if "id" in values:
            await self.session.run(_insert_one(self.model_type, True), **values)
        else:
            state["id"] = await self.session.insert(_insert_one(self.model_type, False), **values)
        self.session.trail.created(_table(self.model_type), state["id"], values)
        instance_state(data).committed_state.clear()
        return data

    async def add_many(self, data: list[M], **options: Any) -> Sequence[M]:
        moment = now()
        for instance in data:
            _stamped(instance, moment)
        rows = [_values(instance) for instance in data]
        if any("id" in row for row in rows):
            await self.session.run_many(_insert_one(self.model_type, True), rows)
        elif rows:
            ids = await self.session.insert_many(_insert_one(self.model_type, False), rows)
            for instance, new_id in zip(data, ids, strict=True):
                instance.__dict__["id"] = new_id
        if len(data) == 1:
            self.session.trail.created(_table(self.model_type), data[0].id, rows[0])
        elif data:
            self.session.trail.created_many(_table(self.model_type), [instance.id for instance in data])
        for instance in data:
            instance_state(instance).committed_state.clear()
        return data

    async def add_blindly(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows of values, all of the same columns, without asking for their ids: the fastest way in.

        The model's `@validates` methods hold for them. Times that are not given are now.
        """
        if rows:
            ready = [self.model_type.row_of(row) for row in rows]
            times = dict.fromkeys({"created_at", "updated_at"}.difference(ready[0]), now())
            statement = _insert_many(self.model_type, (*ready[0], *sorted(times)))
            await self.session.run_many(statement, ready, **times)

    async def update(self, data: M, **options: Any) -> M:
        """Writes every column of an instance that `get` gave; its `updated_at` moves on, whatever the clock says."""
        data.updated_at = max(now(), data.updated_at + MICROSECOND)
        if not await self.session.run(
            _update_one(self.model_type), **{f"new_{k}": v for k, v in _values(data).items()}
        ):
            raise _nothing(self.model_type, data.id)
        before = instance_state(data).committed_state
        self.session.trail.updated(_table(self.model_type), data.id, before, data.__dict__)
        before.clear()
        return data

    async def delete(self, item_id: Any, **options: Any) -> M:
        """Raises NotFoundError. Gives back the row as it was."""
        instance = await self.get(item_id, with_for_update=True)
        await self.session.run(_delete_one(self.model_type), id=item_id)
        self.session.trail.deleted(_table(self.model_type), item_id, instance.__dict__)
        return instance

    async def page(
        self,
        columns: tuple[str, ...],
        filters: Mapping[str, Any],
        sort: str,
        limit: int,
        position: tuple[Any, ...] | None = None,
    ) -> list[Row]:
        """At most `limit` rows of `columns`, timestamps as text, in the order of `sort` and then of the id.

        `sort` is a column, with `-` before it for descending. `position` is the sort column's value and the id of the
        row after which to start.
        """
        dialect = self.session.bind.dialect.name  # type: ignore[union-attr]
        statement = _select_page(type(self), columns, _shape(filters), sort, position is not None, dialect)
        names = (sort.removeprefix("-"), "id") if len(position or ()) > 1 else ("id",)
        place = {} if position is None else {f"position_{n}": v for n, v in zip(names, position, strict=True)}
        return await self.session.rows(statement, page_limit=limit, **_flat(filters), **place)

    async def count_where(self, filters: Mapping[str, Any]) -> int:
        rows = await self.session.rows(_count(type(self), _shape(filters)), **_flat(filters))
        return int(rows[0][0])

    async def all_where(
        self, columns: tuple[str, ...], filters: Mapping[str, Any], sort: str
    ) -> AsyncIterator[list[Row]]:
        """Like `page` without an end, in chunks; only inside a snapshot."""
        statement = _select_all(type(self), columns, _shape(filters), sort)
        async for rows in self.session.chunks(statement, **_flat(filters)):
            yield rows

    async def counts_by(self, columns: tuple[str, ...], filters: Mapping[str, Any]) -> AsyncIterator[list[Row]]:
        """Each combination of values of `columns` and how many rows have it, in order; only inside a snapshot."""
        statement = _count_by(type(self), columns, _shape(filters))
        async for rows in self.session.chunks(statement, **_flat(filters)):
            yield rows

    def _instance(self, row: Row) -> M:
        return _instance(self.model_type, zip(_columns(self.model_type), row, strict=True))


def _nothing(model: type[Record], item_id: Any) -> NotFoundError:
    return NotFoundError(f"There is no {model.__name__.lower()} {item_id}.")


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _instance(model: type[M], values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> M:
    instance: M = class_mapper(model).class_manager.new_instance()
    instance.__dict__.update(values)
    return instance


def _stamped(instance: Record, moment: dt.datetime) -> dict[str, Any]:
    """The instance's values, with times; nobody has to be told of these."""
    state = instance.__dict__
    state["created_at"] = state.get("created_at") or moment
    state["updated_at"] = state.get("updated_at") or state["created_at"]
    return state


def _plain(options: Mapping[str, Any]) -> bool:
    return not any(options.get(name) is not None for name in ("statement", "id_attribute", "load", "execution_options"))


def _table(model: type[Record]) -> sa.Table:
    return model.__table__  # type: ignore[return-value]


@cache
def _columns(model: type[Record]) -> tuple[str, ...]:
    return tuple(column.key for column in model.__table__.columns)


def _values(instance: Record) -> dict[str, Any]:
    state = instance.__dict__
    return {
        key: state[key]
        for key in _columns(type(instance))
        if state.get(key) is not None or (key in state and key != "id")
    }


@cache
def _select_one(model: type[Record], lock: bool) -> Statement:
    table = model.__table__
    select = sa.select(*table.columns).where(table.c.id == sa.bindparam("id", type_=table.c.id.type))
    return Statement(select.with_for_update() if lock else select)


@cache
def _select_row(model: type[Record], columns: tuple[str, ...]) -> Statement:
    table = model.__table__
    select = sa.select(*(table.c[name] for name in columns))
    return Statement(select.where(table.c.id == sa.bindparam("id", type_=table.c.id.type)), times_as_text=True)


@cache
def _insert_one(model: type[Record], with_id: bool) -> Statement:
    table = model.__table__
    values = {c.key: sa.bindparam(c.key, type_=c.type) for c in table.columns if with_id or not c.primary_key}
    return Statement(sa.insert(table).values(values))  # type: ignore[arg-type]


@cache
def _insert_many(model: type[Record], columns: tuple[str, ...]) -> Statement:
    table = model.__table__
    values = {name: sa.bindparam(name, type_=table.c[name].type) for name in columns}
    return Statement(sa.insert(table).values(values).inline())  # type: ignore[arg-type]


@cache
def _update_one(model: type[Record]) -> Statement:
    table = model.__table__
    values = {c.key: sa.bindparam(f"new_{c.key}", type_=c.type) for c in table.columns if not c.primary_key}
    where = table.c.id == sa.bindparam("new_id", type_=table.c.id.type)
    return Statement(sa.update(table).values(values).where(where))  # type: ignore[arg-type]


@cache
def _delete_one(model: type[Record]) -> Statement:
    table = model.__table__
    return Statement(sa.delete(table).where(table.c.id == sa.bindparam("id", type_=table.c.id.type)))  # type: ignore[arg-type]


def _shape(filters: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """What a statement depends on: which filters there are, and how many alternatives each has."""
    return tuple((name, len(value) if isinstance(value, tuple) else 0) for name, value in sorted(filters.items()))


def _flat(filters: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in filters.items():
        if isinstance(value, tuple):
            values.update((f"{name}_{index}", alternative) for index, alternative in enumerate(value))
        else:
            values[name] = value
    return values


def _conditions(repository: type[Repository[Any]], shape: Iterable[tuple[str, int]]) -> list[sa.ColumnElement[bool]]:
    conditions = []
    for name, alternatives in shape:
        names = [f"{name}_{index}" for index in range(alternatives)] or [name]
        build = repository.filters[name]
        conditions.append(sa.or_(*(build(repository.model_type, sa.bindparam(each)) for each in names)))
    return conditions


def _ordering(repository: type[Repository[Any]], conditions: Sequence[sa.ColumnElement[bool]], sort: str) -> Ordering:
    """By the sort column and the id, but for a column that a condition holds to one value: it orders nothing."""
    table = repository.model_type.__table__
    held = _held(conditions)
    names = dict.fromkeys((sort.removeprefix("-"), "id"))
    columns = [table.c[name] for name in names if name not in held]
    index = None
    if len(held) == len(conditions):
        wanted = [column.key for column in columns]
        index = next((index.name for index in table.indexes if _has_order(index, held.keys(), wanted)), None)
    values = [(table.c[name], equality.right) for name, equality in held.items()]
    return Ordering(columns, sort.startswith("-"), index, values)


def _held(conditions: Iterable[sa.ColumnElement[bool]]) -> dict[str, sa.BinaryExpression[bool]]:
    """By column, the condition that holds it to one value."""
    held: dict[str, sa.BinaryExpression[bool]] = {}
    for condition in conditions:
        if isinstance(condition, sa.BinaryExpression) and condition.operator is sa.sql.operators.eq:
            held.setdefault(str(condition.left.key), condition)
    return held


def _has_order(index: sa.Index, held: Set[str], order: Sequence[str]) -> bool:
    keys = [column.key for column in index.columns]
    return set(keys[: -len(order)]) == held and keys[-len(order) :] == order


@lru_cache(STATEMENTS)
def _select_page(
    repository: type[Repository[Any]],
    columns: tuple[str, ...],
    shape: tuple[tuple[str, int], ...],
    sort: str,
    has_position: bool,
    dialect: str,
) -> Statement:
    table = repository.model_type.__table__
    conditions = _conditions(repository, shape)
    ordering = _ordering(repository, conditions, sort)
    held = _held(conditions).values()
    others = [condition for condition in conditions if not any(condition is equality for equality in held)]
    select = sa.select(*(table.c[name] for name in columns)).where(*others)
    position = None
    if has_position:
        position = [sa.bindparam(f"position_{column.key}", type_=column.type) for column in ordering.columns]
    limit = sa.bindparam("page_limit", type_=sa.Integer())
    return Statement(dialects.named(dialect).page(select, ordering, position, limit), times_as_text=True)


@lru_cache(STATEMENTS)
def _select_all(
    repository: type[Repository[Any]], columns: tuple[str, ...], shape: tuple[tuple[str, int], ...], sort: str
) -> Statement:
    table = repository.model_type.__table__
    conditions = _conditions(repository, shape)
    select = sa.select(*(table.c[name] for name in columns)).where(*conditions)
    return Statement(_ordering(repository, conditions, sort).sort(select), times_as_text=True)


@lru_cache(STATEMENTS)
def _count(repository: type[Repository[Any]], shape: tuple[tuple[str, int], ...]) -> Statement:
    count = sa.select(sa.func.count()).select_from(repository.model_type.__table__)
    return Statement(count.where(*_conditions(repository, shape)))


@lru_cache(STATEMENTS)
def _count_by(
    repository: type[Repository[Any]], names: tuple[str, ...], shape: tuple[tuple[str, int], ...]
) -> Statement:
    columns = [repository.model_type.__table__.c[name] for name in names]
    select = sa.select(*columns, sa.func.count()).where(*_conditions(repository, shape))
    return Statement(select.group_by(*columns).order_by(*columns))

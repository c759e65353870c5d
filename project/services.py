"""The service that every app's service extends: advanced-alchemy's, with the rules that all resources share."""

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec
from advanced_alchemy.service import SQLAlchemyAsyncRepositoryService

from project.conditional import ANY, Condition, etag
from project.database.statements import Row
from project.models import Record
from project.pagination import Cursors
from project.repositories import Repository
from project.times import timestamp_text

M = TypeVar("M", bound=Record)
R = TypeVar("R", bound=Repository[Any])
V = TypeVar("V", bound=msgspec.Struct)


class Page(msgspec.Struct, Generic[V], omit_defaults=True):
    items: list[V]
    next_cursor: str | msgspec.UnsetType = msgspec.UNSET
    total: int | msgspec.UnsetType = msgspec.UNSET


class Service(SQLAlchemyAsyncRepositoryService[M, R], Generic[M, R, V]):
    """Set `repository_type`, and `schema` to the struct that clients are shown.

    `record` is the struct of a record in a file that is imported or loaded. Its fields are named like columns; those of
    type Any may be there, as they are in an export, and are passed over.
    """

    schema: ClassVar[type[Any]]
    record: ClassVar[type[Any]]

    def view(self, instance: M) -> V:
        """The instance as clients see it."""
        state = instance.__dict__
        return cast(
            V,
            self.schema(
                *(
                    timestamp_text(state[name]) if name in _TIMES else state[name]
                    for name in self.schema.__struct_fields__
                )
            ),
        )

    async def show(self, item_id: Any) -> V:
        """One record as clients see it, without an instance in between. Raises NotFoundError."""
        return self.shown(await self.repository.row(self.schema.__struct_fields__, item_id))

    async def to_model_on_create(self, data: Any) -> Any:
        """An instance of a struct; whatever else it is, the library makes one of it."""
        return self.repository.new(_given(data)) if isinstance(data, msgspec.Struct) else data

    async def update(self, data: Any, item_id: Any = None, *, condition: Condition = ANY, **options: Any) -> M:
        """Raises NotFoundError, and StalePrecondition where the condition does not hold. No data changes nothing."""
        if item_id is None:
            return await super().update(data, **options)
        instance = await self._current(item_id, condition)
        changes = _given(data)
        if not changes:
            return instance
        for name, value in changes.items():
            setattr(instance, name, value)
        return cast(M, await self.repository.update(instance))

    async def delete(self, item_id: Any, *, condition: Condition = ANY, **options: Any) -> M:
        """Raises NotFoundError, and StalePrecondition where the condition does not hold."""
        if condition != ANY:
            await self._current(item_id, condition)
        return await super().delete(item_id, **options)

    async def page(
        self,
        cursors: Cursors,
        *,
        filters: Mapping[str, Any],
        sort: str = "id",
        limit: int = 20,
        cursor: str | None = None,
        count: bool = False,
    ) -> Page[V]:
        """One page and the cursor of the next. Raises InvalidCursor."""
        query = (self.model_type.__name__, sort, sorted(filters.items()))
        position = None if cursor is None else _position(sort, cursors.values(cursor, query))
        columns = self.schema.__struct_fields__
        rows = await self.repository.page(columns, filters, sort, limit + 1, position)
        following: str | msgspec.UnsetType = msgspec.UNSET
        if len(rows) > limit:
            del rows[limit:]
            place = _place(columns, sort)
            following = cursors.text(query, tuple(rows[-1][index] for index in place))
        total = await self.repository.count_where(filters) if count else msgspec.UNSET
        return Page([self.shown(row) for row in rows], following, total)

    def shown(self, row: Row) -> V:
        """A row of the schema's fields as clients see it."""
        return self.schema(*row)  # type: ignore[no-any-return]

    async def _current(self, item_id: Any, condition: Condition) -> M:
        instance: M = await self.repository.get(item_id, with_for_update=True)
        if condition != ANY:
            condition.check(self.etag(instance))
        return instance

    def etag(self, instance: M) -> str:
        return etag(msgspec.json.encode(self.view(instance)))


_TIMES = frozenset({"created_at", "updated_at"})


@cache
def _place(columns: Sequence[str], sort: str) -> tuple[int, ...]:
    name = sort.removeprefix("-")
    names = ("id",) if name == "id" else (name, "id")
    return tuple(columns.index(each) for each in names)


def _position(sort: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a cursor holds, as the columns take it."""
    if sort.removeprefix("-") in _TIMES:
        return dt.datetime.fromisoformat(values[0]), *values[1:]
    return values


def _given(data: Any) -> dict[str, Any]:
    if not isinstance(data, msgspec.Struct):
        return dict(data)
    return {name: value for name in data.__struct_fields__ if (value := getattr(data, name)) is not msgspec.UNSET}

"""How an app shows a model at the admin site: a `RecordView` in its `admin.py`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

import msgspec
import sqlalchemy as sa
from adminsite import (
    BaseField,
    CountMode,
    Field,
    ModelView,
    Pagination,
    Permission,
    RefusedError,
    SaveContext,
    Widget,
)
from adminsite._orm.cursor import decode_cursor
from adminsite._orm.repository import KeysetKey, Scope, SQLAlchemyRepository, Total
from adminsite.actions import Selection, action
from adminsite.database import SessionAdapter
from adminsite.exceptions import FieldValidationError
from adminsite.fields import EnumField, FloatField, StringField
from adminsite.filters import DateRangeFilter, FilterOption, FilterValue, SQLFilter
from adminsite.filters.sql import SQLFilterContext
from adminsite.query import DEFAULT_PAGE_SIZE, Page, QuerySpec
from adminsite.schema import FieldSchema
from msgspec.structs import fields
from sqlalchemy.orm import QueryableAttribute
from starlette.requests import Request

from project.admin.links import is_place
from project.admin.sessions import RecordSession
from project.admin.signing_in import sentence
from project.callers import Role
from project.database import dialects
from project.database.dialects import Ordering, Position
from project.database.errors import Unavailable
from project.faults import faults
from project.models import Record
from project.services import Service
from project.times import timestamp_text

M = TypeVar("M", bound=Record)

MOST_AT_ONCE = 1000
"""Records that one action changes or deletes: other writers wait meanwhile."""
VERSION = "version"
"""The form's field with the state of the record that it was filled from."""

Choices = Callable[[SessionAdapter], Awaitable[Sequence[tuple[str, int]]]]


@dataclass(eq=False, repr=False)
class VersionField(StringField):
    """Hidden in the form: what it was filled from, so that nobody's change is overwritten unseen."""

    _: KW_ONLY
    form_only: bool = True
    exclude_from_create: bool = True

    widget = "version"


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """Of records that nobody creates, or changes, at the admin site."""


class RecordView(ModelView[M], Generic[M]):
    """The records of a model: `class StudentView(RecordView[Student])`.

    Beyond the library's settings it needs the app's service and the structs that the API takes: a form has the fields
    of `creates` or `updates`, and a value that is refused there is refused here in the same words. Files may be
    imported if the service says what a `record` in one is.
    """

    service: ClassVar[type[Service[Any, Any, Any]]]
    creates: ClassVar[type[msgspec.Struct]] = Nothing
    updates: ClassVar[type[msgspec.Struct]] = Nothing
    reads: ClassVar[Role] = "viewer"
    """Who sees the records, and may export them."""
    writes: ClassVar[Role] = "editor"
    """Who changes them."""
    cards: ClassVar[Sequence[Widget]] = ()
    """What the app adds to the dashboard, for those who may read."""

    pagination = Pagination.KEYSET
    count_mode = CountMode.ESTIMATED
    page_size_options = (25, 50, 100)
    # Each record is deleted by the action below.
    can_delete_selected = False

    def __init__(self, *options: Any) -> None:
        shapes = {field.name: field.type for shape in (self.updates, self.creates) for field in fields(shape)}
        self.fields = [_ruled(entry, shapes) for entry in self.fields]
        names = [_name(entry) for entry in self.fields if not getattr(entry, "form_only", False)]
        self.fields.append(VersionField(VERSION))
        self.exclude_fields_from_create = [name for name in names if name not in self.creates.__struct_fields__]
        self.exclude_fields_from_edit = [name for name in names if name not in self.updates.__struct_fields__]
        self.can_create = self.creates is not Nothing
        self.can_edit = self.updates is not Nothing
        self.can_import = hasattr(self.service, "record")
        super().__init__(*options)
        # The view makes it by itself, and shares it with its parts.
        self._repository.__class__ = _Repository

    def matching(self, term: str) -> sa.ColumnElement[bool] | None:
        """What a record must be to be found by a search; None looks for the term in each of `searchable_fields`."""
        return None

    def search_condition(self, term: str, *, request: Request) -> sa.ColumnElement[bool] | None:
        return self.matching(term)

    async def form_only_values(self, session: SessionAdapter, record: M | None, *, request: Request) -> dict[str, Any]:
        return {} if record is None else {VERSION: timestamp_text(record.updated_at)}

    async def before_save(self, context: SaveContext[M]) -> None:
        if not context.created and (version := context.values[VERSION].get()):
            session = context.session
            assert isinstance(session, RecordSession)
            session.only_if(context.record, version)

    async def chosen(self, selection: Selection[M]) -> list[M]:
        """The records of an action's selection. Raises RefusedError if there are more than an action may take."""
        count = await selection.count()
        if count > MOST_AT_ONCE:
            raise RefusedError(
                f"{count:,} records are more than the {MOST_AT_ONCE:,} that can be changed at once: narrow the list."
            )
        return await selection.records()

    @action(
        "Delete",
        name="delete_selected",
        confirm="Delete the chosen records? This cannot be undone.",
        permission=Permission.DELETE,
        dangerous=True,
    )
    async def delete_chosen(self, selection: Selection[M]) -> str:
        records = await self.chosen(selection)
        for record in records:
            await selection.session.delete(record)
        return f"{len(records):,} deleted."


@dataclass(eq=False, repr=False)
class RuledText(StringField):
    """Text that is kept as it is typed, if the field of a struct would take it."""

    _: KW_ONLY
    rule: Any = str

    def column_options(self, schema: FieldSchema) -> dict[str, Any]:
        """Browsers count in halves of characters, so the length is left to the rule."""
        return {**super().column_options(schema), "max_length": None}

    def parse(self, raw: str | None) -> Any:
        return _checked(self, raw or "")


@dataclass(eq=False, repr=False)
class RuledNumber(FloatField):
    """A number, if the field of a struct would take it."""

    _: KW_ONLY
    rule: Any = float

    def parse(self, raw: str | None) -> Any:
        text = (raw or "").strip()
        if not text:
            raise FieldValidationError(self.name, "Is required.")
        return _checked(self, text)


def _checked(field: RuledText | RuledNumber, text: str) -> Any:
    if found := faults(text, field.rule, strict=False):
        raise FieldValidationError(field.name, sentence(found[0].detail))
    return msgspec.convert(text, field.rule, strict=False)


def _name(entry: Any) -> str:
    return entry if isinstance(entry, str) else str(getattr(entry, "name", None) or entry.key)


def _ruled(entry: Any, shapes: Mapping[str, Any]) -> Any:
    """What a view lists, as a field that refuses what the API refuses; a field of a kind that the view chose stays."""
    column, options = (entry.column, entry.given_options()) if type(entry) is Field else (entry, {})
    if isinstance(column, BaseField) or (name := _name(entry)) not in shapes:
        return entry
    match _bare(shapes[name]):
        case kind if kind is str:
            return RuledText(column, **options, rule=shapes[name])
        case kind if kind in (int, float):
            return RuledNumber(column, **options, rule=shapes[name])
        case kind if get_origin(kind) is Literal:
            choices = [(str(value), str(value).capitalize()) for value in get_args(kind)]
            return EnumField(column, **options, choices=choices)
    return entry


def _bare(kind: Any) -> Any:
    """The type without its notes, and without the alternative that it is absent."""
    while get_origin(kind) is not Literal and (inner := get_args(kind)):
        kind = inner[0]
    return kind


class _Repository(SQLAlchemyRepository[Any]):
    """Pages and counts that cost the same on every database, however many rows there are."""

    def keyset_keys(self, spec: QuerySpec) -> tuple[KeysetKey, ...] | None:
        """All in one direction, as an index has them."""
        keys = super().keyset_keys(spec)
        return keys and tuple(replace(key, descending=keys[0].descending) for key in keys)

    async def _list_by_keyset(
        self, session: SessionAdapter, spec: QuerySpec, scope: Scope | None, keys: Sequence[KeysetKey]
    ) -> Page:
        """In the words of each database, as the API pages: the library's own steps over all rows that are equal."""
        assert isinstance(session, RecordSession)
        token = spec.before or spec.after
        position = self._position(token, keys)
        backwards = position is not None and bool(spec.before)
        limit = spec.limit or DEFAULT_PAGE_SIZE
        select = self.narrow(self.base_statement(scope), spec)
        if spec.search and keys[0].name != "id":
            select = self._sorted_afterwards(select, keys, position, backwards)
            records = list(await session.scalars(select.limit(limit + 1)))
        else:
            records = await session.page(select, *self._ordering(spec, keys, position, backwards), limit + 1)
        has_more, records = len(records) > limit, records[:limit]
        if backwards and not has_more:  # back at the beginning, whose page is a full one
            return await self._list_by_keyset(session, spec.replace(after="", before=""), scope, keys)
        if backwards:
            records.reverse()
        is_whole = position is None and not has_more
        total = Total(len(records)) if is_whole else await self.total(session, spec, scope)
        has_next, has_previous = has_more or backwards, has_more if backwards else position is not None
        return Page(
            rows=records,
            limit=limit,
            total=total.value,
            has_next=has_next,
            estimated=total.estimated,
            keyset=True,
            next_cursor=self._cursor(keys, records[-1]) if has_next and records else "",
            previous_cursor=(self._cursor(keys, records[0]) if records else token) if has_previous else "",
        )

    def _position(self, token: str, keys: Sequence[KeysetKey]) -> list[Any] | None:
        """None for a token that is none of ours: the list begins at its beginning."""
        try:
            position = decode_cursor(token, [key.field for key in keys]) if token else None
        except RecursionError:
            return None
        return position if position is not None and is_place(position) else None

    def _ordering(
        self, spec: QuerySpec, keys: Sequence[KeysetKey], position: Sequence[Any] | None, backwards: bool
    ) -> tuple[Ordering, Position]:
        """By the columns that a filter does not hold to one value."""
        table = self.model.__table__
        held = [value.name for value in spec.filters if isinstance(value.source, OneOf) and len(value.values) == 1]
        places = [place for place, key in enumerate(keys) if key.name not in held]
        columns = [table.c[keys[place].name] for place in places]
        index = None
        if len(held) == len(spec.filters) and not spec.search:
            wanted = [*held, *(column.key for column in columns)]
            index = next((each.name for each in table.indexes if [c.key for c in each.columns] == wanted), None)
        ordering = Ordering(columns, keys[0].descending != backwards, index)
        if position is None:
            return ordering, None
        return ordering, [sa.literal(position[p], c.type) for p, c in zip(places, columns, strict=True)]

    def _sorted_afterwards(
        self, select: sa.Select[Any], keys: Sequence[KeysetKey], position: Sequence[Any] | None, backwards: bool
    ) -> sa.Select[Any]:
        """By what no index has: going through all rows in their place and sorting those that are found has one price.

        In the order of an index, where databases look up each row that they pass, a rare find takes ten times as long.
        """
        keys = [replace(key, column=sa.func.coalesce(key.column, key.column)) for key in keys]
        if position is not None:
            select = select.where(self._beyond(keys, position, backwards))
        is_descending = keys[0].descending != backwards
        return select.order_by(*(key.column.desc() if is_descending else key.column for key in keys))

    async def estimate(self, session: SessionAdapter) -> int | None:
        assert isinstance(session, RecordSession)
        select = dialects.named(session.dialect_name).estimated_rows(self.model.__table__)
        return None if select is None else await session.scalar(select)


class OneOf(SQLFilter[Any]):
    """Records with one of some values in a column, of those that `choices` gives, each with how often it is there."""

    multiple = True
    template = "choice"
    show_counts = True

    def __init__(self, column: QueryableAttribute[Any], choices: Choices, *, label: str | None = None) -> None:
        super().__init__(column.key, label=label)
        self._column = column
        self._choices = choices

    async def options(self, context: SQLFilterContext) -> Sequence[FilterOption]:  # type: ignore[override]
        """None, if they cannot be counted in time: the list is there without them."""
        try:
            return [FilterOption(value, value, count) for value, count in await self._choices(context.session)]
        except Unavailable:
            return []

    def condition(self, value: FilterValue, repository: SQLAlchemyRepository[Any]) -> sa.ColumnElement[bool]:
        first, *others = value.values
        return self._column.in_(value.values) if others else self._column == first


class Between(SQLFilter[Any]):
    """Records with a number in a range, either end of which may be left open."""

    template = "range"
    input_type = "number"

    def __init__(self, column: QueryableAttribute[Any], *, label: str | None = None) -> None:
        super().__init__(column.key, label=label)
        self._column = column

    def describe(self, value: FilterValue, options: Sequence[FilterOption] = ()) -> str:
        low, high = _ends(value)
        if low is not None and high is not None:
            return f"{self.label}: {low:g} to {high:g}"
        return f"{self.label}: {low:g} or more" if low is not None else f"{self.label}: {high or 0:g} or less"

    def condition(self, value: FilterValue, repository: SQLAlchemyRepository[Any]) -> sa.ColumnElement[bool] | None:
        low, high = _ends(value)
        bounds = [self._column >= low] if low is not None else []
        return sa.and_(sa.true(), *bounds, *([self._column <= high] if high is not None else []))


Period = DateRangeFilter
"""Records with a moment in a range of days."""


def _ends(value: FilterValue) -> tuple[float | None, float | None]:
    low, _, high = value.first.partition(",")
    return _number(low), _number(high)


def _number(text: str) -> float | None:
    try:
        return msgspec.convert(text.strip(), float, strict=False)
    except msgspec.ValidationError:
        return None

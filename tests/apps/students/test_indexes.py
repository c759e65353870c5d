"""Each order that clients may ask for is walked in an index, as the database's planner says."""

import datetime as dt
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from apps.students.schemas import Sort, Student
from apps.students.services import StudentService
from project.database.connections import Connection
from project.database.statements import Row
from tests.filling import filled
from tests.servers import in_a_loop
from tests.units import opened

ROWS = 5000
"""Enough that no planner would rather read them all."""
LIMIT = 21
DEPTH = 100
"""How far from the end a deep page begins."""
FIELDS = Student.__struct_fields__
FILTERS: dict[str, dict[str, Any]] = {"all": {}, "one department": {"department": ("Physics",)}}
PLACES = ("first", "deep")

EXPLAIN = {
    "sqlite": "EXPLAIN QUERY PLAN ",
    "postgresql": "EXPLAIN (FORMAT JSON) ",
    "mariadb": "EXPLAIN ",
    "mysql": "EXPLAIN ",
}
REFRESH = {"postgresql": "ANALYZE students", "mariadb": "ANALYZE TABLE students", "mysql": "ANALYZE TABLE students"}
"""What planners know of a table they find out by themselves, but at a time of their own."""

_FOUND = r"SEARCH students USING (INDEX ix_students_\w+|INTEGER PRIMARY KEY) \([^)]+\)"
_PART = rf"CO-ROUTINE anon_\d; {_FOUND}; SCAN anon_\d; USE TEMP B-TREE FOR ORDER BY"
WALK = {
    # From the beginning in an index, or in the table, which has the order of the ids; from a position on in one place
    # of an index, or in two parts of no more rows than the page has, which are merged.
    "sqlite": re.compile(
        rf"SCAN students( USING INDEX ix_students_\w+)?|{_FOUND}|MERGE \(UNION ALL\); LEFT; {_PART}; RIGHT; {_PART}"
    ),
    "postgresql": re.compile(r"Limit; Index Scan (ix|pk)_students\w*"),
    # Neither "Using filesort" nor "Using temporary".
    "mariadb": re.compile(r"(index|range|ref) (ix_students_\w+|PRIMARY)( Using (where|index condition);?)*"),
}
WALK["mysql"] = WALK["mariadb"]

Plans = dict[tuple[str, str, str], Sequence[Row]]


class Explained:
    """A connection that asks for the plan of each statement before it fetches, with the same values."""

    def __init__(self, held: Connection, explain: str) -> None:
        self.plan: Sequence[Row] = ()
        self._held = held
        self._explain = explain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._held, name)

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        self.plan = await self._held.fetch(self._explain + sql, parameters)
        return await self._held.fetch(sql, parameters)


@pytest.fixture(scope="module")
def plans(engine: str, new_database: Callable[[str], str]) -> Plans:
    """By sort, filter and place in the list."""
    found: Plans = {}

    async def work(students: StudentService) -> None:
        repository = students.repository
        held = repository.session.held
        try:
            for sort in get_args(Sort):
                for name, filters in FILTERS.items():
                    position = None
                    for place in PLACES:
                        explained = Explained(held, EXPLAIN[engine])
                        repository.session.held = explained
                        rows = await repository.page(FIELDS, filters, sort, LIMIT, position)
                        assert len(rows) == LIMIT
                        found[sort, name, place] = explained.plan
                        repository.session.held = held
                        position = await _near_the_end(students, filters, sort)
        finally:
            repository.session.held = held

    async def scenario() -> None:
        async with opened(url) as database:
            if engine in REFRESH:
                async with database.connect() as connection:
                    await connection.execute(sa.text(REFRESH[engine]))
            await database.read(StudentService, work)

    url = filled(new_database(engine), ROWS)
    in_a_loop(scenario)
    return found


async def _near_the_end(students: StudentService, filters: dict[str, Any], sort: str) -> tuple[Any, ...]:
    """The position of a row that only few come after."""
    column = sort.removeprefix("-")
    turned = column if sort.startswith("-") else f"-{sort}"
    row = dict(zip(FIELDS, (await students.repository.page(FIELDS, filters, turned, DEPTH))[-1], strict=True))
    value = dt.datetime.fromisoformat(row[column]) if column.endswith("_at") else row[column]
    return (value,) if column == "id" else (value, row["id"])


def steps(engine: str, plan: Sequence[Row]) -> list[str]:
    """How a plan comes by its rows, in the database's own words."""
    match engine:
        case "sqlite":
            return [str(row[-1]) for row in plan]
        case "postgresql":
            return _nodes(_root(plan))
        case "mariadb":
            return [f"{row[3]} {row[5]} {row[-1] or ''}".strip() for row in plan]
        case _:
            return [f"{row[4]} {row[6]} {row[-1] or ''}".strip() for row in plan]


def bounds(plan: Sequence[Row]) -> str:
    """Between which PostgreSQL walks an index."""
    return str(_root(plan)["Plans"][0]["Index Cond"])


def _root(plan: Sequence[Row]) -> dict[str, Any]:
    """Of PostgreSQL's plan."""
    (explained,) = json.loads(plan[0][0]) if isinstance(plan[0][0], str) else plan[0][0]
    root: dict[str, Any] = explained["Plan"]
    return root


def _nodes(node: dict[str, Any]) -> list[str]:
    below = [step for child in node.get("Plans", []) for step in _nodes(child)]
    of_index = [node["Index Name"]] if "Index Name" in node else []
    return [" ".join([node["Node Type"], *of_index, *(["Filter"] if "Filter" in node else [])]), *below]


class TestIndexes:
    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("name", FILTERS)
    @pytest.mark.parametrize("sort", get_args(Sort))
    def test_have_each_order_of_the_list(self, engine: str, plans: Plans, sort: str, name: str, place: str) -> None:
        plan = "; ".join(steps(engine, plans[sort, name, place]))
        assert WALK[engine].fullmatch(plan), plan

    @pytest.mark.engines("postgresql")
    @pytest.mark.parametrize("sort", get_args(Sort))
    def test_are_entered_where_a_page_of_a_department_begins(self, engine: str, plans: Plans, sort: str) -> None:
        """Of two bounds on that side, the database may begin at the one further out and pass over all in between."""
        found = bounds(plans[sort, "one department", "deep"])
        position, further_out = ("< ROW(", "<=") if sort.startswith("-") else ("> ROW(", ">=")
        assert position in found
        assert further_out not in found

"""Whether a page costs the same in a short list and in a long one: `python -m tests.benchmarks.bench_pages`.

Each order, of all students and of one department, first page and deepest, asked over one connection of two services in
turns: one has few rows, the other many. Of interest are the ratios of their medians.
"""

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import urlencode

import click
import msgspec
from rich.console import Console
from rich.table import Table

from apps.students.models import Student
from apps.students.schemas import Sort
from project.pagination import Cursors
from tests.filling import filled

from .databases import ENGINES, databases, engine_option, execute
from .processes import Cores, Failure
from .report import Machine, Spread, describe_machine, json_option, new_console, show_machine, spread, write_json
from .service import SECRET_KEY, Caller, on_core, serving

LIMIT = 20
DEPARTMENT = "Physics"
REQUESTS = 100
"""Of one page in one round."""
MOST = 1.2
"""What a page may cost in the long list, in terms of the same page in the short one."""
REFRESH = {"sqlite": [], "postgresql": ["VACUUM ANALYZE students"], "mariadb": ["ANALYZE TABLE students"]}
"""What a server that runs for longer does by itself."""


class Page(NamedTuple):
    sort: str
    department: str | None
    is_deepest: bool

    @property
    def place(self) -> str:
        return "deepest" if self.is_deepest else "first"


class Figure(msgspec.Struct, frozen=True):
    """Microseconds; `ratio` is that of the medians, by round."""

    engine: str
    sort: str
    department: str | None
    place: str
    few: Spread
    many: Spread
    ratio: Spread


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    few: int
    many: int
    rounds: int
    requests: int
    figures: list[Figure]


@click.command()
@engine_option
@click.option("--few", type=click.IntRange(1000), default=10_000, show_default=True, help="Rows of the short list.")
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Rows of the long list.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True)
@json_option
def main(engines: tuple[str, ...], few: int, rows: int, rounds: int, json_file: Path | None) -> None:
    """Compare pages of a short list with those of a long one.

    Exits with 1 when one costs more than 1.2 times what it costs in the short list.
    """
    progress = Console(stderr=True)
    figures: list[Figure] = []
    with databases() as (folder, created):
        machine = describe_machine(folder)
        for engine in engines or ENGINES:
            urls = []
            for count in (few, rows):
                progress.print(f"{engine}: filling in {count:,} rows", style="dim")
                urls.append(filled(created.create(engine), count))
                execute(urls[-1], *REFRESH[engine])
            progress.print(f"{engine}: asking", style="dim")
            try:
                figures += compare(engine, folder, urls, rounds)
            except Failure as failure:
                raise click.ClickException(f"{engine}: {failure}") from None
    report = Report(machine, few, rows, rounds, REQUESTS, figures)
    show(report, new_console())
    write_json(report, json_file)
    sys.exit(1 if any(figure.ratio.median > MOST for figure in figures) else 0)


def compare(engine: str, folder: Path, urls: list[str], rounds: int) -> Iterator[Figure]:
    cores = Cores()
    few_url, many_url = urls
    with (
        serving(few_url, folder, [cores.server]) as few,
        serving(many_url, folder, [cores.server]) as many,
        on_core(cores.load),
    ):
        callers = Caller(few.port), Caller(many.port)
        for page in (
            Page(sort, department, is_deepest)
            for sort in get_args(Sort)
            for department in (None, DEPARTMENT)
            for is_deepest in (False, True)
        ):
            paths = [_path(caller, page) for caller in callers]
            medians: list[list[float]] = [[], []]
            for round_number in range(rounds + 1):  # the first one warms up, and is forgotten
                for caller, path, found in zip(callers, paths, medians, strict=True):
                    median = statistics.median(caller.get(path)[0] for _ in range(REQUESTS))
                    if round_number:
                        found.append(median)
            short, long = map(spread, medians)
            ratio = spread([slow / fast for fast, slow in zip(*medians, strict=True)])
            yield Figure(engine, page.sort, page.department, page.place, short, long, ratio)
        for caller in callers:
            caller.close()


def _path(caller: Caller, page: Page) -> str:
    """Of the page; the deepest one begins with the last rows but as many as it has, and there is none after it.

    Raises Failure where these are not the rows.
    """
    query: dict[str, Any] = {"sort": page.sort, "limit": LIMIT}
    if page.department:
        query["department"] = page.department
    if page.is_deepest:
        column = page.sort.removeprefix("-")
        turned = column if page.sort.startswith("-") else f"-{column}"
        *last, before = _items(caller, {**query, "sort": turned, "limit": LIMIT + 1})
        filters = {"department": (page.department,)} if page.department else {}
        position = (before["id"],) if column == "id" else (before[column], before["id"])
        # What `Service.page` makes of a page's last row: to walk there would take as many requests as there are pages.
        asked = (Student.__name__, page.sort, sorted(filters.items()))
        query["cursor"] = Cursors(SECRET_KEY).text(asked, position)
        if _items(caller, query) != last[::-1]:
            raise Failure(f"the last page by {page.sort} does not hold the last rows")
    return f"/students?{urlencode(query)}"


def _items(caller: Caller, query: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = msgspec.json.decode(caller.get(f"/students?{urlencode(query)}")[1])["items"]
    return items


def show(report: Report, console: Console) -> None:
    show_machine(report.machine, console)
    console.print(
        f"pages of {LIMIT} over one connection, {report.rounds} rounds of {report.requests}; medians in microseconds,"
        " and their ratio (lowest-highest round)"
    )
    for engine in dict.fromkeys(figure.engine for figure in report.figures):
        figures = [figure for figure in report.figures if figure.engine == engine]
        table = Table(title=engine, title_justify="left")
        for heading in ("sort", "department", "page"):
            table.add_column(heading)
        for heading in (f"{report.few:,} rows", f"{report.many:,} rows", "ratio"):
            table.add_column(heading, justify="right")
        for it in figures:
            ratio = f"{it.ratio.median:.2f} ({it.ratio.low:.2f}-{it.ratio.high:.2f})"
            place = (it.sort, it.department or "all", it.place)
            table.add_row(*place, f"{it.few.median:,.0f}", f"{it.many.median:,.0f}", ratio)
        ratios = [figure.ratio.median for figure in figures]
        median, most = statistics.median(ratios), max(ratios)
        table.add_row("all of them", "", "", "", "", f"{median:.2f}, at most {most:.2f}", style="bold")
        console.print(table)


if __name__ == "__main__":
    main()

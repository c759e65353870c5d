"""Nothing is measured that does not answer rightly."""

from typing import Any

import httpx

from .data import Student
from .lineup import Running
from .load import Ids
from .processes import Failure


def check_answers(running: Running, ids: Ids, rows: list[Student]) -> None:
    """Leaves one more row than it found, and no other changed."""
    if len(ids) != len(rows):
        raise Failure(f"holds {len(ids)} rows, not {len(rows)}")
    paths, client = running.contender.paths, running.client

    middle = len(rows) // 2
    one = paths.one.format(ids[middle])
    _same(_json(client.get(one), 200), ids[middle], rows[middle])

    page = _json(client.get(paths.page), 200)
    items = page[running.contender.items] if running.contender.items else page
    if len(items) != 20:
        raise Failure(f"the page has {len(items)} rows, not 20")
    for item, key, row in zip(items, ids, rows, strict=False):
        _same(item, key, row)

    new = Student("नया छात्र 🎓", "CSE", 8.91)
    created = _json(client.post(paths.all, json=new._asdict()), 200, 201)
    _same(created, str(created["id"]), new)
    _same(_json(client.get(paths.one.format(created["id"])), 200), str(created["id"]), new)
    if running.contender.count(running) != len(rows) + 1:
        raise Failure("a created row is not in the table")

    for cgpa in (9.87, rows[middle].cgpa):
        changed = rows[middle]._replace(cgpa=cgpa)
        _same(_json(client.patch(one, json={"cgpa": cgpa}), 200), ids[middle], changed)
        _same(_json(client.get(one), 200), ids[middle], changed)


def _json(answer: httpx.Response, *statuses: int) -> Any:
    if answer.status_code not in statuses:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise Failure(f"{asked} answered {answer.status_code}: {answer.text[:200]}")
    return answer.json()


def _same(answered: dict[str, Any], key: str, row: Student) -> None:
    found = {name: answered.get(name) for name in ("id", *Student._fields)}
    if {**found, "id": str(found["id"])} != {"id": key, **row._asdict()}:
        raise Failure(f"answered {found} for {key}: {row}")

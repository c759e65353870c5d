"""What the dashboard shows: charts that an app declares, what changed last, and the database that is active."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from adminsite import Chart, RecentRecords, Widget
from adminsite._http.history import HistoryItem, describe
from adminsite.audit import AuditQuery
from adminsite.database import SessionAdapter
from starlette.requests import Request

from project.admin.sessions import RecordSession
from project.admin.signing_in import AUDITS, may
from project.database import parse_url

if TYPE_CHECKING:
    from project.admin.site import Site

__all__ = ["ActiveDatabase", "Bars", "Changes", "Chart", "RecentRecords", "Remembered"]

T = TypeVar("T")

MOST_CHANGES = 6

SHARE = 100
"""What was counted counts for so many times as long as the counting took: it costs a worker a hundredth of its time."""


class Remembered(Generic[T]):
    """Something that takes longer to read the more rows there are: read now and then, whoever asks how often.

    Of a small table it is never old; after a second's reading it may be two minutes old.
    """

    def __init__(self, read: Callable[[RecordSession], Awaitable[T]]) -> None:
        self._read = read

    async def __call__(self, session: SessionAdapter) -> T:
        assert isinstance(session, RecordSession)
        memory = session.memory.setdefault(self, _Memory())
        async with memory.lock:
            if time.monotonic() >= memory.until:
                started = time.monotonic()
                memory.value = await self._read(session)
                ended = time.monotonic()
                memory.until = ended + (ended - started) * SHARE
            value: T = memory.value
            return value


class _Memory:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.value: Any = None
        self.until = 0.0


class Bars(Widget):
    """Labelled counts, the most first: for labels that have to be read. `rows` gives a label and a count each."""

    template = "registrar/bars.html"
    width = 2

    def __init__(self, title: str, rows: Callable[[RecordSession], Awaitable[Sequence[tuple[str, int]]]]) -> None:
        self.title = title
        self._rows = rows

    async def load(self, admin: "Site", request: Request) -> Sequence[tuple[str, int]]:  # type: ignore[override]
        session = admin.source.open()
        return await self._rows(session)


class Place(NamedTuple):
    alias: str
    engine: str
    address: str
    """The server and the database's name, or that of the file; no user and no password."""


class ActiveDatabase(Widget):
    """Where the service reads and writes at this moment."""

    title = "Active database"
    width = 4
    template = "registrar/active_database.html"

    async def load(self, admin: "Site", request: Request) -> Place:  # type: ignore[override]
        active = admin.source.active
        url = active.url
        aliases = [alias for alias, text in admin.settings.databases.items() if parse_url(text) == url]
        database = url.database or ""
        address = f"{url.host}{f':{url.port}' if url.port else ''}/{database}" if url.host else PurePath(database).name
        return Place(", ".join(aliases), active.dialect.title, address)


class Changes(Widget):
    """What was changed last, by whom."""

    title = "Latest changes"
    width = 2
    template = "registrar/changes.html"

    async def allows(self, admin: "Site", request: Request) -> bool:  # type: ignore[override]
        return may(request, AUDITS)

    async def load(self, admin: "Site", request: Request) -> Sequence[HistoryItem]:  # type: ignore[override]
        query = AuditQuery(views=[view.name for view in admin.views])
        return describe(admin, await admin.trail.find(query, limit=MOST_CHANGES), request)

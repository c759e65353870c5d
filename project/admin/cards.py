"""What the dashboard shows: charts that an app declares, what changed last, and the database that is active."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import structlog
from adminsite import Chart, RecentRecords, Widget
from adminsite._http.history import HistoryItem, describe
from adminsite.audit import AuditQuery
from adminsite.database import SessionAdapter
from starlette.requests import Request

from project.admin.sessions import RecordSession
from project.admin.signing_in import AUDITS, may
from project.database import parse_url
from project.database.errors import DatabaseError

if TYPE_CHECKING:
    from project.admin.site import Site

__all__ = ["ActiveDatabase", "Bars", "Changes", "Chart", "RecentRecords", "Remembered"]

T = TypeVar("T")

log = structlog.get_logger(__name__)

MOST_CHANGES = 6

SHARE = 100
"""What was counted counts for so many times as long as the counting took: it costs a worker a hundredth of its time."""


class Remembered(Generic[T]):
    """Something that takes longer to read the more rows there are: read now and then, whoever asks how often.

    Only who asks first waits for it; later it is read again while the others get what there is. Of a small table that
    is never old; after a second's reading it may be two minutes old. Raises DatabaseError while it was never read.
    """

    def __init__(self, read: Callable[[RecordSession], Awaitable[T]]) -> None:
        self._read = read

    async def __call__(self, session: SessionAdapter) -> T:
        assert isinstance(session, RecordSession)
        memory = session.source.memory.setdefault(self, _Memory())
        if (memory.reading is None or memory.reading.done()) and time.monotonic() >= memory.until:
            memory.reading = asyncio.create_task(self._renew(memory, session.source.open()))
        if memory.reading is not None and not memory.is_filled:
            await asyncio.shield(memory.reading)
        if memory.error is not None:
            raise memory.error
        value: T = memory.value
        return value

    async def _renew(self, memory: "_Memory", session: RecordSession) -> None:
        started = time.monotonic()
        try:
            memory.value, memory.error = await self._read(session), None
            memory.is_filled = True
        except DatabaseError as error:
            memory.error = None if memory.is_filled else error
            log.warning("not counted", reason=str(error))
        ended = time.monotonic()
        memory.until = ended + (ended - started) * SHARE


class _Memory:
    def __init__(self) -> None:
        self.is_filled = False
        self.value: Any = None
        self.until = 0.0
        self.error: DatabaseError | None = None
        self.reading: asyncio.Task[None] | None = None


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
    """What was changed last of what may be changed here, and by whom."""

    title = "Latest changes"
    width = 2
    template = "registrar/changes.html"

    async def allows(self, admin: "Site", request: Request) -> bool:  # type: ignore[override]
        return may(request, AUDITS)

    async def load(self, admin: "Site", request: Request) -> Sequence[HistoryItem]:  # type: ignore[override]
        query = AuditQuery(views=[view.name for view in admin.views if view.can_edit])
        return describe(admin, await admin.trail.find(query, limit=MOST_CHANGES), request)

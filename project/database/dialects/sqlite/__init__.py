"""SQLite, embedded: one file beside the service, WAL, every commit synced to disk."""

import asyncio
import contextlib
import datetime as dt
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from project.database import errors
from project.database.backends import PooledReads, open_session
from project.database.dialects import Ordering, Position
from project.database.dialects.sqlite.contents import SQLiteContents
from project.database.dialects.sqlite.switching import SQLiteSwitching
from project.database.pools import Pool
from project.database.sessions import Session
from project.database.statements import Row
from project.database.switching import REFUSAL
from project.database.writes import GroupCommit, S, T, Work
from project.settings import BASE_DIR
from project.times import timestamp_text

R = TypeVar("R")

name = "sqlite"
title = "SQLite"
schemes = frozenset({"sqlite"})
embedded = True

IN_LOOP = 0.002
"""Seconds that a read may run on the event loop before it is started again in a thread."""
INTERRUPT_SECONDS = 0.01
"""Between two tries to interrupt what a thread does, as what has not begun yet cannot be interrupted."""
WRITER_CACHE = 16 * 1024
"""KiB. Rows in random order touch pages all over the indexes: with SQLite's 2 MiB, many rows cost a third more."""
CHECKPOINT_PAGES = 4000
"""16 MiB in the write-ahead log before it is carried over: a page that many commits changed is carried over once."""
LINKS = 4
"""Threads for the connections outside of the pools."""
MAGIC = b"SQLite format 3\0"
"""How every SQLite file begins: https://sqlite.org/fileformat2.html."""
STEPS = 1000
"""Virtual machine steps between two looks at the clock: some 10 microseconds."""
MIGRATION_PATIENCE = 60.0
"""Seconds that a migration waits for the writers before it."""


def text(length: int) -> TypeEngine[Any]:
    return sa.String(length)


def blob() -> TypeEngine[Any]:
    return sa.LargeBinary()


class _Moment(sqlite.DATETIME):
    """Text of fixed width, which orders as the moments do and is what clients are sent."""

    def bind_processor(self, dialect: Dialect) -> Callable[[dt.datetime | None], str | None]:
        return lambda moment: None if moment is None else timestamp_text(moment)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], dt.datetime | None]:
        return lambda text: None if text is None else dt.datetime.fromisoformat(text)


def timestamp() -> TypeEngine[Any]:
    return _Moment()  # type: ignore[no-untyped-call]


def to_driver_time(moment: dt.datetime) -> dt.datetime:
    return moment


times_from_driver_to_text = None


def type_code(column_type: TypeEngine[Any]) -> None:
    return None


@compiles(CreateTable, name)
def _create_table(element: CreateTable, compiler: Any, **options: Any) -> str:
    """Without AUTOINCREMENT the highest id is given out again once its row is deleted."""
    if len(element.element.primary_key.columns) == 1:
        element.element.kwargs["sqlite_autoincrement"] = True
    statement: str = compiler.visit_create_table(element, **options)
    return statement


def normalise(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise ValueError(
            "sqlite:// wants a file, such as sqlite:///registrar.sqlite3: memory is lost when the service ends."
        )
    if url.query or url.host:
        raise ValueError("sqlite:// takes a path and nothing else: three slashes before a relative one, four before /.")
    return url.set(drivername="sqlite+aiosqlite", database=str(BASE_DIR / Path(url.database).expanduser()))


def shell(url: URL) -> tuple[list[str], dict[str, str]]:
    return ["sqlite3", str(url.database)], {}


def after_given_ids(column: sa.Column[Any]) -> None:
    """AUTOINCREMENT goes on from the highest id, whoever gave it."""


def open_file(path: Path) -> "SQLiteFile | None":
    with path.open("rb") as file:
        return SQLiteFile(path) if file.read(len(MAGIC)) == MAGIC else None


def hosts_in_clear(url: URL) -> list[str]:
    return []


tls = ""
client_package = "sqlite3"
ddl_rolls_back = True
switching = SQLiteSwitching()
contents = SQLiteContents()


@contextlib.asynccontextmanager
async def migrating(connection: AsyncConnection) -> AsyncIterator[None]:
    """Foreign keys are off until they are checked in the end: to change a column, Alembic makes a new table, drops the
    old one and renames the new one. That one keeps the highest id that was ever given out.
    """
    await connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(MIGRATION_PATIENCE * 1000)}")
    await connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    await connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        sequences = await _sequences(connection)
        yield
        for table, highest in sequences.items():
            await connection.exec_driver_sql(_KEEP_SEQUENCE, (table, highest))
        if broken := (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first():
            raise errors.Invalid(f"A row of {broken.table} would refer to one of {broken.parent} that is not there.")
        await connection.exec_driver_sql("COMMIT")
    except BaseException:
        with contextlib.suppress(DBAPIError):
            await connection.exec_driver_sql("ROLLBACK")
        raise
    finally:
        await connection.exec_driver_sql("PRAGMA foreign_keys = ON")


_KEEP_SEQUENCE = """
REPLACE INTO sqlite_sequence (rowid, name, seq)
SELECT s.rowid, t.name, max(coalesce(s.seq, 0), ?2)
FROM sqlite_master AS t LEFT JOIN sqlite_sequence AS s ON s.name = t.name WHERE t.type = 'table' AND t.name = ?1
"""


async def _sequences(connection: AsyncConnection) -> dict[str, int]:
    """The highest id ever given out, by table."""
    has_any = await connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'")
    if not has_any.first():
        return {}
    rows = await connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
    return {row.name: row.seq for row in rows}


async def hazards(connection: AsyncConnection) -> list[str]:
    mode = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
    return [] if mode == "wal" else [f"The database file is in journal mode {mode}, not WAL: keep it on a local disk."]


async def server_version(connection: AsyncConnection) -> str:
    return str(await connection.scalar(sa.text("SELECT sqlite_version()")))


def estimated_rows(table: sa.FromClause) -> None:
    """It has none that keep up with the table."""


def page(select: sa.Select[Any], ordering: Ordering, position: Position, limit: sa.BindParameter[int]) -> sa.Executable:
    """In parts that SQLite finds in an index: first the rows that differ from the position in the last column only.

    Of a row value that ends in the rowid it seeks the first column alone, and steps over all rows that are equal there.
    """
    select = ordering.hold(select)
    if position is None:
        return ordering.sort(select).limit(limit)
    parts = []
    for place in reversed(range(len(position))):
        same = [column == bound for column, bound in zip(ordering.columns[:place], position[:place], strict=True)]
        parts.append(ordering.sort(select.where(*same, ordering.beyond(place, position))).limit(limit))
    if len(parts) == 1:
        return parts[0]
    whole = sa.union_all(*(sa.select(part.subquery()) for part in parts))
    order = [whole.selected_columns[str(column.key)] for column in ordering.columns]
    return whole.order_by(*(column.desc() if ordering.descending else column for column in order)).limit(limit)


def create_backend(url: URL, pool_size: int, statement_timeout: float) -> "SQLiteBackend":
    return SQLiteBackend(url, pool_size, statement_timeout)


class SQLiteBackend(PooledReads):
    def __init__(self, url: URL, pool_size: int, statement_timeout: float) -> None:
        self.engine = create_async_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            connect_args={"async_creator_fn": _driver_connection},
        )
        snapshots = max(2, pool_size // 2)
        self._threads = ThreadPoolExecutor(pool_size + snapshots + 1, thread_name_prefix="sqlite")
        self._links = ThreadPoolExecutor(LINKS, thread_name_prefix="sqlite link")
        super().__init__(
            Pool(lambda: self._session(statement_timeout), pool_size),
            Pool(lambda: self._session(float("inf")), snapshots),
        )
        self._writes = GroupCommit(lambda: self._session(None), is_locked, _changes)
        self._path = str(url.database)
        self._watch: sqlite3.Cursor | None = None

    def commits(self) -> int | None:
        """By a connection that does nothing else: what it commits itself, it would not count."""
        try:
            if self._watch is None:
                uri = f"{Path(self._path).as_uri()}?mode=rw"
                raw = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0, check_same_thread=False)
                self._watch = raw.cursor()
            return self._watch.execute("PRAGMA data_version").fetchone()[0]  # type: ignore[no-any-return]
        except sqlite3.Error:
            return None

    async def write(self, service: type[S], work: Work[S, T], *, together: bool) -> T:
        return await self._writes.write(service, work)

    async def link(self) -> Session:
        async def hold(alchemy: AsyncConnection, driver: _DriverConnection) -> SQLiteLink:
            driver.raw.execute(f"PRAGMA cache_size = -{WRITER_CACHE}")
            driver.raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            return SQLiteLink(alchemy, driver.raw, self._links, None)

        return await open_session(self.engine, hold)

    async def warm(self) -> None:
        await super().warm()
        await self._writes.warm()

    async def close(self) -> None:
        await self._writes.close()
        await super().close()
        if self._watch is not None:
            self._watch.connection.close()
            self._watch = None
        await self.engine.dispose()
        self._threads.shutdown(wait=False)
        self._links.shutdown(wait=False)

    async def _session(self, budget: float | None) -> Session:
        async def hold(alchemy: AsyncConnection, driver: _DriverConnection) -> SQLiteConnection:
            if budget is None:
                driver.raw.execute(f"PRAGMA cache_size = -{WRITER_CACHE}")
                driver.raw.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            else:
                driver.raw.execute("PRAGMA query_only = ON")
            return SQLiteConnection(alchemy, driver.raw, self._threads, budget)

        return await open_session(self.engine, hold)


class _DriverConnection(aiosqlite.Connection):
    """aiosqlite's connection, for SQLAlchemy's own statements; `raw` is what it wraps, for those compiled once."""

    raw: sqlite3.Connection


async def _driver_connection(database: str, **options: Any) -> _DriverConnection:
    opening = asyncio.get_running_loop().run_in_executor(None, _open, database)
    try:
        raw = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_unwanted)
        raise
    connection = _DriverConnection(lambda: raw, 64)
    connection.raw = raw
    try:
        await connection
    except asyncio.CancelledError:
        raw.close()
        raise
    return connection


def _close_unwanted(opening: asyncio.Future[sqlite3.Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open(database: str) -> sqlite3.Connection:
    raw = sqlite3.connect(database, isolation_level=None, check_same_thread=False, timeout=5, cached_statements=256)
    try:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA recursive_triggers = ON")
    except BaseException:
        raw.close()
        raise
    return raw


class SQLiteConnection:
    """Short statements run on the event loop, where a point read takes microseconds; the rest in a thread.

    A read that is not done within IN_LOOP seconds is interrupted and started again in a thread, where it may take
    `budget` seconds. Without a budget, for the writer, statements are never interrupted: SQLite would roll back their
    transaction.
    """

    def __init__(
        self, alchemy: AsyncConnection, raw: sqlite3.Connection, threads: ThreadPoolExecutor, budget: float | None
    ) -> None:
        self.alchemy = alchemy
        self.broken = False
        self.is_lost = False
        self._raw = raw
        self._threads = threads
        self._budget = budget
        self._deadline = float("inf")
        if budget is not None:
            raw.set_progress_handler(self._is_over, STEPS)
        raw.execute("PRAGMA busy_timeout = 0")

    @property
    def changes(self) -> int | None:
        """How many rows it has changed so far; None outside a transaction."""
        return self._raw.total_changes if self._raw.in_transaction else None

    def read_anything(self) -> None:
        """Read text that is not UTF-8 as bytes from now on."""
        self._raw.text_factory = _text_or_bytes

    def _is_over(self) -> bool:
        return time.perf_counter() > self._deadline

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        if self._budget is None:
            return self._raw.execute(sql, parameters).fetchall()
        self._deadline = time.perf_counter() + IN_LOOP
        try:
            return self._raw.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
        finally:
            self._deadline = float("inf")
        self._deadline = time.perf_counter() + self._budget
        try:
            return await self._in_thread(lambda: self._raw.execute(sql, parameters).fetchall())
        finally:
            self._deadline = float("inf")

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return self._raw.execute(sql, parameters).rowcount

    async def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        # The cursor ends in the thread: when it goes, it resets the statement, which another may be executing by then.
        await self._in_thread(lambda: self._raw.executemany(sql, parameters).close())

    async def insert(self, sql: str, parameters: Sequence[Any]) -> int:
        return self._raw.execute(sql, parameters).lastrowid or 0

    async def insert_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> list[int]:
        return await self._in_thread(lambda: [self._raw.execute(sql, row).lastrowid or 0 for row in parameters])

    async def chunks(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        cursor = await self._in_thread(lambda: self._raw.execute(sql, parameters))
        while rows := await self._in_thread(lambda: cursor.fetchmany(size)):
            yield rows

    async def begin(self) -> None:
        self._raw.execute("BEGIN IMMEDIATE")

    async def begin_snapshot(self, seconds: float | None) -> None:
        self._budget = float("inf") if seconds is None else seconds
        self._raw.execute("BEGIN")

    async def commit(self) -> None:
        try:
            await self._in_thread(lambda: self._raw.execute("COMMIT"))
        except sqlite3.OperationalError as error:
            if _primary_code(error) == sqlite3.SQLITE_IOERR:
                raise errors.OutcomeUnknown from error
            raise

    async def rollback(self) -> None:
        if self._raw.in_transaction:
            await self._in_thread(lambda: self._raw.execute("ROLLBACK"))

    def abort(self) -> None:
        self.broken = True

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await self.alchemy.close()

    async def _in_thread(self, call: Callable[[], R]) -> R:
        running = self._threads.submit(call)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            while not running.done():
                self._raw.interrupt()
                await asyncio.sleep(INTERRUPT_SECONDS)
            raise


class SQLiteLink(SQLiteConnection):
    """Every statement runs in a thread: none is known to be short, and nobody waits for microseconds."""

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        return await self._in_thread(lambda: self._raw.execute(sql, parameters).fetchall())

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        return await self._in_thread(lambda: self._raw.execute(sql, parameters).rowcount)

    async def begin_snapshot(self, seconds: float | None) -> None:
        self._raw.execute("BEGIN")


class SQLiteFile:
    """A file that is only read. What its columns hold need not be of their type."""

    def __init__(self, path: Path) -> None:
        with _classified():
            self._raw = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self._raw.text_factory = _text_or_bytes

    def columns(self) -> dict[str, list[str]]:
        with _classified():
            found = self._raw.execute(
                "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c "
                "WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid"
            ).fetchall()
        return {table: [column for _, column in columns] for table, columns in groupby(found, lambda pair: pair[0])}

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[Row]:
        every: list[sa.ColumnClause[Any]] = [sa.column(column) for column in columns]
        select = sa.select(*every).select_from(sa.table(table)).order_by(every[0])
        with _classified():
            yield from self._raw.execute(str(select.compile(dialect=sqlite.dialect())))

    def close(self) -> None:
        self._raw.close()


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


@contextlib.contextmanager
def _classified() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise (classify(error) or errors.Gone(f"The file cannot be read: {error}.")) from error


def _changes(session: Session) -> int | None:
    assert isinstance(session.held, SQLiteConnection)
    return session.held.changes


def is_locked(error: BaseException) -> bool:
    return _primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def classify(error: BaseException) -> errors.DatabaseError | None:
    """By SQLite's result code: https://sqlite.org/rescode.html."""
    code = _primary_code(error)
    if code is None:
        if isinstance(_original(error), OverflowError | UnicodeEncodeError | sqlite3.DataError):
            return errors.Invalid("A value does not fit its column.")
        return None
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return errors.Transient("Another connection holds the lock.")
        case sqlite3.SQLITE_INTERRUPT:
            return errors.TimedOut()
        case sqlite3.SQLITE_FULL:
            return errors.Full()
        case sqlite3.SQLITE_READONLY:
            return errors.ReadOnly()
        case sqlite3.SQLITE_CONSTRAINT:
            return _constraint(_original(error))
        case sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_MISMATCH | sqlite3.SQLITE_RANGE:
            return errors.Invalid("A value does not fit its column.")
        case sqlite3.SQLITE_NOTADB:
            return errors.Gone("The database file is not an SQLite database.")
        case sqlite3.SQLITE_CANTOPEN:
            return errors.Gone("The database file cannot be opened.")
        case sqlite3.SQLITE_CORRUPT:
            return errors.Gone("The database file is damaged.")
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH | sqlite3.SQLITE_PROTOCOL:
            return errors.Gone("The database file cannot be read or written.")
        case sqlite3.SQLITE_ERROR if str(_original(error)).startswith(("no such table", "no such column")):
            return errors.Outdated()
    return None


def _constraint(error: BaseException) -> errors.DatabaseError:
    match getattr(error, "sqlite_errorcode", None):
        case sqlite3.SQLITE_CONSTRAINT_TRIGGER if str(error) == REFUSAL:
            return errors.Moved(REFUSAL)
        case sqlite3.SQLITE_CONSTRAINT_UNIQUE | sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY | sqlite3.SQLITE_CONSTRAINT_ROWID:
            return errors.Conflict("A record with the same key exists.")
        case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            return errors.Conflict("Another record that this one refers to, or that refers to it, stands in the way.")
    return errors.Invalid("A value breaks a rule of its column.")


def _original(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _primary_code(error: BaseException) -> int | None:
    code = getattr(_original(error), "sqlite_errorcode", None)
    return None if code is None else code & 0xFF

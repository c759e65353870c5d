"""MariaDB and MySQL 8, through asyncmy. What is said of MySQL here holds for both, unless one is named."""

import asyncio
import contextlib
import datetime as dt
import logging
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncmy
import sqlalchemy as sa
from asyncmy.cursors import Cursor, SSCursor
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from project.database import errors
from project.database.backends import PooledReads, open_session
from project.database.connections import watch_silence
from project.database.dialects import Ordering, Position
from project.database.dialects.mysql.contents import MySQLContents
from project.database.dialects.mysql.switching import MOVED, MySQLSwitching
from project.database.pools import CONNECT_SECONDS, PATIENCE, Pool
from project.database.sessions import Session
from project.database.statements import Row
from project.database.switching import COORDINATOR_SILENCE, GATE, REFUSAL, WRITER_SILENCE
from project.database.writes import PooledWrites, S, T, Work
from project.times import utc_texts

name = "mysql"
title = "MySQL/MariaDB"
schemes = frozenset({"mysql", "mysql2", "mariadb"})
embedded = False
tls = "ssl_mode=verify_identity&ssl_ca=FILE"
client_package = "mariadb-client"
ddl_rolls_back = False
switching = MySQLSwitching()
contents = MySQLContents()

logging.getLogger(asyncmy.__name__).setLevel(logging.ERROR)  # it warns of each note that the server makes

MIGRATION_PATIENCE = 60
"""Seconds that a migration waits for another one to end."""
STATEMENTS = 100
"""How many statements a connection keeps prepared: a server has room for 16,382 of all connections."""
LONGEST_VARCHAR = 4000
"""Characters up to which text is kept in the row, of which a row holds 65,535 bytes."""
LONGEST_NAME = 64
"""Characters of an identifier: names that are longer were cut when they were created."""
SENDING_SECONDS = 600
"""How long the server waits for a client of a snapshot who does not take the rows it asked for."""
RECEIVED_BYTES = 256 * 1024
"""What the system may receive of a long result before the driver takes it; by itself it would be megabytes."""
INSERT_BYTES = 1_000_000
"""The size of one INSERT of many rows; the least that any server takes is 4 MiB."""


def text(length: int) -> TypeEngine[Any]:
    return mysql.VARCHAR(length) if length <= LONGEST_VARCHAR else mysql.LONGTEXT()


def blob() -> TypeEngine[Any]:
    return mysql.LONGBLOB()


def timestamp() -> TypeEngine[Any]:
    return mysql.DATETIME(fsp=6)


def to_driver_time(moment: dt.datetime) -> dt.datetime:
    return moment.replace(tzinfo=None)


times_from_driver_to_text = utc_texts


def type_code(column_type: TypeEngine[Any]) -> None:
    return None


@compiles(CreateTable, name)
def _create_table(element: CreateTable, compiler: Any, **options: Any) -> str:
    """Every table compares its text by code point. Where no server was asked yet, it is taken to be MariaDB."""
    is_mysql = compiler.dialect.server_version_info is not None and not compiler.dialect.is_mariadb
    collation = "utf8mb4_0900_bin" if is_mysql else "utf8mb4_nopad_bin"
    statement: str = compiler.visit_create_table(element, **options)
    return f"{statement.rstrip()} ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {collation}\n\n"


_OPTIONS = frozenset(
    {"ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "ssl_cipher", "unix_socket", "connect_timeout", "read_default_file"}
)
"""What a URL may set."""
_SPELLINGS = {
    "ssl": "ssl_mode",
    "sslmode": "ssl_mode",
    "tls": "ssl_mode",
    "sslca": "ssl_ca",
    "sslcert": "ssl_cert",
    "sslkey": "ssl_key",
    "socket": "unix_socket",
}
_SSL_MODES = {
    **dict.fromkeys(("true", "1", "on", "require", "required"), "required"),
    **dict.fromkeys(("false", "0", "off", "disable", "disabled"), "disabled"),
    **dict.fromkeys(("verify_ca",), "verify_ca"),
    **dict.fromkeys(("verify_full", "verify_identity"), "verify_identity"),
}
_IMPLIED = {"charset": {"utf8", "utf8mb4"}, "use_unicode": {"1", "true"}, "binary_prefix": {"true"}}


def normalise(url: URL) -> URL:
    if not url.database:
        raise ValueError("The URL names no database: it ends with one, as in mysql://user@host/registrar.")
    query: dict[str, str] = {}
    for given, value in url.query.items():
        option = given.lower().replace("-", "_")
        option = _SPELLINGS.get(option, option)
        if not isinstance(value, str):
            raise ValueError(f"The database URL gives {given} more than once.")
        if value.lower() in _IMPLIED.get(option, ()):
            continue
        if option == "ssl_check_hostname":
            option, value = "ssl_mode", "verify_identity" if value.lower() in ("true", "1") else "verify_ca"
        if option not in _OPTIONS:
            raise ValueError(
                f"The database URL has an option that {title} is not given here, {given}: remove it, or use one of "
                f"{', '.join(sorted(_OPTIONS))}."
            )
        if option == "connect_timeout" and not (value.isdecimal() and int(value)):
            raise ValueError(f"The database URL sets {given} to {value}: it is a whole number of seconds.")
        if option == "ssl_mode":
            mode = _SSL_MODES.get(value.lower().replace("-", "_"))
            if mode is None:
                raise ValueError(
                    f"The database URL sets {given} to {value}: it is one of disabled, required, verify_ca and "
                    "verify_identity."
                )
            value = mode
        query[option] = value
    try:
        _tls(query)
    except OSError as error:
        raise ValueError(f"The database URL names a certificate or key that cannot be used: {error}.") from None
    return url.set(drivername="mysql+asyncmy", query=query)


def _tls(query: dict[str, str]) -> ssl.SSLContext | None:
    mode = query.get("ssl_mode") or ("verify_ca" if "ssl_ca" in query else "")
    if mode in ("", "disabled") and "ssl_cert" not in query:
        return None
    context = ssl.create_default_context(cafile=query.get("ssl_ca"))
    context.check_hostname = mode == "verify_identity"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
    if "ssl_cert" in query:
        context.load_cert_chain(query["ssl_cert"], query.get("ssl_key"))
    if "ssl_cipher" in query:
        context.set_ciphers(query["ssl_cipher"])
    return context


def hosts_in_clear(url: URL) -> list[str]:
    options = {option: str(value) for option, value in url.query.items()}
    is_safe = "unix_socket" in options or _tls(options) is not None
    return [] if is_safe or url.host is None else [url.host]


def after_given_ids(column: sa.Column[Any]) -> None:
    """AUTO_INCREMENT goes on from the highest id, whoever gave it."""


def open_file(path: Path) -> None:
    return None


def shell(url: URL) -> tuple[list[str], dict[str, str]]:
    program = "mariadb" if shutil.which("mariadb") or not shutil.which("mysql") else "mysql"
    options = {"host": url.host, "port": url.port, "user": url.username, "socket": url.query.get("unix_socket")}
    options |= {f"ssl-{key}": url.query.get(f"ssl_{key}") for key in ("ca", "cert", "key", "cipher")}
    command = [program, *(f"--{option}={value}" for option, value in options.items() if value is not None)]
    if "unix_socket" not in url.query:
        command.append("--protocol=tcp")
    command += ["--default-character-set=utf8mb4", str(url.database)]
    return command, {"MYSQL_PWD": url.password} if url.password else {}


async def server_version(connection: AsyncConnection) -> str:
    version = str(await connection.scalar(sa.text("SELECT VERSION()")))
    return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}"


def estimated_rows(table: sa.FromClause) -> sa.Select[Any]:
    catalogue = sa.table(
        "tables", *map(sa.column, ("table_schema", "table_name", "table_rows")), schema="information_schema"
    )
    is_it = (catalogue.c.table_schema == sa.func.database(), catalogue.c.table_name == str(table))
    return sa.select(catalogue.c.table_rows).where(*is_it)


async def hazards(connection: AsyncConnection) -> list[str]:
    rows = await connection.execute(sa.text("SHOW GLOBAL VARIABLES"))
    value = {row[0]: str(row[1]).upper() for row in rows}
    found = []
    if value["innodb_flush_log_at_trx_commit"] != "1":
        found.append("innodb_flush_log_at_trx_commit is not 1: a crash can lose writes that were answered. Set it so.")
    if value["log_bin"] == "ON" and value["sync_binlog"] != "1":
        found.append("sync_binlog is not 1: after a crash replicas can lack writes that were answered. Set it so.")
    if value["innodb_doublewrite"] in ("OFF", "0"):
        found.append("innodb_doublewrite is off: a power cut can destroy the whole database. Turn it on.")
    return found


@contextlib.asynccontextmanager
async def migrating(connection: AsyncConnection) -> AsyncIterator[None]:
    """Whoever waits for a table makes all who come after wait too: not for long."""
    await connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {int(PATIENCE)}")
    lock = "CONCAT(LEFT(DATABASE(), 40), ' migration')"
    locked = await connection.exec_driver_sql(f"SELECT GET_LOCK({lock}, {MIGRATION_PATIENCE})")
    if locked.scalar() != 1:
        raise errors.Busy("Another migration is running.")
    try:
        yield
    finally:
        with contextlib.suppress(Exception):
            await connection.exec_driver_sql(f"SELECT RELEASE_LOCK({lock})")


def page(
    select: sa.Select[Any], ordering: Ordering, position: Position, limit: sa.BindParameter[int]
) -> sa.Select[Any]:
    """Written out, since neither MariaDB nor MySQL finds the place of a row value in an index; and with the index
    named, since they prefer those on which they compare for equality alone.
    """
    select = ordering.hold(select)
    if position is not None:
        alternatives = []
        for place in range(len(position)):
            same = [column == bound for column, bound in zip(ordering.columns[:place], position[:place], strict=True)]
            alternatives.append(sa.and_(*same, ordering.beyond(place, position)))
        select = select.where(sa.or_(*alternatives))
    if ordering.index_name is not None and len(ordering.index_name) <= LONGEST_NAME:
        column: Any = ordering.columns[0]
        select = select.with_hint(column.table, f"FORCE INDEX ({ordering.index_name})", name)
    return ordering.sort(select).limit(limit)


def create_backend(url: URL, pool_size: int, statement_timeout: float) -> "MySQLBackend":
    return MySQLBackend(url, pool_size, statement_timeout)


_SQL_MODE = "STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO"


_WRITER = f"/*M!100300 idle_transaction_timeout = {WRITER_SILENCE}, */ autocommit = 0"
"""MySQL has no such limit, and takes the first part for a comment."""


class MySQLBackend(PooledReads):
    def __init__(self, url: URL, pool_size: int, statement_timeout: float) -> None:
        options = {option: str(value) for option, value in url.query.items()}
        self._connect_seconds = connect_seconds = float(options.get("connect_timeout", CONNECT_SECONDS))
        self._connect_args: dict[str, Any] = {
            "connect_timeout": connect_seconds,
            "password": (url.password or "").encode(),
            "ssl": _tls(options),
            "autocommit": True,
            "init_command": f"SET SESSION sql_mode = '{_SQL_MODE}', time_zone = '+00:00'",
            "stmt_cache_size": STATEMENTS,
            **{option: options[option] for option in ("unix_socket", "read_default_file") if option in options},
        }
        self._url = url.set(query={}, password=None)
        self.engine = self._create_engine()
        self._writing = self._create_engine()
        # Their transactions are ours, without autocommit: each begins with its first statement.
        self._writing.dialect.do_rollback = lambda dbapi_connection: None  # type: ignore[method-assign]
        sa.event.listen(self._writing.sync_engine, "handle_error", _note_deadlock)

        def pool(engine: AsyncEngine, size: int, *settings: str, seconds: float = 0) -> Pool:
            return Pool(lambda: _session(engine, settings, seconds), size, connect_seconds, is_full)

        super().__init__(
            pool(
                self.engine,
                pool_size,
                "TRANSACTION ISOLATION LEVEL READ COMMITTED",
                "TRANSACTION READ ONLY",
                seconds=statement_timeout,
            ),
            pool(
                self.engine,
                max(2, pool_size // 2),
                "TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                f"net_write_timeout = {SENDING_SECONDS}",
            ),
            2 * statement_timeout + PATIENCE,
        )
        self._writes = PooledWrites(
            pool(self._writing, pool_size, "TRANSACTION ISOLATION LEVEL READ COMMITTED", _WRITER)
        )

    def _create_engine(self) -> AsyncEngine:
        return create_async_engine(
            self._url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            connect_args=self._connect_args,
        )

    async def write(self, service: type[S], work: Work[S, T], *, together: bool) -> T:
        return await self._writes.write(service, work, together=together)

    async def link(self) -> Session:
        async with asyncio.timeout(self._connect_seconds):
            return await _session(self.engine, ("TRANSACTION ISOLATION LEVEL READ COMMITTED",), 0, MySQLLink)

    async def warm(self) -> None:
        await super().warm()
        await self._writes.warm()

    async def retire(self) -> None:
        await self._writes.rest()
        await super().retire()

    async def close(self) -> None:
        await self._writes.close()
        await super().close()
        await self._writing.dispose()
        await self.engine.dispose()


async def _session(
    engine: AsyncEngine, settings: Sequence[str], seconds: float, kind: "type[MySQLConnection] | None" = None
) -> Session:
    """`seconds` is what a statement may take, 0 for any time."""

    async def hold(alchemy: AsyncConnection, driver: Any) -> MySQLConnection:
        watch_silence(driver._transport)
        limit = _time_limit(driver, seconds)
        patience = f"innodb_lock_wait_timeout = {int(PATIENCE)}, lock_wait_timeout = {int(PATIENCE)}"
        for setting in (*settings, limit, patience):
            await driver.query(f"SET SESSION {setting}")
        cursor = driver.cursor()
        await cursor.execute("SELECT @@auto_increment_increment")
        held = (kind or MySQLConnection)(alchemy, driver, (await cursor.fetchall())[0][0])
        alchemy.sync_connection.info["held"] = held  # type: ignore[union-attr]
        return held

    return await open_session(engine, hold)


def _time_limit(driver: Any, seconds: float) -> str:
    if "MariaDB" in driver.get_server_info():
        return f"max_statement_time = {seconds}"
    return f"max_execution_time = {round(seconds * 1000)}"


def _note_deadlock(context: sa.engine.ExceptionContext) -> None:
    if context.connection is not None and (held := context.connection.info.get("held")) is not None:
        held.note(context.original_exception)


class MySQLConnection:
    """`id_step` is how far apart the ids of rows are that one statement inserts."""

    looks_at_gate = False

    def __init__(self, alchemy: AsyncConnection, driver: Any, id_step: int) -> None:
        self.alchemy = alchemy
        self.broken = False
        self._driver = driver
        self._id_step = id_step
        self._lost = False
        self._unread = False
        self._undone: BaseException | None = None

    @property
    def is_lost(self) -> bool:
        return self._lost or bool(self._driver._stream_broken)

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        rows: Sequence[Row] = await (await self._execute(sql, parameters)).fetchall()
        return rows

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        cursor: Any = await self._execute(sql, parameters)
        return int(cursor.rowcount)

    async def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        with self._noting():
            await self._driver.cursor().executemany(sql, [tuple(row) for row in parameters])

    async def insert(self, sql: str, parameters: Sequence[Any]) -> int:
        new_id: int = (await self._execute(sql, parameters)).lastrowid
        return new_id

    async def insert_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> list[int]:
        """Every INSERT of which the server knows the number of rows gets ids in a row, whoever else inserts meanwhile:
        https://dev.mysql.com/doc/refman/8.4/en/innodb-auto-increment-handling.html.
        """
        head, _, values = sql.partition(" VALUES ")
        ids: list[int] = []
        cursor: Cursor = self._driver.cursor()
        rows = [cursor.mogrify(values, tuple(row)) for row in parameters]
        with self._noting():
            for together in _pieces(rows, INSERT_BYTES):
                await cursor.execute(f"{head} VALUES {', '.join(together)}")
                ids.extend(cursor.lastrowid + self._id_step * place for place in range(len(together)))
        return ids

    async def chunks(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        """The driver would go on receiving rows while nobody takes them, and keep them all.

        Whatever the system has received when it looks, it makes rows of at once, which take several times the room.
        """
        cursor: SSCursor = self._driver.cursor(SSCursor)
        transport = self._driver._transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        await cursor.execute(sql, tuple(parameters))
        self._unread = True
        while rows := await cursor.fetchmany(size):
            transport.pause_reading()
            try:
                yield rows
            finally:
                if not transport.is_closing():
                    transport.resume_reading()
        self._unread = False

    async def begin(self) -> None:
        """Without autocommit the first statement does it."""

    async def begin_snapshot(self, seconds: float | None) -> None:
        await self._driver.query(f"SET SESSION {_time_limit(self._driver, seconds or 0)}")
        await self._driver.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    async def commit(self) -> None:
        if self._undone is not None:
            raise errors.Transient("An error of a statement had undone the whole transaction.") from self._undone
        if self._unread:  # which only a snapshot leaves: there is nothing to commit, and the rest may be long
            self.broken = True
            return
        try:
            await self._driver.commit()
        except Exception as error:
            if self.is_lost or _code(error) in _UNKNOWN_IN_COMMIT:
                raise errors.OutcomeUnknown from error
            raise

    async def rollback(self) -> None:
        if self._unread:
            raise errors.Gone("There are rows left to be read first.")
        self._undone = None
        await self._driver.rollback()

    def abort(self) -> None:
        self._lost = True
        self._driver.close()

    async def close(self) -> None:
        if self.broken or self.is_lost:
            self.abort()
        with contextlib.suppress(Exception):
            await self.alchemy.close()

    def note(self, error: BaseException) -> None:
        """Keep in mind what an error of a statement did to the transaction and to the connection.

        Raises Transient for one that has nothing to do with the statement.
        """
        code = _code(error)
        if code == 1146 and GATE in str(error) and not self.looks_at_gate:
            # MariaDB 10.11 says so for good of a statement that it prepared just when a trigger was made.
            self.broken = True
            raise errors.Transient("A trigger's table was overlooked.") from error
        if code in _DEADLOCK:
            self._undone = error
        elif isinstance(error, asyncmy.errors.Error) and (code in _LOST or code < 1000 or 2000 <= code < 3000):
            self._lost = True

    async def _execute(self, sql: str, parameters: Sequence[Any]) -> Cursor:
        cursor: Cursor = self._driver.cursor()
        try:
            await cursor.execute(sql, tuple(parameters))
        except asyncmy.errors.Error as error:
            self.note(error)
            raise
        except ValueError as error:  # a number that the driver cannot send
            raise asyncmy.errors.DataError(1264, str(error)) from error
        return cursor

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except asyncmy.errors.Error as error:
            self.note(error)
            raise


class MySQLLink(MySQLConnection):
    """Each statement stands for itself until a transaction is begun."""

    looks_at_gate = True

    async def begin(self) -> None:
        await self._driver.query(
            f"SET SESSION /*M!100300 idle_transaction_timeout = {COORDINATOR_SILENCE}, */ autocommit = 1"
        )
        await self._driver.query("START TRANSACTION")

    async def begin_snapshot(self, seconds: float | None) -> None:
        await self._driver.query("SET SESSION /*M!100300 idle_transaction_timeout = 0, */ autocommit = 1")
        await self._driver.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await self._driver.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def _pieces(rows: Sequence[str], most: int) -> Iterator[list[str]]:
    """The rows in lists of at most `most` characters, or of one row."""
    piece: list[str] = []
    size = 0
    for row in rows:
        if piece and size + len(row) > most:
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += len(row)
    if piece:
        yield piece


_DEADLOCK = frozenset({1213})
_LOST = frozenset({1053, 1158, 1159, 1160, 1161, 1927, 4031})
"""Errors with which the server ends the connection."""
_UNKNOWN_IN_COMMIT = _LOST | {1180}


def is_full(error: BaseException) -> bool:
    return _code(error) in (1040, 1203, 1226)


def classify(error: BaseException) -> errors.DatabaseError | None:
    """By error number: https://mariadb.com/kb/en/mariadb-error-codes/ and MySQL's error message reference.

    Numbers from 2000 to 2999 are the driver's.
    """
    code = _code(error)
    if code == MOVED:
        return errors.Moved(REFUSAL)
    match code:
        case 1213 | 1020 | 1412 | 1615 | 3101:
            return errors.Transient("Another transaction stood in the way.")
        case 1205 | 1206 | 1637 | 3572:
            return errors.Busy()
        case 1969 | 3024 | 1317 | 1028:
            return errors.TimedOut()
        case 1021 | 1114 | 1041:
            return errors.Full()
        case 1290 | 1792 | 1836 | 3100:
            return errors.ReadOnly()
        case 1146 | 1054 | 1176:
            return errors.Outdated()
        case 1062 | 1022 | 1169 | 1586:
            return errors.Conflict("A record with the same key exists.")
        case 1216 | 1217 | 1451 | 1452:
            return errors.Conflict("Another record that this one refers to, or that refers to it, stands in the way.")
        case 1048 | 1364 | 4025 | 3819:
            return errors.Invalid("A value breaks a rule of its column.")
        case 1118 | 1153 | 1264 | 1265 | 1292 | 1366 | 1406 | 1441 | 1690 | 3988:
            return errors.Invalid("A value does not fit its column.")
        case 1044 | 1045 | 1130 | 1698 | 3118 | 2059:
            return errors.Gone("The database refuses the user or the password that its URL gives.")
        case 1142 | 1143 | 1227 | 1370 | 1419:
            return errors.Denied()
        case 1049:
            return errors.Gone("There is no database of the name that the URL gives: create it.")
        case 1040 | 1203 | 1226 | 1129:
            return errors.Gone("The database has no connection left.")
        case 1030 | 1194 | 1195 | 1712:
            return errors.Gone("The database cannot read or write its files.")
    if code in _LOST or 2000 <= code < 3000:
        return errors.Gone()
    match _original(error):
        case UnicodeEncodeError():
            return errors.Invalid("A value does not fit its column.")
        case OSError() | asyncmy.errors.InterfaceError():
            return errors.Gone()
    return None


def _original(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _code(error: BaseException) -> int:
    original = _original(error)
    if isinstance(original, asyncmy.errors.MySQLError) and original.args and isinstance(original.args[0], int):
        return original.args[0]
    return 0

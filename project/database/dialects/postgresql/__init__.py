"""PostgreSQL, through asyncpg."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from project.database import errors
from project.database.backends import PooledReads, open_session
from project.database.connections import watch_silence
from project.database.dialects import Ordering, Position
from project.database.dialects.postgresql.contents import PostgreSQLContents
from project.database.dialects.postgresql.switching import MOVED, PostgreSQLSwitching
from project.database.pools import CONNECT_SECONDS, PATIENCE, Pool
from project.database.sessions import Session
from project.database.statements import Row
from project.database.switching import REFUSAL, WRITER_SILENCE
from project.database.writes import PooledWrites, S, T, Work
from project.times import utc_texts

name = "postgresql"
title = "PostgreSQL"
schemes = frozenset({"postgresql", "postgres", "pgsql"})
embedded = False
tls = "sslmode=verify-full&sslrootcert=FILE"
client_package = "postgresql-client"
ddl_rolls_back = True
switching = PostgreSQLSwitching()
contents = PostgreSQLContents()

MIGRATION_PATIENCE = 60.0
"""Seconds that a migration waits for another one to end."""
STATEMENTS = 256
"""How many statements a connection keeps prepared."""


def text(length: int) -> TypeEngine[Any]:
    return sa.String(length, collation="C")


def blob() -> TypeEngine[Any]:
    return postgresql.BYTEA()


def timestamp() -> TypeEngine[Any]:
    return sa.DateTime(timezone=True)


def to_driver_time(moment: dt.datetime) -> dt.datetime:
    return moment


times_from_driver_to_text = utc_texts


def type_code(column_type: TypeEngine[Any]) -> int | None:
    return 1700 if isinstance(column_type, sa.Numeric) else None


_OPTIONS = {
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslpassword": None,
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "host": "PGHOST",
    "port": "PGPORT",
    "passfile": "PGPASSFILE",
    "krbsrvname": "PGKRBSRVNAME",
    "gsslib": "PGGSSLIB",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "application_name": "PGAPPNAME",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "statement_cache_size": None,
}
"""What a URL may set, as the database's own tools spell it, and the variable that tells psql."""

_SPELLINGS = {"ssl": "sslmode", "timeout": "connect_timeout"}
_SSL_MODES = {
    **dict.fromkeys(("true", "1", "on"), "require"),
    **dict.fromkeys(("false", "0", "off"), "disable"),
    **{mode: mode for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
}
_IMPLIED = {"client_encoding": {"utf8", "utf-8"}, "charset": {"utf8", "utf-8"}}


def normalise(url: URL) -> URL:
    if not url.database:
        raise ValueError(f"The URL names no database: it ends with one, as in {title.lower()}://user@host/registrar.")
    query: dict[str, str] = {}
    for given, value in url.query.items():
        option = _SPELLINGS.get(given.lower(), given.lower())
        if not isinstance(value, str):
            raise ValueError(f"The database URL gives {given} more than once.")
        if value.lower() in _IMPLIED.get(option, ()):
            continue
        if option not in _OPTIONS:
            raise ValueError(
                f"The database URL has an option that {title} is not given here, {given}: remove it, or use one of "
                f"{', '.join(_OPTIONS)}."
            )
        if option == "connect_timeout" and not (value.isdecimal() and int(value)):
            raise ValueError(f"The database URL sets {given} to {value}: it is a whole number of seconds.")
        if option == "statement_cache_size" and not value.isdecimal():
            raise ValueError(f"The database URL sets {given} to {value}: it is a whole number.")
        if option == "sslmode":
            value = _SSL_MODES.get(value.lower(), value.lower())
            if value not in _SSL_MODES.values():
                modes = ", ".join(sorted(set(_SSL_MODES.values())))
                raise ValueError(f"The database URL sets {given} to {value}: it is one of {modes}.")
        if option in ("sslcert", "sslkey", "sslrootcert", "sslcrl") and not Path(value).is_file():
            raise ValueError(f"The database URL names a certificate or key that is not there: {value}.")
        query[option] = value
    return url.set(drivername="postgresql+asyncpg", query=query)


def hosts_in_clear(url: URL) -> list[str]:
    if url.query.get("sslmode") in ("require", "verify-ca", "verify-full"):
        return []
    hosts = str(url.host or url.query.get("host", "")).split(",")
    return [host for host in hosts if host and not host.startswith("/")]


def after_given_ids(column: sa.Column[Any]) -> sa.Select[Any]:
    sequence = sa.func.pg_get_serial_sequence(column.table.name, column.name)
    highest = sa.select(sa.func.max(column)).scalar_subquery()
    return sa.select(sa.func.setval(sequence, sa.func.greatest(sa.func.nextval(sequence), highest)))


def open_file(path: Path) -> None:
    return None


def shell(url: URL) -> tuple[list[str], dict[str, str]]:
    variables: dict[str, Any] = {
        "PGHOST": url.host, "PGPORT": url.port, "PGUSER": url.username, "PGPASSWORD": url.password
    }  # fmt: skip
    for option, value in url.query.items():
        if (variable := _OPTIONS[option]) is not None:
            variables[variable] = value
    return ["psql", str(url.database)], {key: str(value) for key, value in variables.items() if value is not None}


async def server_version(connection: AsyncConnection) -> str:
    return str(await connection.scalar(sa.text("SHOW server_version")))


def estimated_rows(table: sa.FromClause) -> sa.Select[Any]:
    catalogue = sa.table("pg_class", sa.column("oid"), sa.column("reltuples"))
    rows = sa.func.nullif(sa.cast(catalogue.c.reltuples, sa.BigInteger()), -1)  # never looked at
    return sa.select(rows).where(catalogue.c.oid == sa.func.to_regclass(str(table)))


async def hazards(connection: AsyncConnection) -> list[str]:
    found = []
    for setting, danger in {
        "fsync": "a power cut can destroy the whole database",
        "full_page_writes": "a power cut can leave pages that are half written",
        "synchronous_commit": "a crash can lose writes that were answered",
    }.items():
        if await connection.scalar(sa.text(f"SHOW {setting}")) == "off":
            found.append(f"PostgreSQL runs with {setting} = off: {danger}. Turn it on.")
    return found


@contextlib.asynccontextmanager
async def migrating(connection: AsyncConnection) -> AsyncIterator[None]:
    await connection.exec_driver_sql("BEGIN")
    try:
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{MIGRATION_PATIENCE}s'")
        await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('registrar migration'))")
        # Whoever waits for a table makes all who come after wait too.
        await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
        yield
        await connection.exec_driver_sql("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):
            await connection.exec_driver_sql("ROLLBACK")
        raise


def page(
    select: sa.Select[Any], ordering: Ordering, position: Position, limit: sa.BindParameter[int]
) -> sa.Select[Any]:
    """Where an index has the order, a column that is held to one value is said to be neither less nor more than that,
    and to order the rows first: no other index will do then. Of equality the planner knows that it orders nothing, and
    would rather walk the ids, past all the rows of others, until it has met enough. The bound on the side of the
    position is left to the position: of two, the index may start at the wider one, and walk all that lies between.
    """
    if ordering.index_name is None:
        select = ordering.hold(select)
    else:
        for column, value in ordering.held:
            if position is None or ordering.descending:
                select = select.where(column >= value)
            if position is None or not ordering.descending:
                select = select.where(column <= value)
        held_columns, held_values = zip(*ordering.held, strict=True) if ordering.held else ((), ())
        ordering = ordering._replace(columns=[*held_columns, *ordering.columns])
        position = None if position is None else [*held_values, *position]
    if position is not None:
        row, bound = sa.tuple_(*ordering.columns), sa.tuple_(*position)
        select = select.where(row < bound if ordering.descending else row > bound)
    return ordering.sort(select).limit(limit)


def create_backend(url: URL, pool_size: int, statement_timeout: float) -> "PostgreSQLBackend":
    return PostgreSQLBackend(url, pool_size, statement_timeout)


class PostgreSQLBackend(PooledReads):
    def __init__(self, url: URL, pool_size: int, statement_timeout: float) -> None:
        options = dict(url.query)
        connect_seconds = float(str(options.pop("connect_timeout", CONNECT_SECONDS)))
        statements = int(str(options.pop("statement_cache_size", STATEMENTS)))
        options.setdefault("application_name", "registrar")
        self.engine = create_async_engine(
            url.set(query={}),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            connect_args={
                "dsn": f"postgresql://?{urlencode(options)}",
                "timeout": connect_seconds,
                "statement_cache_size": statements,
                "prepared_statement_cache_size": min(statements, 100),
                "max_cached_statement_lifetime": 0,
            },
        )

        def pool(size: int, **settings: str) -> Pool:
            return Pool(lambda: self._session(settings), size, connect_seconds, is_full)

        patience = f"{PATIENCE}s"
        super().__init__(
            pool(
                pool_size,
                statement_timeout=f"{statement_timeout}s",
                lock_timeout=patience,
                default_transaction_read_only="on",
            ),
            pool(max(2, pool_size // 2), lock_timeout=patience),
            2 * statement_timeout + PATIENCE,
        )
        self._writes = PooledWrites(
            pool(
                pool_size,
                lock_timeout=patience,
                default_transaction_isolation="read committed",
                idle_in_transaction_session_timeout=f"{WRITER_SILENCE}s",
            )
        )

    async def write(self, service: type[S], work: Work[S, T], *, together: bool) -> T:
        return await self._writes.write(service, work, together=together)

    async def link(self) -> Session:
        unlimited = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return await self._session({**dict.fromkeys(unlimited, "0"), "default_transaction_isolation": "read committed"})

    async def warm(self) -> None:
        await super().warm()
        await self._writes.warm()

    async def retire(self) -> None:
        await self._writes.rest()
        await super().retire()

    async def close(self) -> None:
        await self._writes.close()
        await super().close()
        await self.engine.dispose()

    async def _session(self, settings: dict[str, str]) -> Session:
        async def hold(alchemy: AsyncConnection, driver: Any) -> PostgreSQLConnection:
            encoding = driver.get_settings().server_encoding
            if encoding != "UTF8":
                raise errors.Gone(
                    f"The database keeps text as {encoding}, which has no room for every name: create it with "
                    "ENCODING 'UTF8'."
                )
            watch_silence(driver._transport)
            # Compiling a query to machine code takes longer than any of ours does.
            chosen = {"jit": "off", "timezone": "UTC", **settings}
            await driver.execute("; ".join(f"SET {setting} = '{value}'" for setting, value in chosen.items()))
            return PostgreSQLConnection(alchemy, driver)

        return await open_session(self.engine, hold)


class PostgreSQLConnection:
    def __init__(self, alchemy: AsyncConnection, driver: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.alchemy = alchemy
        self.broken = False
        self._driver = driver

    @property
    def is_lost(self) -> bool:
        return self._driver.is_closed()

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        rows: Any = await self._driver.fetch(sql, *parameters)
        return rows  # type: ignore[no-any-return]

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        status = await self._driver.execute(sql, *parameters)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0

    async def execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        await self._driver.executemany(sql, parameters)

    async def insert(self, sql: str, parameters: Sequence[Any]) -> int:
        rows = await self._driver.fetch(sql, *parameters)
        new_id: int = rows[0][0]
        return new_id

    async def insert_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> list[int]:
        return [row[0] for row in await self._driver.fetchmany(sql, parameters)]

    async def chunks(self, sql: str, parameters: Sequence[Any], size: int) -> AsyncIterator[Sequence[Row]]:
        cursor: Any = await self._driver.cursor(sql, *parameters)
        while rows := await cursor.fetch(size):
            yield rows

    async def begin(self) -> None:
        await self._driver.execute("BEGIN")

    async def begin_snapshot(self, seconds: float | None) -> None:
        await self._driver.execute(
            f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = '{seconds or 0}s'"
        )

    async def commit(self) -> None:
        """Raises RuntimeError where there was nothing left to commit, because an error of a statement was swallowed."""
        try:
            status = await self._driver.execute("COMMIT")
        except Exception as error:
            if self.is_lost or _code(error).startswith(("08", "57P")):
                raise errors.OutcomeUnknown from error
            raise
        if status != "COMMIT":
            raise RuntimeError(errors.UNDONE)

    async def rollback(self) -> None:
        if self._driver.is_in_transaction():
            await self._driver.execute("ROLLBACK")

    def abort(self) -> None:
        self._driver.terminate()

    async def close(self) -> None:
        if self.broken:
            self.abort()
        with contextlib.suppress(Exception):
            await self.alchemy.close()


def is_full(error: BaseException) -> bool:
    return _code(error) == "53300"


def classify(error: BaseException) -> errors.DatabaseError | None:
    """By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""
    code = _code(error)
    if code == MOVED:
        return errors.Moved(REFUSAL)
    match code:
        case "57014" | "25P04":
            return errors.TimedOut()
        case "25P03":
            return errors.Lost("The server has ended a transaction in which nothing was said.")
        case "55P03":
            return errors.Busy()
        case "53100":
            return errors.Full()
        case "25006":
            return errors.ReadOnly()
        case "42P01" | "42703":
            return errors.Outdated()
        case "42501":
            return errors.Denied()
        case "3D000":
            return errors.Gone("There is no database of the name that the URL gives: create it.")
        case "53300":
            return errors.Gone("The database has no connection left.")
        case "55000":
            return errors.Gone("The database takes no connections at the moment.")
        case "23505" | "23P01":
            return errors.Conflict("A record with the same key exists.")
        case "23503" | "23001":
            return errors.Conflict("Another record that this one refers to, or that refers to it, stands in the way.")
        case "XX001" | "XX002":
            return errors.Gone("The database is damaged.")
    match code[:2]:
        case "40":
            return errors.Transient("Another transaction stood in the way.")
        case "22" | "54":
            return errors.Invalid("A value does not fit its column.")
        case "23":
            return errors.Invalid("A value breaks a rule of its column.")
        case "28":
            return errors.Gone("The database refuses the user or the password that its URL gives.")
        case "08" | "53" | "57" | "58":
            return errors.Gone()
    match _original(error):
        case asyncpg.InvalidCachedStatementError() | asyncpg.OutdatedSchemaCacheError():
            return errors.Transient("A table was changed meanwhile.")
        case asyncpg.DataError() | UnicodeEncodeError():
            return errors.Invalid("A value does not fit its column.")
        case asyncpg.ClientConfigurationError() as problem:
            return errors.Gone(f"The database URL cannot be used: {problem}.")
        case OSError():
            return errors.Gone()
    return None


def _original(error: BaseException) -> BaseException:
    """asyncpg's own error: SQLAlchemy wraps it twice."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def _code(error: BaseException) -> str:
    return getattr(_original(error), "sqlstate", None) or ""

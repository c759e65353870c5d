"""What PostgreSQL does for a switch.

The fence is a trigger that is switched on and off: one that read the gate would read an old one in a transaction that
began before. A trigger before the statement that returns NULL lets it pass.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect

from project.database.errors import Busy
from project.database.pools import PATIENCE
from project.database.sessions import Session
from project.database.statements import Row
from project.database.switching import COORDINATOR_SILENCE, GATE, LOG, REFUSAL, holds_bytes, name_of

MOVED = "RG001"
"""The SQLSTATE with which the fence refuses: a class that nobody else uses."""


SETTLE_SECONDS = 3.0
"""Longer than deadlock_timeout, which is a second unless somebody has set another."""

_END_WHO_HANGS = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user
  AND state = 'active' AND wait_event_type = 'Client' AND state_change < now() - interval '{COORDINATOR_SILENCE}s'
  AND pid IN (SELECT pid FROM pg_locks WHERE relation = '{GATE}'::regclass AND mode = 'RowShareLock' AND granted)
"""
"""Not idle, as the server sees it: it has got a part of a request, or of the rows that one brings, and awaits the rest.
Triggers, which only read the gate, hold another lock of it.
"""

_SILENCE = f"SET LOCAL idle_in_transaction_session_timeout = '{COORDINATOR_SILENCE}s'"


class PostgreSQLSwitching:
    rights = "Let the database user own the tables: ALTER TABLE ... OWNER TO it."

    async def lock_gate(self, session: Session, wait: float, *, shared: bool = False) -> None:
        """Ends whoever holds it and hangs in the middle of a request, which the server would put up with for ever."""
        while True:
            await session.held.begin()
            try:
                await session.held.execute(_SILENCE)
                await _lock(session, wait, f"SELECT 1 FROM {GATE} WHERE id = 1 FOR {'SHARE' if shared else 'UPDATE'}")
                return
            except BaseException as error:
                if not session.held.is_lost:
                    await session.held.rollback()
                if not isinstance(error, Busy) or not await session.held.fetch(_END_WHO_HANGS, ()):
                    raise

    async def guard(self, session: Session, table: sa.Table, wait: float) -> None:
        """Whoever writes a row writes its entry in the log, with the rights of the one who guards the table."""
        schema, name = await _schema(session), _quoted(table.name)
        log = f"{schema}.{_quoted(name_of('log', table))}"
        await _lock(session, wait, f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
        await session.held.execute(_functions(schema))
        await session.held.execute(_log_function(log, schema, table, session.held.alchemy.dialect))
        there = await _triggers(session, table)
        if "_fence" not in there:
            await session.held.execute(_FENCE.format(table=name, schema=schema))
            await session.held.execute(f"ALTER TABLE {name} DISABLE TRIGGER _fence")
        if "_log" not in there:
            await session.held.execute(
                f"CREATE TRIGGER _log AFTER INSERT OR UPDATE OR DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION {log}()"
            )
        if "_no_truncate" not in there:
            await session.held.execute(
                f"CREATE TRIGGER _no_truncate BEFORE TRUNCATE ON {name} "
                f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}._no_truncate()"
            )

    async def unguard(self, session: Session, table: sa.Table, wait: float) -> None:
        schema, name = await _schema(session), _quoted(table.name)
        if triggers := await _triggers(session, table):
            await _lock(session, wait, f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
            for trigger in triggers:
                await session.held.execute(f"DROP TRIGGER {trigger} ON {name}")
        await session.held.execute(f"DROP FUNCTION IF EXISTS {schema}.{_quoted(name_of('log', table))}()")
        for function in ("_fence", "_no_truncate"):
            used = await session.held.fetch(
                "SELECT 1 FROM pg_trigger WHERE tgfoid = to_regproc($1) LIMIT 1", (f"{schema}.{function}",)
            )
            if not used:
                await session.held.execute(f"DROP FUNCTION IF EXISTS {schema}.{function}()")

    async def settle(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """An autovacuum gives way to who has waited for deadlock_timeout, as for this lock, which no writer minds."""
        names = ", ".join(_quoted(table.name) for table in tables)
        await session.held.begin()
        try:
            await session.held.execute(_SILENCE)
            await _lock(session, SETTLE_SECONDS, f"LOCK TABLE {names} IN SHARE UPDATE EXCLUSIVE MODE")
        finally:
            if not session.held.is_lost:
                await session.held.rollback()

    async def hold_writes(self, session: Session, tables: Sequence[sa.Table], wait: float) -> None:
        """Reads go on. What is read and then committed after this has to be on disk when it is answered.

        The tables are locked as writers take them, who leave their trail last: otherwise each would wait for the other.
        """
        await session.held.execute("SET LOCAL synchronous_commit = on")
        in_order = sorted(tables, key=lambda table: bool(table.info.get("kept")))
        names = ", ".join(_quoted(table.name) for table in in_order)
        await _lock(session, wait, f"LOCK TABLE {names} IN EXCLUSIVE MODE")

    async def fence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """On a table that is not guarded too."""
        schema = await _schema(session)
        await session.held.execute(_functions(schema))
        for table in tables:
            name = _quoted(table.name)
            if "_fence" not in await _triggers(session, table):
                await session.held.execute(_FENCE.format(table=name, schema=schema))
            await session.held.execute(f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER _fence")
        await session.held.execute("SET LOCAL synchronous_commit = on")

    async def unfence(self, session: Session, tables: Sequence[sa.Table]) -> None:
        for table in tables:
            if "_fence" in await _triggers(session, table):
                await session.held.execute(f"ALTER TABLE {_quoted(table.name)} DISABLE TRIGGER _fence")

    async def ignore_foreign_keys(self, session: Session) -> None:
        if (await session.held.fetch("SHOW is_superuser", ()))[0][0] == "on":
            await session.held.execute("SET session_replication_role = replica")

    async def loosen(self, session: Session, tables: Sequence[sa.Table]) -> None:
        """Only a superuser may ignore them."""
        if (await session.held.fetch("SHOW session_replication_role", ()))[0][0] == "replica":
            return
        for key, (table, _) in (await _foreign_keys(session, tables)).items():
            await session.held.execute(f"ALTER TABLE {_quoted(table)} DROP CONSTRAINT IF EXISTS {_quoted(key)}")

    async def tighten(self, session: Session, tables: Sequence[sa.Table]) -> None:
        there = await _foreign_keys(session, tables)
        for table in tables:
            for key in table.foreign_key_constraints:
                if str(key.name) not in there:
                    adding = sa.schema.AddConstraint(key, isolate_from_table=False).compile(
                        dialect=session.held.alchemy.dialect
                    )
                    await session.held.execute(f"{adding} NOT VALID")

    async def validate(self, session: Session, tables: Sequence[sa.Table]) -> None:
        for key, (table, is_valid) in (await _foreign_keys(session, tables)).items():
            if not is_valid:
                await session.held.execute(f"ALTER TABLE {_quoted(table)} VALIDATE CONSTRAINT {_quoted(key)}")

    async def begin_fill(self, session: Session) -> None:
        await session.held.execute(f"UPDATE {GATE} SET filling = true")

    async def end_fill(self, session: Session) -> None:
        await session.held.execute(f"UPDATE {GATE} SET filling = false; SET LOCAL synchronous_commit = on")

    async def bulk_insert(
        self, session: Session, table: sa.Table, columns: Sequence[sa.Column[Any]], rows: Sequence[Row]
    ) -> None:
        alchemy = session.held.alchemy
        binders = []
        for place, column in enumerate(columns):
            bind = column.type.dialect_impl(alchemy.dialect).bind_processor(alchemy.dialect)
            if bind is not None:
                binders.append((place, bind))
        driver: Any = (await alchemy.get_raw_connection()).driver_connection
        await driver.copy_records_to_table(
            table.name, records=_bound(rows, binders), columns=[column.name for column in columns]
        )

    async def read_sequences(self, session: Session, tables: Sequence[sa.Table]) -> dict[str, int]:
        found = {}
        for table, sequence in (await _sequences(session, tables)).items():
            rows = await session.held.fetch(f"SELECT last_value - (NOT is_called)::int FROM {sequence}", ())
            found[table] = int(rows[0][0])
        return found

    async def raise_sequences(self, session: Session, tables: Sequence[sa.Table], highest: Mapping[str, int]) -> None:
        for table, sequence in (await _sequences(session, tables)).items():
            if highest.get(table, 0) > 0:
                await session.held.fetch(
                    "SELECT setval($1::regclass, $2) WHERE $2 > "
                    f"(SELECT last_value - (NOT is_called)::int FROM {sequence})",
                    (sequence, highest[table]),
                )


_FENCE = (
    "CREATE TRIGGER _fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {schema}._fence()"
)


def _functions(schema: str) -> str:
    """Those that all tables have in common."""
    return f"""
CREATE OR REPLACE FUNCTION {schema}._fence() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT filling FROM {schema}.{GATE} WHERE id = 1) THEN RETURN NULL; END IF;
  RAISE EXCEPTION USING ERRCODE = '{MOVED}', MESSAGE = '{REFUSAL}';
END $$;
CREATE OR REPLACE FUNCTION {schema}._no_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '55006', MESSAGE = 'While changes are logged, use DELETE: TRUNCATE names no row.';
END $$
"""


def _log_function(name: str, schema: str, table: sa.Table, dialect: Dialect) -> str:
    """Run with its owner's rights: not everybody who may write a row may write to the log."""

    def entry(version: str) -> str:
        return f"INSERT INTO {schema}.{LOG} (tbl, pk) VALUES ({_literal(table.name)}, {_key(table, version, dialect)});"

    columns = [_quoted(column.name) for column in table.primary_key]
    differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    return f"""
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF (SELECT filling FROM {schema}.{GATE} WHERE id = 1) THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN {entry("NEW")}
  ELSIF TG_OP = 'DELETE' THEN {entry("OLD")}
  ELSE
    IF {differs} THEN {entry("OLD")} END IF;
    {entry("NEW")}
  END IF;
  RETURN NULL;
END $$
"""


def _key(table: sa.Table, version: str, dialect: Dialect) -> str:
    parts = []
    for column in table.primary_key:
        value = f"{version}.{_quoted(column.name)}"
        parts.append(f"encode({value}, 'hex')" if holds_bytes(column, dialect) else value)
    return f"json_build_array({', '.join(parts)})::text"


async def _lock(session: Session, seconds: float, statement: str) -> None:
    """Raises Busy where the statement does not get its lock in that time. Those after it have PATIENCE."""
    await session.held.execute(f"SET LOCAL lock_timeout = '{max(1, round(seconds * 1000))}ms'")
    try:
        await session.held.execute(statement)
    except asyncpg.LockNotAvailableError as error:
        raise Busy from error
    await session.held.execute(f"SET LOCAL lock_timeout = '{PATIENCE}s'")


async def _schema(session: Session) -> str:
    return str((await session.held.fetch("SELECT quote_ident(current_schema())", ()))[0][0])


async def _triggers(session: Session, table: sa.Table) -> list[str]:
    """The names of ours."""
    rows = await session.held.fetch(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = $1::text::regclass AND tgname = ANY($2::text[]) ORDER BY tgname",
        (_quoted(table.name), ["_fence", "_log", "_no_truncate"]),
    )
    return [str(row[0]) for row in rows]


async def _foreign_keys(session: Session, tables: Sequence[sa.Table]) -> dict[str, tuple[str, bool]]:
    """By name those that the models name too: the table that has it, and whether its rows were checked."""
    found: dict[str, tuple[str, bool]] = {}
    for table in tables:
        ours = [str(key.name) for key in table.foreign_key_constraints]
        rows = await session.held.fetch(
            "SELECT conname, convalidated FROM pg_constraint "
            "WHERE conrelid = $1::text::regclass AND conname = ANY($2::text[])",
            (_quoted(table.name), ours),
        )
        found.update((str(row[0]), (table.name, bool(row[1]))) for row in rows)
    return found


async def _sequences(session: Session, tables: Sequence[sa.Table]) -> dict[str, str]:
    """By table the sequence of its ids, as SQL names it."""
    found = {}
    for table in tables:
        if (column := table.autoincrement_column) is not None:
            rows = await session.held.fetch("SELECT pg_get_serial_sequence($1, $2)", (_quoted(table.name), column.name))
            if rows[0][0] is not None:
                found[table.name] = str(rows[0][0])
    return found


def _bound(rows: Sequence[Row], binders: Sequence[tuple[int, Any]]) -> Sequence[Row]:
    if not binders:
        return rows
    bound = []
    for row in rows:
        values = list(row)
        for place, bind in binders:
            values[place] = bind(values[place])
        bound.append(values)
    return bound


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

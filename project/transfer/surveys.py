"""Looking at two databases without touching either: what a switch would do, and whether they hold the same."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import sqlalchemy as sa

from project import registry
from project.database import migrations
from project.database.errors import Outdated
from project.database.sessions import Session
from project.database.statements import Statement
from project.settings import Settings
from project.transfer import protocol, way_back
from project.transfer.charge import Failed, Watcher
from project.transfer.gates import Record
from project.transfer.plan import Plan, make_plan
from project.transfer.protocol import Phase
from project.transfer.report import End, Findings, Report
from project.transfer.sides import Side, Sides
from project.transfer.verify import Unordered, both, compare, sums


async def plan(settings: Settings, alias: str, watcher: Watcher) -> Report:
    """What `switchdb` would do. Raises Failed, Refused, SettingsError and DatabaseError where it could not."""
    tables = registry.tables(settings.installed_apps)
    async with _sides(settings, alias) as (source, record, target):
        if leads_back(record, await look_at_target(source, target)):
            found = Plan([], await way_back.length(source, tables), 0.0, Findings())
        else:
            protocol.begin(record.gate, "", "")
            found = await look_ahead(source, target, tables, watcher)
        return planned(source, target, found)


def planned(source: Side, target: Side, found: Plan) -> Report:
    return Report(
        switch_id=None,
        state="planned",
        source=_end(source),
        target=_end(target),
        tables=found.tables,
        rows=found.rows,
        seconds=found.seconds,
        pause_ms=None,
        findings=found.findings.kept,
        found=found.findings.rows,
    )


async def look_at_target(source: Side, target: Side) -> Record | None:
    """What it says of itself; None where it does not yet. Raises Failed where it is the source itself."""
    if source.is_same(target):
        raise Failed(f"The service uses {target.alias} already.")
    if not target.is_there:
        return None
    try:
        record = await target.look()
    except Outdated:
        return None
    if record.identity == source.identity:
        raise Failed(
            f"{target.alias} is the same database as {source.alias}, or a copy of its file: name an empty one."
        )
    return record


def leads_back(source: Record, target: Record | None) -> bool:
    """Whether that is the database left last, and the way back to it open."""
    return source.gate.phase is Phase.RETAINING and target is not None and target.identity == source.gate.other


async def look_ahead(source: Side, target: Side, tables: Sequence[sa.Table], watcher: Watcher) -> Plan:
    """At everything that a switch to an empty database could fail at. Raises Failed and DatabaseError."""
    await migrations.require(source.database)
    await require_tables(source, tables)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(source.link())
        there = None
        if target.is_there:
            there = await stack.enter_async_context(target.link())
            await migrations.current(target.database)  # which refuses one that a newer version of the service made
            if not await _is_left_over(source, target):
                names = await _tables_of(target)
                async with there.alone() as session:
                    await require_empty(target.alias, session, [table for table in tables if table.name in names])
        for side in (source, target):
            await _warn(side, watcher)
        total = sum([await _count(source, table) for table in tables])
        return await make_plan(
            here, target.dialect, there, tables, lambda done: watcher.tell("Looking at every row", done, total)
        )


async def require_tables(side: Side, tables: Sequence[sa.Table]) -> None:
    """Raises Failed where they are not what the models say, or have no key by which a row could be named."""
    for table in tables:
        if not table.primary_key.columns:
            raise Failed(f"The table {table.name} has no primary key, so its changes cannot be followed: give it one.")
    if differences := await migrations.drift(side.database, tables[0].metadata):
        raise Failed(
            f"The tables of {side.alias} are not what the migrations made, it would take: {'; '.join(differences)}."
        )


async def require_empty(alias: str, session: Session, tables: Sequence[sa.Table]) -> None:
    """Raises Failed where one of the tables, which are there, has rows."""
    for table in tables:
        if await session.rows(Statement(sa.select(sa.literal(1)).select_from(table).limit(1))):
            raise Failed(
                f"The database {alias} is not empty: table {table.name} has rows. Name another one, or drop it and "
                f"create it anew; one that the service has left is emptied by `flush --database {alias}`."
            )


async def verify(settings: Settings, alias: str, watcher: Watcher) -> Report:
    """How the database of that alias differs from the active one, each at one moment."""
    began = time.monotonic()
    tables = registry.tables(settings.installed_apps)
    async with _sides(settings, alias) as (source, _, target):
        if source.is_same(target):
            raise Failed(f"The service uses {alias} already.")
        for side in (source, target):
            if not side.is_there or await migrations.pending(side.database):
                raise Failed(f"The database {side.alias} is not migrated: there is nothing to compare.")
        async with AsyncExitStack() as stack:
            sessions: list[Session] = []
            for side in (source, target):
                link = await stack.enter_async_context(side.link())
                sessions.append(await stack.enter_async_context(link.snapshot()))
                side.dialect.contents.read_anything(sessions[-1])
            here, there = sessions
            total = sum([await _count(source, table) for table in tables])
            found, others = await both(
                sums(here, tables, lambda done: watcher.tell("Adding up", done, total)), sums(there, tables)
            )
            differing = [table for table, one, other in zip(tables, found, others, strict=True) if one != other]
            try:
                findings = (
                    await compare(here, there, differing, lambda done: watcher.tell("Comparing", done, total))
                    if differing
                    else Findings()
                )
            except Unordered as error:
                raise Failed(str(error)) from error
        return Report(
            switch_id=None,
            state="done",
            source=_end(source),
            target=_end(target),
            tables=found,
            rows=sum(each.rows for each in found),
            seconds=time.monotonic() - began,
            pause_ms=None,
            findings=findings.kept,
            found=findings.rows,
        )


@asynccontextmanager
async def _sides(settings: Settings, alias: str) -> AsyncIterator[tuple[Side, Record, Side]]:
    """The active database, what it says of itself, and the one of that alias."""
    sides = Sides(settings)
    try:
        source, record = await sides.active()
        yield source, record, sides.named(alias)
    finally:
        await sides.close()


async def _is_left_over(source: Side, target: Side) -> bool:
    """Whether its rows are those of a switch from the same source, which was aborted while the target was away."""
    try:
        gate = (await target.look()).gate
    except Outdated:
        return False
    return gate.phase is Phase.FILLING and gate.other == source.identity


async def _tables_of(side: Side) -> set[str]:
    async with side.database.connect() as connection:
        return set(await connection.run_sync(lambda found: sa.inspect(found).get_table_names()))


async def _warn(side: Side, watcher: Watcher) -> None:
    if side.is_there:
        async with side.database.connect() as connection:
            for hazard in await side.dialect.hazards(connection):
                watcher.say(f"{side.alias}: {hazard}")


async def _count(side: Side, table: sa.Table) -> int:
    async with side.link() as link, link.alone() as session:
        rows = await session.rows(Statement(sa.select(sa.func.count()).select_from(table)))
    return int(rows[0][0])


def _end(side: Side) -> End:
    return End(side.alias, side.dialect.title)

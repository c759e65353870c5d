"""The audit trail, as tests read it."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from project import callers
from project.audit import sealing
from project.audit.models import PENDING, AuditEntry
from project.audit.sealing import Seal
from project.audit.verification import verify
from project.callers import Caller
from project.database import Database, migrations
from project.database.statements import Row
from tests.servers import in_a_loop
from tests.units import Desk, opened

Entry = dict[str, Any]


async def entries(database: Database) -> list[Entry]:
    """All of them, sealed by now, in their order; their details decoded."""
    await seal_all(database)
    names = [column.key for column in AuditEntry.__table__.columns]
    select = sa.select(*AuditEntry.__table__.columns).order_by(AuditEntry.id)
    rows: list[Row] = await database.read(Desk, lambda desk: desk.look(select))
    found = [dict(zip(names, row, strict=True)) for row in rows]
    return [{**entry, **msgspec.json.decode(entry.pop("details"))} for entry in found]


async def seal_all(database: Database) -> None:
    while await sealing.seal(database):
        pass


async def pending(database: Database) -> int:
    rows = await database.read(Desk, lambda desk: desk.look(sa.select(sa.func.count()).select_from(PENDING)))
    return int(rows[0][0])


async def tamper(database: Database, sql: str) -> None:
    """As somebody would who can write to the database and is not the service."""
    async with database.connect() as connection:
        await connection.exec_driver_sql(sql)


def left_by(
    url: str, *units: tuple[type[Any], Callable[[Any], Awaitable[object]]], caller: Caller | None = None
) -> list[Entry]:
    """The entries that units of work leave, each given with its service, in the name of that caller."""

    async def scenario() -> list[Entry]:
        callers.current.set(caller)
        async with opened(url) as database:
            await migrations.migrate(database)
            before = len(await entries(database))
            for service, work in units:
                await database.write(service, work)
            return (await entries(database))[before:]

    return in_a_loop(scenario)


async def findings(database: Database, since: Seal | None = None) -> list[str]:
    """What a verification finds."""
    report = await verify(database, [database.signer], since, lambda done, total: None)
    assert not report.others
    return report.findings

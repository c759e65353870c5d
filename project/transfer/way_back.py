"""The way back: what the database that was moved to has logged since, and how that is given up."""

from collections.abc import Sequence

import sqlalchemy as sa

from project.database import Database
from project.database.sessions import Session
from project.database.statements import Statement
from project.database.switching import LOG
from project.transfer import capture, gates, protocol
from project.transfer.charge import gate_of_source
from project.transfer.draining import Backlog
from project.transfer.protocol import Phase
from project.transfer.sides import Side


async def warning(database: Database) -> str | None:
    """How large the log has grown, in a sentence, while the way back is open; None otherwise. Raises DatabaseError."""

    async def work(log: _Log) -> str | None:
        record = await gates.read(log.session)
        if record.gate.phase is not Phase.RETAINING:
            return None
        count = (await log.session.rows(_COUNT))[0][0]
        return (
            f"The way back to {record.other_alias} is open, and its log has grown to {count:,} changes: `switchdb "
            "--back` returns with them, `switchdb --complete` gives it up."
        )

    return await database.read(_Log, work)


class _Log:
    def __init__(self, *, session: Session) -> None:
        self.session = session


async def length(side: Side, tables: Sequence[sa.Table]) -> int:
    """How many changes the database has logged."""
    async with side.link() as link, link.alone() as session:
        return await Backlog(session, tables).count()


async def complete(side: Side, tables: Sequence[sa.Table]) -> None:
    """Log no more changes in the active database. Raises Refused where there is no way back.

    The gate comes first, since a log with gaps must not be followed. What a crash leaves of the log is harmless, and
    goes when this is called again. Foreign keys are checked that nobody has, where who opened the database died.
    """
    has_log = await length(side, tables) > 0
    async with side.link() as link:
        async with gate_of_source(link) as locked:
            if locked.gate.phase is not Phase.IDLE or not has_log:
                await locked.put(protocol.complete(locked.gate))
            turn = locked.gate.turn
        await capture.remove(link, tables, turn)
        async with link.alone() as session:
            await link.switching.validate(session, tables)


_COUNT = Statement(sa.select(sa.func.count()).select_from(sa.table(LOG)))

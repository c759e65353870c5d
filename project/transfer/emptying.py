"""A database that the service has left, made one of its own again: empty, open to writes, and in nobody's memory."""

from collections.abc import Sequence

import sqlalchemy as sa

from project.database.statements import Statement
from project.settings import Settings
from project.transfer import capture, gates, protocol
from project.transfer.capture import GATE_SECONDS
from project.transfer.protocol import Phase, Refused
from project.transfer.sides import Side, Sides


async def empty(settings: Settings, alias: str, tables: Sequence[sa.Table]) -> dict[str, int]:
    """How many rows there were in each of the tables, which are given parents first. Raises Refused, and DatabaseError.

    The gate comes last: until then the database refuses writes, and sends whoever comes to the active one.
    """
    sides = Sides(settings)
    try:
        side = sides.named(alias)
        await _refuse_in_use(sides, side)
        async with side.link() as link:
            async with link.alone() as session:
                await link.switching.ignore_foreign_keys(session)
            async with gates.locked(link, GATE_SECONDS) as locked:
                gate = protocol.forsake(locked.gate)
                await locked.put(gate)
            async with gates.locked(link, GATE_SECONDS, turn=gate.turn) as locked:
                await link.switching.begin_fill(locked.session)
                counts = {table.name: await locked.session.run(Statement(sa.delete(table))) for table in tables[::-1]}
                await link.switching.end_fill(locked.session)
            await capture.remove(link, tables, gate.turn)
            async with gates.locked(link, GATE_SECONDS, turn=gate.turn) as locked:
                await locked.set_free()
        return counts
    finally:
        await sides.close()


async def _refuse_in_use(sides: Sides, side: Side) -> None:
    """The one that the service uses must be there, or this may be the only copy of what it held."""
    await side.look()
    active, record = await sides.active()
    if active.identity == side.identity:
        raise Refused(f"The service uses {side.alias}: `flush` without --database empties it.")
    if (await sides.named("default").look()).identity == side.identity:
        raise Refused(
            f"DATABASE_URL still leads here first, and only the record from here to {active.alias}: give it the URL of "
            f"{active.alias}, for every server, and this database an alias of its own."
        )
    if record.gate.other == side.identity and record.gate.phase is not Phase.IDLE:
        raise Refused(f"The way back to {side.alias} is open: give it up first with `switchdb --complete`.")

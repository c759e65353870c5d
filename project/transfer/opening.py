"""Opening the target of a switch: what its coordinator does, and any server that finds it still closed."""

from collections.abc import Sequence

import sqlalchemy as sa

from project.database.links import Link
from project.transfer import gates, protocol


async def open_target(link: Link, switch: str, tables: Sequence[sa.Table]) -> None:
    """To be called once `protocol.may_open`. Does nothing where somebody else has done it. Raises DatabaseError."""
    async with gates.locked(link) as locked:
        gate = protocol.opened(locked.gate, switch)
        if gate != locked.gate:
            await link.switching.tighten(locked.session, tables)
            await link.switching.unfence(locked.session, tables)
            await locked.put(gate)

"""What a server reads of a database's gate, and what it writes there of itself."""

import datetime as dt
from typing import Any

import msgspec
import sqlalchemy as sa

from project.database.errors import Outdated
from project.database.sessions import Session
from project.database.statements import Statement
from project.transfer import protocol
from project.transfer.gates import GateRow, LockedGate, Record, ServerRow
from project.transfer.protocol import Gate, Phase, Registration

LONGEST_PROBLEM = 1000
"""Characters that the table has room for."""


class Sight(msgspec.Struct, frozen=True):
    """A gate, and at the same moment the row of who looks at it."""

    record: Record
    registration: Registration | None
    ready_for: str | None

    @property
    def gate(self) -> Gate:
        return self.record.gate


async def look(session: Session, me: str) -> Sight:
    """Raises Outdated for a database whose gate is not there yet."""
    rows = await session.rows(_LOOK, me=me)
    if not rows:
        raise Outdated
    identity, phase, turn, switch, other, other_alias, back, state, ready_for = rows[0]
    record = Record(identity, Gate(Phase(phase), turn, switch, other, back), other_alias)
    return Sight(record, None if state is None else Registration(state), ready_for)


async def register(locked: LockedGate, me: str, name: str, followed: str | None) -> None:
    """Unless the gate sends the server elsewhere."""
    if not protocol.follows(locked.gate, followed):
        await leave(locked.session, me)
        await locked.session.run(
            _REGISTER, me=me, name=name, state=Registration.HERE.value, started_at=dt.datetime.now(dt.UTC)
        )


async def report(locked: LockedGate, me: str, switch: str, problem: str | None) -> None:
    """That the server reaches the target of that switch, or why it does not."""
    if locked.gate.phase is Phase.PREPARING and locked.gate.switch == switch:
        state = Registration.READY if problem is None else Registration.HERE
        text = problem and problem[:LONGEST_PROBLEM]
        await locked.session.run(_REPORT, me=me, state=state.value, ready_for=switch, problem=text)


async def leave(session: Session, me: str) -> None:
    await session.run(_LEAVE, me=me)


async def count(session: Session) -> int:
    """The servers that may be reading here."""
    return int((await session.rows(_COUNT))[0][0])


_gate: Any = GateRow.__table__
_servers: Any = ServerRow.__table__
_is_me = _servers.c.id == sa.bindparam("me", type_=_servers.c.id.type)
_LOOK = Statement(
    sa.select(
        *(_gate.c[name] for name in ("identity", "phase", "turn", "switch", "other", "other_alias", "back")),
        *(_servers.c[name] for name in ("state", "ready_for")),
    ).select_from(_gate.outerjoin(_servers, _is_me))
)
_REGISTER = Statement(
    sa.insert(_servers).values(
        {name: sa.bindparam(name, type_=_servers.c[name].type) for name in ("name", "state", "started_at")}
        | {"id": sa.bindparam("me", type_=_servers.c.id.type)}
    )
)
_REPORT = Statement(
    sa.update(_servers)
    .where(_is_me, _servers.c.state != Registration.EVICTED.value)
    .values({name: sa.bindparam(name, type_=_servers.c[name].type) for name in ("state", "ready_for", "problem")})
)
_LEAVE = Statement(sa.delete(_servers).where(_is_me))
_COUNT = Statement(sa.select(sa.func.count()).select_from(_servers))

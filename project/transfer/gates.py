"""What every database says of itself, and who uses it: the tables behind `protocol.Gate` and `Registration`."""

import contextlib
import datetime as dt
import uuid
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import sqlalchemy as sa
from advanced_alchemy.types import BigIntIdentity
from msgspec import UNSET, UnsetType
from sqlalchemy.orm import Mapped, mapped_column

from project.database import switching
from project.database.errors import Gone
from project.database.links import Link
from project.database.sessions import Session
from project.database.statements import Statement
from project.database.types import Text, Timestamp
from project.models import Base
from project.transfer import protocol
from project.transfer.protocol import Gate, Phase, Registration

PATIENCE = 1.0
"""Seconds that a transaction waits for the gate, where nobody says otherwise."""


class GateRow(Base):
    """The one row of a database about itself. `fenced` and `filling` are what its triggers go by."""

    __tablename__ = switching.GATE
    __table_args__ = (sa.CheckConstraint("id = 1", name="one_row"), {"info": {"local": True, "unaudited": True}})

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(Text(36))
    phase: Mapped[str] = mapped_column(Text(16))
    fenced: Mapped[bool] = mapped_column(sa.Boolean)
    filling: Mapped[bool] = mapped_column(sa.Boolean)
    turn: Mapped[int] = mapped_column(sa.BigInteger)
    switch: Mapped[str | None] = mapped_column(Text(36))
    other: Mapped[str | None] = mapped_column(Text(36))
    other_alias: Mapped[str | None] = mapped_column(Text(64))
    back: Mapped[bool] = mapped_column(sa.Boolean)
    changed_at: Mapped[dt.datetime] = mapped_column(Timestamp())


class Change(Base):
    """An entry in the log of changes, which triggers write."""

    __tablename__ = switching.LOG
    __table_args__ = ({"info": {"local": True, "unaudited": True}},)

    seq: Mapped[int] = mapped_column(BigIntIdentity, sa.Identity(), primary_key=True)
    tbl: Mapped[str] = mapped_column(Text(64))
    pk: Mapped[str] = mapped_column(sa.Text)


class ServerRow(Base):
    """A worker process that may be reading here."""

    __tablename__ = "_servers"
    __table_args__ = ({"info": {"local": True, "unaudited": True}},)

    id: Mapped[str] = mapped_column(Text(36), primary_key=True)
    name: Mapped[str] = mapped_column(Text(200))
    """Its host and process, for people."""
    state: Mapped[str] = mapped_column(Text(8))
    ready_for: Mapped[str | None] = mapped_column(Text(36))
    """The switch whose target it reaches."""
    problem: Mapped[str | None] = mapped_column(Text(1000))
    """Why it does not reach the target of the switch under way."""
    started_at: Mapped[dt.datetime] = mapped_column(Timestamp())


class Record(msgspec.Struct, frozen=True):
    """A gate, and what the protocol does not go by: whose it is, and under which alias the other one is found."""

    identity: str
    gate: Gate
    other_alias: str | None


class Server(msgspec.Struct, frozen=True):
    id: str
    name: str
    registration: Registration
    """READY if it is for the switch that was asked about."""
    problem: str | None


class LockedGate:
    """A gate in a transaction that holds its row. `record` is what it says, or was last given to say."""

    def __init__(self, session: Session, record: Record) -> None:
        self.session = session
        self.record = record

    @property
    def gate(self) -> Gate:
        return self.record.gate

    async def put(self, gate: Gate, other_alias: str | UnsetType | None = UNSET) -> None:
        """Write it back. The alias stays what it was unless one is given, and goes with the switch."""
        alias = self.record.other_alias if other_alias is UNSET else other_alias
        alias = None if gate.switch is None else alias
        await self.session.run(
            _UPDATE,
            phase=gate.phase.value,
            fenced=gate.phase in protocol.FENCED,
            turn=gate.turn,
            switch=gate.switch,
            other=gate.other,
            other_alias=alias,
            back=gate.back,
            changed_at=dt.datetime.now(dt.UTC),
        )
        self.record = Record(self.record.identity, gate, alias)

    async def set_free(self) -> None:
        """Let it be part of no switch, under a new identity: whoever looks for the old one finds it nowhere."""
        identity = str(uuid.uuid4())
        await self.session.run(_RENAME, identity=identity)
        await self.session.run(_NOBODY)
        await self.put(Gate(Phase.IDLE, self.gate.turn))
        self.record = Record(identity, self.gate, None)


async def read(session: Session) -> Record:
    """As it was committed last: nothing may be decided by it that a COMMIT under way could change."""
    rows = await session.rows(_SELECT)
    if not rows:
        raise Gone("The database has lost the row of its table _gate: restore it from a backup.")
    identity, phase, turn, switch, other, other_alias, back = rows[0]
    return Record(identity, Gate(Phase(phase), turn, switch, other, back), other_alias)


@contextlib.asynccontextmanager
async def locked(
    link: Link, wait: float = PATIENCE, *, turn: int | None = None, shared: bool = False
) -> AsyncIterator[LockedGate]:
    """A transaction that begins with the gate's lock and is committed in the end, or rolled back.

    With `turn`, raises Replaced if it is another's. `shared` suits those who only see to it that the gate stays as it
    is. Raises Busy if the lock cannot be had within `wait` seconds, OutcomeUnknown if the connection breaks in COMMIT.
    """
    with link.understood():
        await link.switching.lock_gate(link.session, wait, shared=shared)
        async with link.begun() as session:
            record = await read(session)
            if turn is not None:
                protocol.check_turn(record.gate, turn)
            yield LockedGate(session, record)


async def servers(session: Session, switch: str | None) -> list[Server]:
    """Those that may be reading here; READY are those that are so for `switch`."""
    found = []
    for key, name, state, ready_for, problem in await session.rows(_SERVERS):
        registration = Registration(state)
        if registration is Registration.READY and ready_for != switch:
            registration = Registration.HERE
        found.append(Server(key, name, registration, problem))
    return found


_gate: Any = GateRow.__table__
_servers: Any = ServerRow.__table__
_SELECT = Statement(
    sa.select(*(_gate.c[name] for name in ("identity", "phase", "turn", "switch", "other", "other_alias", "back")))
)
_WRITTEN = ("phase", "fenced", "turn", "switch", "other", "other_alias", "back", "changed_at")
_UPDATE = Statement(
    sa.update(_gate)
    .where(_gate.c.id == 1)
    .values({name: sa.bindparam(name, type_=_gate.c[name].type) for name in _WRITTEN})
)
_RENAME = Statement(
    sa.update(_gate).where(_gate.c.id == 1).values(identity=sa.bindparam("identity", type_=_gate.c.identity.type))
)
_NOBODY = Statement(sa.delete(_servers))
_SERVERS = Statement(
    sa.select(*(_servers.c[name] for name in ("id", "name", "state", "ready_for", "problem"))).order_by(_servers.c.name)
)

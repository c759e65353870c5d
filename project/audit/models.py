"""The tables of the audit trail."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from project.database import trails
from project.database.types import Text
from project.keys import SIGNATURE_LENGTH
from project.models import Base, Record

KEPT = {"unaudited": True, "kept": True}
"""Of a table that is the record itself, and that `flush` leaves alone."""

PENDING = trails.PENDING


class AuditEntry(Record):
    """An entry in its place of the chain, which is its id: from 1 on, without gaps.

    `created_at` is when it was written, `updated_at` when it was sealed.
    """

    __tablename__ = "audit_entries"
    __table_args__: Any = (
        # Each order that clients may ask for.
        Index(None, "created_at", "id"),
        Index(None, "record", "key", "created_at", "id"),
        Index(None, "record", "created_at", "id"),
        Index(None, "actor", "created_at", "id"),
        Index(None, "action", "created_at", "id"),
        {"info": KEPT},
    )

    actor: Mapped[str] = mapped_column(Text(200))
    """A username, or the name of who ran a command on its machine; empty where nobody was asked."""
    actor_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    token_id: Mapped[int | None] = mapped_column(sa.BigInteger)
    channel: Mapped[str] = mapped_column(Text(10))
    address: Mapped[str] = mapped_column(Text(50))
    request_id: Mapped[str] = mapped_column(Text(128))
    action: Mapped[str] = mapped_column(Text(50))
    record: Mapped[str] = mapped_column(Text(100))
    key: Mapped[str] = mapped_column(Text(300))
    details: Mapped[str] = mapped_column(Text(trails.MOST_DETAILS))
    """JSON of `trails.Details`."""
    signature: Mapped[str] = mapped_column(Text(SIGNATURE_LENGTH))
    """Of whoever wrote the entry."""
    seal: Mapped[str] = mapped_column(Text(SIGNATURE_LENGTH))
    """Of the entry, its place, and the seal before it."""


class AuditChain(Base):
    """One row: where the chain ends. Who seals holds it locked."""

    __tablename__ = "audit_chain"
    __table_args__: Any = ({"info": KEPT},)

    id: Mapped[int] = mapped_column(sa.Integer, primary_key=True, autoincrement=False)
    last_id: Mapped[int] = mapped_column(sa.BigInteger)
    seal: Mapped[str] = mapped_column(Text(SIGNATURE_LENGTH))

"""What a database says of itself, and which servers use it."""

import datetime as dt
import uuid

import sqlalchemy as sa
from alembic import op

from project.database import types

revision = "0004_switching"
down_revision = "0003_accounts"


def upgrade() -> None:
    gate = op.create_table(
        "_gate",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("identity", types.Text(length=36), nullable=False),
        sa.Column("phase", types.Text(length=16), nullable=False),
        sa.Column("fenced", sa.Boolean(), nullable=False),
        sa.Column("filling", sa.Boolean(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("switch", types.Text(length=36), nullable=True),
        sa.Column("other", types.Text(length=36), nullable=True),
        sa.Column("other_alias", types.Text(length=64), nullable=True),
        sa.Column("back", sa.Boolean(), nullable=False),
        sa.Column("changed_at", types.Timestamp(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck__gate_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__gate")),
    )
    op.create_table(
        "_changes",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("tbl", types.Text(length=64), nullable=False),
        sa.Column("pk", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk__changes")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "_servers",
        sa.Column("id", types.Text(length=36), nullable=False),
        sa.Column("name", types.Text(length=200), nullable=False),
        sa.Column("state", types.Text(length=8), nullable=False),
        sa.Column("ready_for", types.Text(length=36), nullable=True),
        sa.Column("problem", types.Text(length=1000), nullable=True),
        sa.Column("started_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk__servers")),
    )
    # `migrate` sees to this row too, in switching.introduce: a history that makemigrations has made anew does not have
    # it. It is here for who runs the SQL that sqlmigrate prints, and then has a database that wants for nothing.
    row = {
        "id": 1,
        "identity": str(uuid.uuid4()),
        "phase": "idle",
        "fenced": False,
        "filling": False,
        "turn": 0,
        "back": False,
        "changed_at": dt.datetime.now(dt.UTC),
    }
    op.bulk_insert(gate, [row])


def downgrade() -> None:
    op.drop_table("_servers")
    op.drop_table("_changes")
    op.drop_table("_gate")

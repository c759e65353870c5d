"""Users, their tokens, what keeps guesses down, and the audit trail."""

import sqlalchemy as sa
from alembic import op

from project.database import types

revision = "0003_accounts"
down_revision = "0002_students"


def upgrade() -> None:
    op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("seal", types.Text(length=72), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_chain")),
    )
    op.create_table(
        "audit_entries",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("actor", types.Text(length=200), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("token_id", sa.BigInteger(), nullable=True),
        sa.Column("channel", types.Text(length=10), nullable=False),
        sa.Column("address", types.Text(length=50), nullable=False),
        sa.Column("request_id", types.Text(length=128), nullable=False),
        sa.Column("action", types.Text(length=50), nullable=False),
        sa.Column("record", types.Text(length=100), nullable=False),
        sa.Column("key", types.Text(length=300), nullable=False),
        sa.Column("details", types.Text(length=4000), nullable=False),
        sa.Column("signature", types.Text(length=72), nullable=False),
        sa.Column("seal", types.Text(length=72), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    with op.batch_alter_table("audit_entries") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_audit_entries_action_created_at_id"), ["action", "created_at", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_audit_entries_actor_created_at_id"), ["actor", "created_at", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_audit_entries_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_audit_entries_record_created_at_id"), ["record", "created_at", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_audit_entries_record_key_created_at_id"), ["record", "key", "created_at", "id"], unique=False
        )

    op.create_table(
        "audit_pending",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("actor", types.Text(length=200), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("token_id", sa.BigInteger(), nullable=True),
        sa.Column("channel", types.Text(length=10), nullable=False),
        sa.Column("address", types.Text(length=50), nullable=False),
        sa.Column("request_id", types.Text(length=128), nullable=False),
        sa.Column("action", types.Text(length=50), nullable=False),
        sa.Column("record", types.Text(length=100), nullable=False),
        sa.Column("key", types.Text(length=300), nullable=False),
        sa.Column("details", types.Text(length=4000), nullable=False),
        sa.Column("signature", types.Text(length=72), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_pending")),
    )

    op.create_table(
        "throttles",
        sa.Column("key", types.Text(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("free_at", types.Timestamp(), nullable=False),
        sa.Column("forget_at", types.Timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    with op.batch_alter_table("throttles") as batch_op:
        batch_op.create_index(batch_op.f("ix_throttles_forget_at"), ["forget_at"], unique=False)

    op.create_table(
        "users",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("username", types.Text(length=150), nullable=False),
        sa.Column("password", types.Text(length=255), nullable=False),
        sa.Column("role", types.Text(length=10), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("users") as batch_op:
        batch_op.create_index(batch_op.f("ix_users_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_users_role_id"), ["role", "id"], unique=False)

    op.create_table(
        "tokens",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("user_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", types.Text(length=10), nullable=False),
        sa.Column("name", types.Text(length=100), nullable=False),
        sa.Column("role", types.Text(length=10), nullable=False),
        sa.Column("digest", types.Text(length=64), nullable=False),
        sa.Column("expires_at", types.Timestamp(), nullable=False),
        sa.Column("last_used_at", types.Timestamp(), nullable=True),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.CheckConstraint("kind IN ('api', 'session')", name=op.f("ck_tokens_kind")),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin')", name=op.f("ck_tokens_role")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("tokens") as batch_op:
        batch_op.create_index(batch_op.f("ix_tokens_user_id_id"), ["user_id", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("tokens")
    op.drop_table("users")
    op.drop_table("throttles")
    op.drop_table("audit_pending")
    with op.batch_alter_table("audit_entries") as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entries_record_key_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_audit_entries_record_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_audit_entries_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_audit_entries_actor_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_audit_entries_action_created_at_id"))

    op.drop_table("audit_entries")
    op.drop_table("audit_chain")

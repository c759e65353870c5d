"""Students."""

import sqlalchemy as sa
from alembic import op

from project.database import types

revision = "0002_students"
down_revision = "0001_idempotency_keys"


def upgrade() -> None:
    op.create_table(
        "students",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), sa.Identity(always=False), nullable=False
        ),
        sa.Column("name", types.Text(length=200), nullable=False),
        sa.Column("department", types.Text(length=100), nullable=False),
        sa.Column("cgpa", sa.Double(), nullable=False),
        sa.Column("name_folded", types.Text(length=600), nullable=False),
        sa.Column("created_at", types.Timestamp(), nullable=False),
        sa.Column("updated_at", types.Timestamp(), nullable=False),
        sa.CheckConstraint("cgpa >= 0 AND cgpa <= 10", name=op.f("ck_students_cgpa_range")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_students")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("students") as batch_op:
        batch_op.create_index(batch_op.f("ix_students_cgpa_id"), ["cgpa", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_students_created_at_id"), ["created_at", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_students_department_cgpa_id"), ["department", "cgpa", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_students_department_created_at_id"), ["department", "created_at", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_students_department_id"), ["department", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_students_department_name_id"), ["department", "name", "id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_students_department_updated_at_id"), ["department", "updated_at", "id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_students_name_id"), ["name", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_students_updated_at_id"), ["updated_at", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("students") as batch_op:
        batch_op.drop_index(batch_op.f("ix_students_updated_at_id"))
        batch_op.drop_index(batch_op.f("ix_students_name_id"))
        batch_op.drop_index(batch_op.f("ix_students_department_updated_at_id"))
        batch_op.drop_index(batch_op.f("ix_students_department_name_id"))
        batch_op.drop_index(batch_op.f("ix_students_department_id"))
        batch_op.drop_index(batch_op.f("ix_students_department_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_students_department_cgpa_id"))
        batch_op.drop_index(batch_op.f("ix_students_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_students_cgpa_id"))

    op.drop_table("students")

"""Outputs tell their metrics' transient, and why some are missing; sweeps, which sources they mean.

Receipts of transactions, a clock for leases that nobody can set, and an index of jobs that wait again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:

    op.add_column(
        "output", sa.Column("transient", sa.Float(53), nullable=True, comment="what its metrics leave out, ms")
    )
    op.add_column(
        "output",
        sa.Column("missing", sa.JSON(), nullable=True, comment="why it lacks metrics, by their names in job_metric"),
    )
    op.add_column(
        "sweep",
        sa.Column(
            "sources", sa.JSON(), nullable=True, comment="digests of the operator's modules where it was submitted"
        ),
    )
    op.create_table(
        "receipt",
        sa.Column("gid", sa.Uuid(), nullable=False, comment="made by the client for one transaction"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gid", name=op.f("pk_receipt")),
    )
    op.create_index(op.f("ix_receipt_made_at"), "receipt", ["made_at"], unique=False)
    op.create_table(
        "boot",
        sa.Column("id", sa.String(length=100), nullable=False, comment="the operating system's name for it"),
        sa.Column(
            "zero",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the time when the host's monotonic clock showed 0",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_boot")),
    )
    op.create_index(
        "ix_job_waiting_again",
        "job",
        ["sweep_id", "error_type"],
        unique=False,
        sqlite_where=sa.text("status = 'PENDING' AND error IS NOT NULL"),
        postgresql_where=sa.text("status = 'PENDING' AND error IS NOT NULL"),
    )


def downgrade() -> None:

    op.drop_index("ix_job_waiting_again", "job")
    op.drop_table("boot")
    op.drop_index(op.f("ix_receipt_made_at"), "receipt")
    op.drop_table("receipt")
    op.drop_column("sweep", "sources")
    op.drop_column("output", "missing")
    op.drop_column("output", "transient")

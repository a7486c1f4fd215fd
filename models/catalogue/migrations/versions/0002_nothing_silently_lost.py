"""Outputs tell their metrics' transient, and why some are missing; sweeps, which sources they mean.

Receipts of transactions, a clock for leases that nobody can set, and an index of jobs that wait again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:

    op.add_column(
        "output",
        sa.Column("transient", sa.Float(53), nullable=True, comment="part at the start that its metrics leave out, ms"),
    )
    op.add_column(
        "output",
        sa.Column("missing", sa.JSON(), nullable=True, comment="reasons for missing metrics, by name in job_metric"),
    )
    op.add_column(
        "sweep",
        sa.Column("sources", sa.JSON(), nullable=True, comment="digests of the user's modules at submission"),
    )
    op.create_table(
        "receipt",
        sa.Column("gid", sa.Uuid(), nullable=False, comment="created by the client for one transaction"),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("gid", name=op.f("pk_receipt")),
    )
    op.create_index(op.f("ix_receipt_made_at"), "receipt", ["made_at"], unique=False)
    op.create_table(
        "boot",
        sa.Column("id", sa.String(length=100), nullable=False, comment="the operating system's id of the start"),
        sa.Column(
            "zero",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="time at which the host's monotonic clock was 0",
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

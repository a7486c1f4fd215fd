"""Outputs tell their metrics' transient, and why some are missing; sweeps, which sources they mean."""

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


def downgrade() -> None:

    op.drop_column("sweep", "sources")
    op.drop_column("output", "missing")
    op.drop_column("output", "transient")

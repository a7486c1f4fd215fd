"""An index of waiting jobs alone: a claim finds the first of a sweep there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:

    op.create_index(
        "ix_job_waiting",
        "job",
        ["sweep_id", "number"],
        unique=False,
        sqlite_where=sa.text("status = 'PENDING'"),
        postgresql_where=sa.text("status = 'PENDING'"),
    )


def downgrade() -> None:

    op.drop_index("ix_job_waiting", "job")

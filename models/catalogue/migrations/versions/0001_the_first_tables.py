"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:

    op.create_table(
        "sweep",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False, comment="number of jobs"),
        sa.Column("base", sa.JSON(), nullable=False, comment="canonical SimulationSpec that every job starts from"),
        sa.Column(
            "plan", sa.JSON(), nullable=False, comment="what varies, in the form of tvb_batch.models.spec.points"
        ),
        sa.Column("priority", sa.Integer(), nullable=False, comment="jobs of a higher priority start first"),
        sa.Column("is_paused", sa.Boolean(), nullable=False, comment="its pending jobs are not started"),
        sa.Column("queue", sa.String(length=16), nullable=False, comment="short or long, by estimated cost"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep")),
        sa.UniqueConstraint("gid", name=op.f("uq_sweep_gid")),
    )
    with op.batch_alter_table("sweep", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sweep_name"), ["name"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gid", sa.Uuid(), nullable=False),
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="number of the job in the sweep, from 0"),
        sa.Column("repeat", sa.Integer(), nullable=False, comment="number of the repeat, from 0"),
        sa.Column("parameters", sa.JSON(), nullable=False, comment="swept parameters of this job"),
        sa.Column(
            "parameters_hash",
            sa.String(length=64),
            nullable=False,
            comment="sha256 of everything that decides the data",
        ),
        sa.Column(
            "seed", sa.BigInteger(), nullable=False, comment="noise_seed, and NumPy's seed for initial conditions"
        ),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "STARTED",
                "FINISHED",
                "ERROR",
                "CANCELED",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="number of attempts"),
        sa.Column(
            "saved_attempt",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="last attempt with a checkpoint; attempts are counted from it",
        ),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="does not start before, because the storage failed",
        ),
        sa.Column("claim_token", sa.Uuid(), nullable=True, comment="only the worker with this token may write the row"),
        sa.Column("worker", sa.String(length=200), nullable=True, comment="host:pid of the last claim"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True, comment="time of the last message"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "lease_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="after this time the worker counts as dead",
        ),
        sa.Column("progress", sa.Double(), nullable=False, comment="0 to 1"),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True, comment="message of the last error"),
        sa.Column("error_type", sa.String(length=200), nullable=True),
        sa.Column("engine", sa.String(length=40), nullable=True),
        sa.Column("engine_reason", sa.Text(), nullable=True, comment="why no faster engine was used"),
        sa.Column("versions", sa.JSON(), nullable=True, comment="versions of libraries and sources"),
        sa.Column(
            "source_id",
            sa.Integer(),
            nullable=True,
            comment="equal job of an earlier sweep whose files it shares",
        ),
        sa.ForeignKeyConstraint(["source_id"], ["job.id"], name=op.f("fk_job_source_id_job")),
        sa.ForeignKeyConstraint(["sweep_id"], ["sweep.id"], name=op.f("fk_job_sweep_id_sweep"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("gid", name=op.f("uq_job_gid")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_parameters_hash"), ["parameters_hash"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_job_source_id"), ["source_id"], unique=False,
            sqlite_where=sa.text("source_id IS NOT NULL"), postgresql_where=sa.text("source_id IS NOT NULL"),
        )  # fmt: skip
        batch_op.create_index(batch_op.f("ix_job_status_lease_until"), ["status", "lease_until"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_status_published_at"), ["status", "published_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_sweep_id_status"), ["sweep_id", "status"], unique=False)
    down = sa.text("sweep_id DESC")
    op.create_index("ix_job_sweep_id_number_id", "job", [down, "number", "id"], unique=False)
    op.create_index("ix_job_status_sweep_id_number_id", "job", ["status", down, "number", "id"], unique=False)
    owner = sa.text("CAST(coalesce(source_id, id) AS INTEGER)")
    op.create_index("ix_job_owner_sweep_id", "job", [owner, "sweep_id"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column(
            "number", sa.Integer(), nullable=False, comment="number of the attempt, from 1; `retry` starts again at 1"
        ),
        sa.Column("worker", sa.String(length=200), nullable=True, comment="host:pid"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "outcome", sa.String(length=16), nullable=False, comment="error, lost, postponed, returned or canceled"
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_job_id"), ["job_id"], unique=False)

    op.create_table(
        "sweep_parameter",
        sa.Column("sweep_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="such as model.mu"),
        sa.Column("number", sa.Float(precision=53), nullable=True),
        sa.Column("text", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweep.id"], name=op.f("fk_sweep_parameter_sweep_id_sweep"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sweep_id", "name", name=op.f("pk_sweep_parameter")),
    )
    with op.batch_alter_table("sweep_parameter", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sweep_parameter_name_number_sweep_id"), ["name", "number", "sweep_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_sweep_parameter_name_text_sweep_id"), ["name", "text", "sweep_id"], unique=False
        )

    op.create_table(
        "job_parameter",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Float(precision=53), nullable=True),
        sa.Column("text", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_parameter_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_parameter")),
    )
    with op.batch_alter_table("job_parameter", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_job_parameter_name_number_job_id"), ["name", "number", "job_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_job_parameter_name_text_job_id"), ["name", "text", "job_id"], unique=False)

    op.create_table(
        "job_metric",
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="such as KuramotoIndex"),
        sa.Column("number", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_metric_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_job_metric")),
    )
    with op.batch_alter_table("job_metric", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_job_metric_name_number_job_id"), ["name", "number", "job_id"], unique=False
        )

    op.create_table(
        "output",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gid", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("monitor", sa.String(length=100), nullable=False),
        sa.Column("datatype", sa.String(length=100), nullable=False, comment="TVB's class, such as TimeSeriesRegion"),
        sa.Column("path", sa.String(length=500), nullable=False, comment="relative to the data directory"),
        sa.Column("format", sa.String(length=20), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False, comment="time, state variable, space, mode"),
        sa.Column("is_nan", sa.Boolean(), nullable=False),
        sa.Column("refers_to", sa.JSON(), nullable=False, comment="relative paths of the datatypes it refers to"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_output_job_id_job"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_output")),
        sa.UniqueConstraint("gid", name=op.f("uq_output_gid")),
    )
    with op.batch_alter_table("output", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_output_is_nan"), ["is_nan"], unique=False)
        batch_op.create_index(batch_op.f("ix_output_job_id"), ["job_id"], unique=False)


def downgrade() -> None:

    with op.batch_alter_table("output", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_output_job_id"))
        batch_op.drop_index(batch_op.f("ix_output_is_nan"))

    op.drop_table("output")
    with op.batch_alter_table("job_metric", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_metric_name_number_job_id"))

    op.drop_table("job_metric")
    with op.batch_alter_table("job_parameter", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_parameter_name_text_job_id"))
        batch_op.drop_index(batch_op.f("ix_job_parameter_name_number_job_id"))

    op.drop_table("job_parameter")
    with op.batch_alter_table("sweep_parameter", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sweep_parameter_name_text_sweep_id"))
        batch_op.drop_index(batch_op.f("ix_sweep_parameter_name_number_sweep_id"))

    op.drop_table("sweep_parameter")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_job_id"))

    op.drop_table("attempt")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_sweep_id_status"))
        batch_op.drop_index("ix_job_sweep_id_number_id")
        batch_op.drop_index("ix_job_status_sweep_id_number_id")
        batch_op.drop_index("ix_job_owner_sweep_id")
        batch_op.drop_index(batch_op.f("ix_job_status_published_at"))
        batch_op.drop_index(batch_op.f("ix_job_status_lease_until"))
        batch_op.drop_index(batch_op.f("ix_job_source_id"))
        batch_op.drop_index(batch_op.f("ix_job_parameters_hash"))

    op.drop_table("job")
    with op.batch_alter_table("sweep", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sweep_name"))

    op.drop_table("sweep")

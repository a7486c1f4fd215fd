"""The tables: sweeps, jobs, parameters, metrics, outputs. The queries are in `models.catalogue`."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Float, ForeignKey, Index, MetaData, String, Text, Uuid, text
from sqlalchemy import Enum as SqlEnum
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from tvb_batch.models.catalogue.status import Status


class UtcDateTime(TypeDecorator[datetime]):
    """Times with a timezone, in UTC, also on databases without timezones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a time to UTC for the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a time of the database with the timezone UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Declarative base that names every constraint, for migrations."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a class attribute
        datetime: UtcDateTime,
        UUID: Uuid,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON,
    }


class Sweep(Base):
    """One submission."""

    __tablename__ = "sweep"

    id: Mapped[int] = mapped_column(primary_key=True)
    gid: Mapped[UUID] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    created_at: Mapped[datetime]
    size: Mapped[int] = mapped_column(comment="number of jobs")
    base: Mapped[dict[str, Any]] = mapped_column(comment="canonical SimulationSpec that every job starts from")
    #: A plan of many points takes megabytes: only `Catalogue.plan` reads it.
    plan: Mapped[dict[str, Any]] = mapped_column(
        deferred=True, deferred_raiseload=True, comment="what varies, in the form of tvb_batch.models.spec.points"
    )
    priority: Mapped[int] = mapped_column(default=0, comment="jobs of a higher priority start first")
    is_paused: Mapped[bool] = mapped_column(default=False, comment="its pending jobs are not started")
    queue: Mapped[str] = mapped_column(String(16), default="short", comment="short or long, by estimated cost")
    sources: Mapped[dict[str, Any] | None] = mapped_column(
        JSON(none_as_null=True), comment="digests of the user's modules at submission"
    )

    jobs: Mapped[list["Job"]] = relationship(back_populates="sweep", lazy="raise")


class SweepParameter(Base):
    """A parameter that all jobs of a sweep share; found by name and value, like JobParameter."""

    __tablename__ = "sweep_parameter"
    __table_args__ = (
        Index(None, "name", "number", "sweep_id"),
        Index(None, "name", "text", "sweep_id"),
    )

    sweep_id: Mapped[int] = mapped_column(ForeignKey("sweep.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True, comment="such as model.mu")
    number: Mapped[float | None] = mapped_column(Float(53))
    text: Mapped[str | None] = mapped_column(String(500))


class Job(Base):
    """One simulation."""

    __tablename__ = "job"
    __table_args__ = (
        # In the order of lists, newest sweep first: a page reads only its own rows.
        Index("ix_job_sweep_id_number_id", text("sweep_id DESC"), "number", "id"),
        Index(None, "sweep_id", "status"),
        Index("ix_job_status_sweep_id_number_id", "status", text("sweep_id DESC"), "number", "id"),
        Index(None, "status", "published_at"),
        Index(None, "status", "lease_until"),
        Index(
            None,
            "source_id",
            sqlite_where=text("source_id IS NOT NULL"),
            postgresql_where=text("source_id IS NOT NULL"),
        ),
        # A claim finds the first pending job here; a started job leaves the index.
        Index(
            "ix_job_waiting",
            "sweep_id",
            "number",
            sqlite_where=text("status = 'PENDING'"),
            postgresql_where=text("status = 'PENDING'"),
        ),
        # Jobs pending again after an error: few, and every view of a running sweep reads them.
        Index(
            "ix_job_waiting_again",
            "sweep_id",
            "error_type",
            sqlite_where=text("status = 'PENDING' AND error IS NOT NULL"),
            postgresql_where=text("status = 'PENDING' AND error IS NOT NULL"),
        ),
        # The job that owns the files and metrics.
        Index("ix_job_owner_sweep_id", text("CAST(coalesce(source_id, id) AS INTEGER)"), "sweep_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    gid: Mapped[UUID] = mapped_column(unique=True)
    sweep_id: Mapped[int] = mapped_column(ForeignKey("sweep.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(comment="number of the job in the sweep, from 0")
    repeat: Mapped[int] = mapped_column(default=0, comment="number of the repeat, from 0")
    parameters: Mapped[dict[str, Any]] = mapped_column(comment="swept parameters of this job")
    parameters_hash: Mapped[str] = mapped_column(
        String(64), index=True, comment="sha256 of everything that decides the data"
    )
    seed: Mapped[int] = mapped_column(BigInteger, comment="noise_seed, and NumPy's seed for initial conditions")
    status: Mapped[Status] = mapped_column(SqlEnum(Status, native_enum=False, length=16, create_constraint=True))
    attempt: Mapped[int] = mapped_column(default=0, comment="number of attempts")
    saved_attempt: Mapped[int] = mapped_column(
        default=0, server_default="0", comment="last attempt with a checkpoint; attempts are counted from it"
    )
    not_before: Mapped[datetime | None] = mapped_column(comment="does not start before, because the storage failed")
    claim_token: Mapped[UUID | None] = mapped_column(comment="only the worker with this token may write the row")
    worker: Mapped[str | None] = mapped_column(String(200), comment="host:pid of the last claim")
    created_at: Mapped[datetime]
    published_at: Mapped[datetime | None] = mapped_column(comment="time of the last message")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None] = mapped_column(comment="after this time the worker counts as dead")
    progress: Mapped[float] = mapped_column(default=0.0, comment="0 to 1")
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    error: Mapped[str | None] = mapped_column(Text, comment="message of the last error")
    error_type: Mapped[str | None] = mapped_column(String(200))
    engine: Mapped[str | None] = mapped_column(String(40))
    engine_reason: Mapped[str | None] = mapped_column(Text, comment="why no faster engine was used")
    versions: Mapped[dict[str, Any] | None] = mapped_column(comment="versions of libraries and sources")
    source_id: Mapped[int | None] = mapped_column(
        ForeignKey("job.id"), comment="equal job of an earlier sweep whose files it shares"
    )

    # Read once for all jobs of a query.
    sweep: Mapped[Sweep] = relationship(back_populates="jobs", lazy="selectin")


class Attempt(Base):
    """An attempt that did not finish its job; the successful attempt is in the row of the job."""

    __tablename__ = "attempt"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)
    number: Mapped[int] = mapped_column(comment="number of the attempt, from 1; `retry` starts again at 1")
    worker: Mapped[str | None] = mapped_column(String(200), comment="host:pid")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(String(16), comment="error, lost, postponed, returned or canceled")
    error: Mapped[str | None] = mapped_column(Text)


class JobParameter(Base):
    """A swept parameter of one job; numbers as numbers, everything else as text."""

    __tablename__ = "job_parameter"
    __table_args__ = (
        Index(None, "name", "number", "job_id"),
        Index(None, "name", "text", "job_id"),
    )

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    number: Mapped[float | None] = mapped_column(Float(53))
    text: Mapped[str | None] = mapped_column(String(500))


class JobMetric(Base):
    """One number of a finished job's time series: of the first monitor by its name, of each as `monitors[1].name`."""

    __tablename__ = "job_metric"
    __table_args__ = (Index(None, "name", "number", "job_id"),)

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True, comment="such as KuramotoIndex")
    number: Mapped[float] = mapped_column(Float(53))


class Output(Base):
    """One finished H5 file."""

    __tablename__ = "output"

    id: Mapped[int] = mapped_column(primary_key=True)
    gid: Mapped[UUID] = mapped_column(unique=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), index=True)
    monitor: Mapped[str] = mapped_column(String(100))
    datatype: Mapped[str] = mapped_column(String(100), comment="TVB's class, such as TimeSeriesRegion")
    path: Mapped[str] = mapped_column(String(500), comment="relative to the data directory")
    format: Mapped[str] = mapped_column(String(20))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    shape: Mapped[list[Any]] = mapped_column(comment="time, state variable, space, mode")
    is_nan: Mapped[bool] = mapped_column(index=True)
    refers_to: Mapped[list[Any]] = mapped_column(comment="relative paths of the datatypes it refers to")
    transient: Mapped[float | None] = mapped_column(
        Float(53), comment="part at the start that its metrics leave out, ms"
    )
    missing: Mapped[dict[str, Any] | None] = mapped_column(comment="reasons for missing metrics, by name in job_metric")


class Receipt(Base):
    """A committed transaction, kept for a day, for a client that got no answer to its COMMIT."""

    __tablename__ = "receipt"

    gid: Mapped[UUID] = mapped_column(primary_key=True, comment="created by the client for one transaction")
    made_at: Mapped[datetime] = mapped_column(index=True)


class Boot(Base):
    """A start of the host of a SQLite database, and its time: the clock for leases."""

    __tablename__ = "boot"

    id: Mapped[str] = mapped_column(String(100), primary_key=True, comment="the operating system's id of the start")
    zero: Mapped[datetime] = mapped_column(comment="time at which the host's monotonic clock was 0")

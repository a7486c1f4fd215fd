"""Counts and statistics over jobs: durations, metrics, points of a sweep, workers."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text, and_, func, select
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.base import OWNER, Database, now, target_of
from tvb_batch.models.catalogue.filter_language import FIELDS, FieldType
from tvb_batch.models.catalogue.filter_sql import running_time
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, JobMetric, Output


@dataclass(frozen=True)
class Spread:
    """Number, minimum, mean and maximum of some values."""

    count: int
    least: float
    mean: float
    most: float


@dataclass(frozen=True)
class JobValue:
    """A job of a sweep, as a plot needs it."""

    gid: UUID
    number: int
    status: Status
    parameters: Mapping[str, Any]
    #: The value of a metric or field; None if the job has none.
    value: float | None


@dataclass(frozen=True)
class Lacking:
    """A metric that some finished jobs of a sweep lack."""

    name: str
    jobs: int
    #: The most common reason.
    reason: str
    #: Number of other reasons.
    others: int = 0


@dataclass(frozen=True)
class WorkerRow:
    """One worker process, as the rows of its jobs describe it."""

    #: host:pid
    name: str
    #: Running jobs; normally one.
    running: Sequence[Job]
    #: When it last extended a lease or ended a job.
    heard: datetime | None
    finished: int
    failed: int


class Statistics(Database):
    """Numbers over many jobs."""

    def durations(self, sweep: UUID) -> Spread | None:
        """Return the running times of finished jobs of a sweep, without reused ones; None before the first."""
        seconds = running_time()
        ran = and_(target_of(sweep, None), Job.status == Status.FINISHED, Job.started_at.is_not(None))
        query = select(func.count(), func.min(seconds), func.avg(seconds), func.max(seconds)).where(ran)
        count, *values = self._read(lambda session: session.execute(query).one())
        return Spread(count, *map(float, values)) if count else None

    def spreads(self, sweep: UUID) -> dict[str, Spread]:
        """Every metric of a sweep's jobs by its name; those of the first monitor by their short names alone."""
        number = JobMetric.number
        query = (
            select(JobMetric.name, func.count(), func.min(number), func.avg(number), func.max(number))
            .join(Job, JobMetric.job_id == OWNER)
            .where(target_of(sweep, None), JobMetric.name.not_like("monitors[0].%"))
            .group_by(JobMetric.name)
            .order_by(JobMetric.name)
        )
        return {name: Spread(*rest) for name, *rest in self._read(lambda session: session.execute(query).all())}

    def points(self, sweep: UUID, name: str, *, numbers: Sequence[int] | None = None) -> list[JobValue]:
        """Return the jobs of a sweep in order, with the values of a metric or numeric field.

        Parameters
        ----------
        numbers : the numbers of the wanted jobs; None for all jobs
        """
        query = select(Job.gid, Job.number, Job.status, Job.parameters)
        if FIELDS.get(name) is FieldType.NUMBER:
            query = query.add_columns(running_time() if name == "duration" else getattr(Job, name))
        else:
            query = query.add_columns(JobMetric.number)
            query = query.outerjoin(JobMetric, and_(JobMetric.job_id == OWNER, JobMetric.name == name))
        query = query.where(target_of(sweep, None)).order_by(Job.number)
        if numbers is not None:
            query = query.where(Job.number.in_(numbers))
        return [JobValue(*row) for row in self._read(lambda session: session.execute(query).all())]

    def lacking(self, sweep: UUID) -> list[Lacking]:
        """Return the metrics without a value in some finished jobs of a sweep, with the reasons, sorted by name."""
        # Reasons repeat, so the database counts equal texts and few rows are read.
        text = sql_cast(Output.missing, Text)
        query = select(text, func.count()).join(Job, Output.job_id == OWNER)
        query = query.where(target_of(sweep, None), Output.missing.is_not(None)).group_by(text)
        reasons: dict[str, Counter[str]] = {}
        for missing, count in self._read(lambda session: session.execute(query).all()):
            for name, reason in json.loads(missing).items():
                reasons.setdefault(name, Counter())[reason] += count
        return [
            Lacking(name, counted.total(), max(counted, key=lambda one: (counted[one], one)), len(counted) - 1)
            for name, counted in sorted(reasons.items())
        ]

    def metric_names(self, sweep: UUID) -> list[str]:
        """Return the names of the metrics of one finished job of the sweep, sorted."""
        owner = select(OWNER)
        owner = owner.where(target_of(sweep, None), Job.status == Status.FINISHED).limit(1)
        query = select(JobMetric.name).where(JobMetric.job_id == owner.scalar_subquery()).order_by(JobMetric.name)
        return self._read(lambda session: list(session.scalars(query)))

    def workers(self, lease: timedelta, *, since: timedelta = timedelta(hours=1)) -> list[WorkerRow]:
        """Return the workers that run a job or have recently ended one, by name.

        Parameters
        ----------
        lease : the length of a lease, from which the last heartbeat is computed
        since : the length of the recent time
        """
        clock = self.lease_clock()

        def work(session: Session) -> list[WorkerRow]:
            running: dict[str, list[Job]] = {}
            for job in session.scalars(select(Job).where(Job.status == Status.STARTED).order_by(Job.started_at)):
                running.setdefault(job.worker or "", []).append(job)
            is_failed = Job.status == Status.ERROR
            ended = (
                select(Job.worker, func.count(), func.count().filter(is_failed), func.max(Job.finished_at))
                .where(Job.finished_at > now() - since, Job.worker.is_not(None))
                .group_by(Job.worker)
            )
            known = {name or "": (count - failed, failed, last) for name, count, failed, last in session.execute(ended)}
            rows = []
            for name in sorted({*running, *known}):
                finished, failed, last = known.get(name, (0, 0, None))
                ages = [clock - (job.lease_until - lease) for job in running.get(name, ()) if job.lease_until]
                heard = max([*(now() - age for age in ages), *([last] if last else [])], default=None)
                rows.append(WorkerRow(name, running.get(name, ()), heard, finished, failed))
            return rows

        return self._read(work)

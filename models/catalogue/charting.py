"""What pictures ask: a sweep's points with one number each, and which workers are at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from models.catalogue.base import Database, now
from models.status import Status
from models.tables import Job, JobMetric, Sweep

#: What colours a point besides a metric: how long the job took. Seconds.
DURATION = "duration"


@dataclass(frozen=True)
class SweepPoint:
    """A finished job's place in its sweep, and the number that was asked for."""

    gid: UUID
    number: int
    parameters: Mapping[str, Any]
    #: None where the job has none.
    value: float | None


@dataclass(frozen=True)
class WorkerSummary:
    """A worker process as its jobs' rows tell of it."""

    #: host:pid
    name: str
    running: int
    finished: int
    failed: int
    last_seen: datetime | None


class Charting(Database):
    """What pictures and the page of workers read."""

    def points(self, sweep: Sweep, value: str, *, most: int = 2500) -> list[SweepPoint]:
        """Finished jobs of a sweep with a metric, or their `duration` in s; of a large sweep every so manyth job."""
        step = -(-sweep.size // most)
        wanted = select(Job.gid, Job.number, Job.parameters, Job.started_at, Job.finished_at, JobMetric.number)
        has_it = and_(JobMetric.job_id == func.coalesce(Job.source_id, Job.id), JobMetric.name == value)
        query = wanted.outerjoin(JobMetric, has_it).where(Job.sweep_id == sweep.id, Job.status == Status.FINISHED)
        if step > 1:
            query = query.where(Job.number.in_(range(0, sweep.size, step)))

        def work(session: Session) -> list[SweepPoint]:
            return [
                SweepPoint(gid, number, parameters, _seconds(began, ended) if value == DURATION else metric)
                for gid, number, parameters, began, ended, metric in session.execute(query.order_by(Job.number))
            ]

        return self._read(work)

    def metric_names(self, sweep: Sweep) -> list[str]:
        """The metrics that a finished job of the sweep has, in the order of their names."""
        owner = (
            select(func.coalesce(Job.source_id, Job.id))
            .where(Job.sweep_id == sweep.id, Job.status == Status.FINISHED)
            .limit(1)
            .scalar_subquery()
        )
        query = select(JobMetric.name).where(JobMetric.job_id == owner).order_by(JobMetric.name)
        return self._read(lambda session: list(session.scalars(query)))

    def workers(self, *, within: timedelta = timedelta(hours=1)) -> list[WorkerSummary]:
        """Workers that run jobs, or ended one not longer ago than `within`; the busiest first."""
        since = now() - within
        seen = or_(Job.status == Status.STARTED, Job.finished_at > since)
        query = (
            select(Job.worker, Job.status, func.count(), func.max(Job.finished_at), func.max(Job.started_at))
            .where(seen, Job.worker.is_not(None))
            .group_by(Job.worker, Job.status)
        )

        def work(session: Session) -> list[WorkerSummary]:
            return _summaries(session.execute(query).all())

        return self._read(work)


def _seconds(began: datetime | None, ended: datetime | None) -> float | None:
    return None if began is None or ended is None else (ended - began).total_seconds()


def _summaries(rows: Sequence[Any]) -> list[WorkerSummary]:
    counts: dict[str, dict[Status, int]] = {}
    times: dict[str, list[datetime]] = {}
    for name, status, count, ended, began in rows:
        counts.setdefault(name, {})[status] = count
        times.setdefault(name, []).extend(time for time in (ended, began) if time is not None)
    found = [
        WorkerSummary(
            name,
            by_status.get(Status.STARTED, 0),
            by_status.get(Status.FINISHED, 0),
            by_status.get(Status.ERROR, 0),
            max(times[name], default=None),
        )
        for name, by_status in counts.items()
    ]
    return sorted(found, key=lambda worker: (-worker.running, -worker.finished, worker.name))

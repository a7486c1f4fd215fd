"""What is read of sweeps, jobs, files and metrics."""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from models.catalogue.base import BATCH, Database, target_of
from models.conditions import Condition
from models.errors import NotFoundError
from models.status import Status
from models.tables import Job, JobMetric, JobParameter, Output, Sweep, SweepParameter

Row = TypeVar("Row", Sweep, Job)

_OPERATORS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@dataclass(frozen=True)
class SweepSummary:
    """A sweep and how many of its jobs are in which state."""

    sweep: Sweep
    counts: Mapping[Status, int]


class Looking(Database):
    """What anyone reads."""

    def sweeps(self, limit: int = 100) -> list[SweepSummary]:
        """Sweeps, newest first."""

        def work(session: Session) -> list[SweepSummary]:
            found = list(session.scalars(select(Sweep).order_by(Sweep.id.desc()).limit(limit)))
            counted = (
                select(Job.sweep_id, Job.status, func.count())
                .where(Job.sweep_id.in_([sweep.id for sweep in found]))
                .group_by(Job.sweep_id, Job.status)
            )
            counts: dict[int, dict[Status, int]] = {}
            for sweep_id, status, count in session.execute(counted):
                counts.setdefault(sweep_id, {})[status] = count
            return [SweepSummary(sweep, counts.get(sweep.id, {})) for sweep in found]

        return self._read(work)

    def counts(self, sweep: UUID) -> dict[Status, int]:
        """How many jobs of a sweep are in which state."""
        query = select(Job.status, func.count()).where(target_of(sweep, None)).group_by(Job.status)
        return self._read(lambda session: dict(session.execute(query).all()))

    def jobs(
        self, *, sweep: UUID | None = None, status: Status | None = None, where: Sequence[Condition] = (),
        limit: int = 100, offset: int = 0,
    ) -> list[Job]:  # fmt: skip
        """Jobs that fit all of the filters, newest sweep first, in the order of its points."""
        query = select(Job).where(*_filters(sweep, status, where))
        query = query.order_by(Job.sweep_id.desc(), Job.number).limit(limit).offset(offset)
        return self._read(lambda session: list(session.scalars(query)))

    def count(self, *, sweep: UUID | None = None, status: Status | None = None, where: Sequence[Condition] = ()) -> int:
        """How many jobs fit all of the filters."""
        query = select(func.count(Job.id)).where(*_filters(sweep, status, where))
        return self._read(lambda session: session.scalar(query) or 0)

    def outputs(self, jobs: Sequence[UUID]) -> list[Output]:
        """The files of jobs, in the order of the jobs' points and their monitors."""

        def work(session: Session) -> list[Output]:
            found: list[Output] = []
            for start in range(0, len(jobs), BATCH):
                owner = func.coalesce(Job.source_id, Job.id)
                query = select(Output).join(Job, owner == Output.job_id)
                query = query.where(Job.gid.in_(jobs[start : start + BATCH]))
                found += session.scalars(query.order_by(Job.id, Output.id))
            return found

        return self._read(work)

    def output(self, gid: UUID) -> Output:
        """One file's row.

        Raises
        ------
        NotFoundError
            There is none.
        """
        found = self._read(lambda session: session.scalar(select(Output).where(Output.gid == gid)))
        if found is None:
            raise NotFoundError(f"{gid}: no output has this gid")
        return found

    def metrics(self, jobs: Sequence[UUID]) -> dict[UUID, dict[str, float]]:
        """The metrics of jobs, by name."""

        def work(session: Session) -> dict[UUID, dict[str, float]]:
            found: dict[UUID, dict[str, float]] = {gid: {} for gid in jobs}
            for start in range(0, len(jobs), BATCH):
                query = select(Job.gid, JobMetric.name, JobMetric.number)
                query = query.join(JobMetric, func.coalesce(Job.source_id, Job.id) == JobMetric.job_id)
                for gid, name, number in session.execute(query.where(Job.gid.in_(jobs[start : start + BATCH]))):
                    found[gid][name] = number
            return found

        return self._read(work)

    def find(self, key: str) -> Job | Sweep:
        """The sweep or the job with this gid, beginning of a gid, or name.

        Raises
        ------
        NotFoundError
            There is none, or more than one.
        """
        try:
            return self.find_sweep(key)
        except NotFoundError as no_sweep:
            try:
                return self.find_job(key)
            except NotFoundError:
                raise no_sweep from None

    def find_sweep(self, key: str) -> Sweep:
        """The sweep with this gid, beginning of a gid, or name; of several with one name the newest."""
        by_gid = self._by_gid(Sweep, key)
        if by_gid is not None:
            return by_gid
        newest = select(Sweep).where(Sweep.name == key).order_by(Sweep.id.desc()).limit(1)
        found = self._read(lambda session: session.scalar(newest))
        if found is None:
            raise NotFoundError(f"{key}: no sweep or job has this name or gid; `tvb-batch sweeps` lists what there is")
        return found

    def find_job(self, key: str) -> Job:
        """The job with this gid or beginning of a gid."""
        found = self._by_gid(Job, key)
        if found is None:
            raise NotFoundError(f"{key}: no job has this gid; `tvb-batch list` lists what there is")
        return found

    def _by_gid(self, table: type[Row], key: str) -> Row | None:
        digits = key.replace("-", "").lower()
        if not 4 <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
            return None
        low, high = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        query = select(table).where(table.gid >= low, table.gid <= high).limit(2)
        found = self._read(lambda session: list(session.scalars(query)))
        if len(found) > 1:
            raise NotFoundError(f"{key}: more than one gid begins so; type more of it")
        return found[0] if found else None


def _filters(sweep: UUID | None, status: Status | None, where: Sequence[Condition]) -> list[ColumnElement[bool]]:
    filters = [_fits(condition) for condition in where]
    if sweep is not None:
        filters.append(target_of(sweep, None))
    if status is not None:
        filters.append(Job.status == status)
    return filters


def _fits(condition: Condition) -> ColumnElement[bool]:
    """Jobs whose own parameter or metric fits, or whose sweep's parameter does where the job has none of that name."""
    own = select(JobParameter.job_id).where(JobParameter.name == condition.name, _compares(JobParameter, condition))
    shared = select(SweepParameter.sweep_id).where(
        SweepParameter.name == condition.name, _compares(SweepParameter, condition)
    )
    fitting = [Job.id.in_(own), Job.sweep_id.in_(shared)]
    if isinstance(condition.value, float):
        compare = _OPERATORS[condition.operator]
        measured = select(JobMetric.job_id).where(
            JobMetric.name == condition.name, compare(JobMetric.number, condition.value)
        )
        fitting.append(func.coalesce(Job.source_id, Job.id).in_(measured))
    return or_(*fitting)


def _compares(table: Any, condition: Condition) -> ColumnElement[bool]:
    column = table.number if isinstance(condition.value, float) else table.text
    result: ColumnElement[bool] = _OPERATORS[condition.operator](column, condition.value)
    return result

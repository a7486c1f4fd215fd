"""Queries for sweeps, jobs, files and metrics."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, Text, bindparam, column, exists, func, select, text
from sqlalchemy import cast as sql_cast
from sqlalchemy.orm import Session

from tvb_batch.models.catalogue.base import BATCH, OWNER, Database, target_of
from tvb_batch.models.catalogue.filter_language import Filter, sort_keys
from tvb_batch.models.catalogue.filter_sql import FEW, along_index, filter_clause, gid_range, in_order, tables_of
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Attempt, Job, JobMetric, JobParameter, Output, Sweep, SweepParameter
from tvb_batch.models.errors import NotFoundError

Entity = TypeVar("Entity", Sweep, Job)


@dataclass(frozen=True)
class SweepSummary:
    """A sweep and the number of its jobs by status."""

    sweep: Sweep
    counts: Mapping[Status, int]


@dataclass(frozen=True)
class Waiting:
    """Jobs that are pending again after an error of one class."""

    #: The class of the error.
    kind: str
    jobs: int
    #: The message of one of the errors.
    error: str
    #: None of the jobs starts before; None if they can start now.
    not_before: datetime | None


def _waiting_again(hint: str) -> Any:
    query = text(
        f"SELECT error_type, count(*) AS jobs, min(error) AS error, min(not_before) AS not_before FROM job {hint} "  # noqa: S608 - no value
        "WHERE status = 'PENDING' AND error IS NOT NULL AND sweep_id IN (SELECT id FROM sweep WHERE gid IN :gids) "
        "GROUP BY error_type ORDER BY count(*) DESC, error_type"
    ).bindparams(bindparam("gids", expanding=True, type_=Sweep.gid.type))
    return query.columns(*(column(name) for name in ("error_type", "jobs", "error")), column("not_before", _MOMENT))


_MOMENT = Job.not_before.type
#: For SQLite (True) and others (False). SQLite would read all pending jobs of a sweep otherwise.
_WAITING_AGAIN = {False: _waiting_again(""), True: _waiting_again("INDEXED BY ix_job_waiting_again")}


class Queries(Database):
    """Queries of the catalogue."""

    def sweeps(self, limit: int = 100, *, unfinished: bool = False) -> list[SweepSummary]:
        """Return sweeps, newest first.

        Parameters
        ----------
        unfinished : only sweeps with pending or running jobs
        """
        going = exists().where(Job.sweep_id == Sweep.id, Job.status.in_([Status.PENDING, Status.STARTED]))
        wanted = [going] if unfinished else []

        def work(session: Session) -> list[SweepSummary]:
            found = list(session.scalars(select(Sweep).where(*wanted).order_by(Sweep.id.desc()).limit(limit)))
            return [SweepSummary(sweep, counts) for sweep, counts in zip(found, _counts(session, found), strict=True)]

        return self._read(work)

    def waiting_again(self, sweeps: Sequence[UUID]) -> list[Waiting]:
        """Return why jobs of these sweeps are pending again, by class of error, most jobs first."""
        found = _WAITING_AGAIN[self._is_sqlite]
        rows = self._read(lambda session: session.execute(found, {"gids": list(sweeps)}).all())
        return [Waiting(kind or "", jobs, error or "", due) for kind, jobs, error, due in rows]

    def counts(self, sweep: UUID) -> dict[Status, int]:
        """Return the number of jobs of a sweep by status."""
        return self._read(lambda session: _counts_of(session, sweep))

    def jobs(
        self, *, sweep: UUID | None = None, status: Status | None = None, where: Filter | str | None = None,
        sort: str = "", limit: int = 100, offset: int = 0,
    ) -> list[Job]:  # fmt: skip
        """Return jobs that match all filters, newest sweep first, in the order of its points.

        Parameters
        ----------
        where : such as `coupling.a >= 5 and KuramotoIndex > 0.8`; see `models.catalogue.filter_language`
        sort : names to sort by, such as `-duration,coupling.a`; jobs without such a value come last

        Raises
        ------
        FilterError
            `where` or `sort` is invalid.
        """
        fits, keys = _Fits(sweep, status, Filter.all_of(where)), sort_keys(sort) if sort else []

        def work(session: Session) -> list[Job]:
            tables = tables_of(session, [name for name, _ in keys])
            if keys and fits.are_many(session, limit + offset):
                ordered = along_index(session, keys, tables, sweep)
                ids = [] if ordered is None else list(session.scalars(ordered.limit(limit).offset(offset)))
                # Then the jobs without a value.
                if ids and len(ids) == limit:
                    return _in_turn(session, ids)
            # Sort without the other columns, which are large.
            ordered = in_order(fits.narrow(session, select(Job.id)), keys, tables)
            return _in_turn(session, list(session.scalars(ordered.limit(limit).offset(offset))))

        return self._read(work)

    def count(
        self, *, sweep: UUID | None = None, status: Status | None = None, where: Filter | str | None = None
    ) -> int:
        """Return the number of jobs that match all filters."""
        fits = _Fits(sweep, status, Filter.all_of(where))
        return self._read(
            lambda session: session.scalar(fits.narrow(session, select(func.count()).select_from(Job))) or 0
        )

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Return the names that are neither a field nor a parameter or metric of any job."""
        return self._read(lambda session: [name for name, found in tables_of(session, names).items() if not found])

    def outputs(self, jobs: Sequence[UUID]) -> list[Output]:
        """Return the files of jobs, in the order of points and monitors."""

        def work(session: Session) -> list[Output]:
            found: list[Output] = []
            for start in range(0, len(jobs), BATCH):
                query = select(Output).join(Job, Output.job_id == OWNER)
                query = query.where(Job.gid.in_(jobs[start : start + BATCH]))
                found += session.scalars(query.order_by(Job.id, Output.id))
            return found

        return self._read(work)

    def attempts(self, job: UUID) -> list[Attempt]:
        """Return the attempts that did not finish a job, the first one first."""
        query = select(Attempt).join(Job, Job.id == Attempt.job_id).where(Job.gid == job).order_by(Attempt.id)
        return self._read(lambda session: list(session.scalars(query)))

    def output(self, gid: UUID) -> Output:
        """Return the row of one file.

        Raises
        ------
        NotFoundError
            There is none.
        """
        found = self._read(lambda session: session.scalar(select(Output).where(Output.gid == gid)))
        if found is None:
            raise NotFoundError(f"{gid}: no output has this gid")
        return found

    def parameters(self, jobs: Sequence[Job], names: Sequence[str]) -> dict[UUID, dict[str, float | str]]:
        """Return parameters of jobs, swept or not, as filters compare them."""

        def work(session: Session) -> dict[UUID, dict[str, float | str]]:
            shared: dict[int, dict[str, float | str]] = {job.sweep_id: {} for job in jobs}
            rows = session.scalars(
                select(SweepParameter).where(SweepParameter.sweep_id.in_(shared), SweepParameter.name.in_(names))
            )
            for row in rows:
                shared[row.sweep_id][row.name] = row.text or "" if row.number is None else row.number
            found = {job.gid: dict(shared[job.sweep_id]) for job in jobs}
            for start in range(0, len(jobs), BATCH):
                gids = {job.id: job.gid for job in jobs[start : start + BATCH]}
                own = select(JobParameter).where(JobParameter.job_id.in_(gids), JobParameter.name.in_(names))
                for one in session.scalars(own):
                    found[gids[one.job_id]][one.name] = one.text or "" if one.number is None else one.number
            return found

        return self._read(work)

    def metrics(self, jobs: Sequence[UUID]) -> dict[UUID, dict[str, float]]:
        """Return the metrics of jobs by name."""

        def work(session: Session) -> dict[UUID, dict[str, float]]:
            found: dict[UUID, dict[str, float]] = {gid: {} for gid in jobs}
            for start in range(0, len(jobs), BATCH):
                query = select(Job.gid, JobMetric.name, JobMetric.number)
                query = query.join(JobMetric, JobMetric.job_id == OWNER)
                for gid, name, number in session.execute(query.where(Job.gid.in_(jobs[start : start + BATCH]))):
                    found[gid][name] = number
            return found

        return self._read(work)

    def missing_metrics(self, jobs: Sequence[UUID]) -> dict[UUID, dict[str, str]]:
        """Return why finished jobs lack metrics, by name of metric."""

        def work(session: Session) -> dict[UUID, dict[str, str]]:
            found: dict[UUID, dict[str, str]] = {gid: {} for gid in jobs}
            for start in range(0, len(jobs), BATCH):
                query = select(Job.gid, Output.missing).join(Output, Output.job_id == OWNER)
                query = query.where(Job.gid.in_(jobs[start : start + BATCH]), Output.missing.is_not(None))
                for gid, missing in session.execute(query.order_by(Output.id)):
                    found[gid] |= missing
            return found

        return self._read(work)

    def why_missing(self, name: str) -> str | None:
        """Return why the newest output without this metric lacks it; None if no recent output says so."""
        # A misspelled name must not read a million rows.
        of_late = Output.id > select(func.max(Output.id)).scalar_subquery() - FEW
        holds = sql_cast(Output.missing, Text).contains(json.dumps(name), autoescape=True)
        query = select(Output.missing).where(of_late, Output.missing.is_not(None), holds)
        query = query.order_by(Output.id.desc()).limit(1)
        missing = self._read(lambda session: session.scalar(query))
        return missing.get(name) if missing else None

    def find(self, key: str) -> Job | Sweep:
        """Return the sweep or job with this gid, first characters of a gid, or name.

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
        """Return the sweep with this gid, first characters of a gid, or name; the newest of several."""
        by_gid = self._by_gid(Sweep, key)
        if by_gid is not None:
            return by_gid
        newest = select(Sweep).where(Sweep.name == key).order_by(Sweep.id.desc()).limit(1)
        found = self._read(lambda session: session.scalar(newest))
        if found is None:
            raise NotFoundError(f"{key}: no sweep or job has this name or gid; `tvb-batch sweeps` lists all sweeps")
        return found

    def plan(self, sweep: UUID) -> dict[str, Any]:
        """Return the plan of a sweep, as in `models.spec.points`; empty if there is no such sweep."""
        query = select(Sweep.plan).where(Sweep.gid == sweep)
        return self._read(lambda session: session.scalar(query)) or {}

    def find_job(self, key: str) -> Job:
        """Return the job with this gid or first characters of a gid."""
        found = self._by_gid(Job, key)
        if found is None:
            raise NotFoundError(f"{key}: no job has this gid; `tvb-batch list` lists all jobs")
        return found

    def _by_gid(self, table: type[Entity], key: str) -> Entity | None:
        gids = gid_range(key)
        if gids is None:
            return None
        query = select(table).where(table.gid >= gids[0], table.gid <= gids[1]).limit(2)
        found = self._read(lambda session: list(session.scalars(query)))
        if len(found) > 1:
            raise NotFoundError(f"{key}: more than one gid starts with this; type more characters")
        return found[0] if found else None


def _counts(session: Session, sweeps: Sequence[Sweep]) -> list[dict[Status, int]]:
    """Return the number of jobs of each sweep by status; finished jobs are derived, not counted."""
    counts: dict[int, dict[Status, int]] = {sweep.id: {} for sweep in sweeps}
    others = [status for status in Status if status != Status.FINISHED]
    counted = select(Job.sweep_id, Job.status, func.count()).where(Job.sweep_id.in_(counts), Job.status.in_(others))
    for sweep_id, status, count in session.execute(counted.group_by(Job.sweep_id, Job.status)):
        counts[sweep_id][status] = count
    for sweep in sweeps:
        finished = sweep.size - sum(counts[sweep.id].values())
        counts[sweep.id] |= {Status.FINISHED: finished} if finished else {}
    return list(counts.values())


def _counts_of(session: Session, sweep: UUID) -> dict[Status, int]:
    found = session.scalars(select(Sweep).where(Sweep.gid == sweep)).all()
    return next(iter(_counts(session, found)), {})


def _in_turn(session: Session, ids: Sequence[int]) -> list[Job]:
    found: dict[int, Job] = {}
    for start in range(0, len(ids), BATCH):
        found |= {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(ids[start : start + BATCH])))}
    return [found[job_id] for job_id in ids if job_id in found]


@dataclass(frozen=True)
class _Fits:
    """Filters of jobs, before their names are looked up."""

    sweep: UUID | None
    status: Status | None
    where: Filter | None

    def are_many(self, session: Session, wanted: int) -> bool:
        """Whether so few are wanted of all jobs, or of a sweep with many finished ones, that sorting all is a waste."""
        if self.status is not None or self.where is not None:
            return False
        if self.sweep is None:
            return True
        return wanted <= FEW // 20 and _counts_of(session, self.sweep).get(Status.FINISHED, 0) > FEW

    def narrow(self, session: Session, query: Select[Any]) -> Select[Any]:
        if self.sweep is not None:
            query = query.where(target_of(self.sweep, None))
        if self.status is not None:
            query = query.where(Job.status == self.status)
        if self.where is not None:
            query = query.where(filter_clause(session, self.where.tree))
        return query

"""Queries for the files that rows name, for checks against the data directory."""

from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import ColumnElement, select

from tvb_batch.models.catalogue.base import BATCH, OWNER, Database, target_of
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, Output, Sweep
from tvb_batch.models.spec.sections import files_of


class FileRecords(Database):
    """All rows that name a file, page by page."""

    def output_rows(self, *, sweep: UUID | None = None, job: UUID | None = None) -> Iterator[Output]:
        """Yield the outputs of a job, of a sweep or of all; for shared files, those of the earlier job."""
        last = 0
        while True:
            owners = select(OWNER).where(*_of(sweep, job))
            query = select(Output).where(Output.id > last).order_by(Output.id).limit(BATCH)
            if sweep or job:
                query = query.where(Output.job_id.in_(owners))
            page = self._read(lambda session, query=query: list(session.scalars(query)))  # type: ignore[misc]
            yield from page
            if len(page) < BATCH:
                return
            last = page[-1].id

    def paths_in(self, sweep: UUID) -> set[str]:
        """Return the relative paths of outputs in the directory of a sweep, which may be deleted itself."""
        query = select(Output.path).where(Output.path.like(f"%/{sweep.hex}/%"))
        return self._read(lambda session: set(session.scalars(query)))

    def without_output(self, *, sweep: UUID | None = None, job: UUID | None = None) -> list[UUID]:
        """Return FINISHED jobs without rows for their outputs."""
        lost = OWNER.not_in(select(Output.job_id))
        query = select(Job.gid).where(Job.status == Status.FINISHED, lost, *_of(sweep, job)).order_by(Job.id)
        return self._read(lambda session: list(session.scalars(query)))

    def unfinished(self) -> set[UUID]:
        """Return jobs that may be writing files, or may continue from some."""
        query = select(Job.gid).where(Job.status.in_([Status.PENDING, Status.STARTED]))
        return self._read(lambda session: set(session.scalars(query)))

    def input_names(self, sweep: UUID | None = None) -> set[str]:
        """Return the input files in the spec of a sweep, or in all specs, as `inputs/<sha256><suffix>`."""
        found: set[str] = set()
        last = 0
        while True:
            query = select(Sweep.id, Sweep.base, Sweep.plan).where(Sweep.id > last).order_by(Sweep.id).limit(BATCH)
            query = query if sweep is None else query.where(Sweep.gid == sweep)
            page = self._read(lambda session, query=query: session.execute(query).all())  # type: ignore[misc]
            for one in page:
                named = [*files_of(one.base), *files_of(one.plan)]
                found |= {section["from_file"] for _, section in named}
            if len(page) < BATCH:
                return found
            last = page[-1].id


def _of(sweep: UUID | None, job: UUID | None) -> list[ColumnElement[bool]]:
    return [target_of(sweep, job)] if sweep or job else []

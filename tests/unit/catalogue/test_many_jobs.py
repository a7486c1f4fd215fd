"""The number of the catalogue's statements does not grow with the jobs of a sweep, on SQLite and PostgreSQL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from catalogues import add, finished, first, output
from sqlalchemy import event

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status

LEASE = timedelta(seconds=60)


@pytest.fixture
def catalogue(each_catalogue: Catalogue) -> Catalogue:
    return each_catalogue


@contextmanager
def statements_of(catalogue: Catalogue) -> Iterator[list[str]]:
    """Record every statement that is sent within the block."""
    sent: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        sent.append(statement)

    event.listen(catalogue._engine, "before_cursor_execute", note)
    yield sent
    event.remove(catalogue._engine, "before_cursor_execute", note)


def claim_and_finish(catalogue: Catalogue) -> None:
    claim = catalogue.claim_fairly(None, "w", LEASE)
    assert claim is not None
    catalogue.heartbeat(claim, 0.5, LEASE)
    catalogue.finish(claim, [output(metrics={"m": 1.0})], engine="reference", versions={})


READS: dict[str, Callable[[Catalogue], object]] = {
    "jobs": lambda here: here.jobs(limit=9),
    "jobs by parameter": lambda here: here.jobs(where="coupling.a > 0", limit=9),
    "one job": lambda here: here.find_job(str(here.jobs(limit=1)[0].gid)),
    "one sweep": lambda here: here.find_sweep("s"),
    "sweeps": lambda here: here.sweeps(),
    "counts": lambda here: here.counts(here.find_sweep("s").gid),
    "workers": lambda here: here.workers(LEASE),
    "points": lambda here: here.points(here.find_sweep("s").gid, "m"),
    "next to publish": lambda here: here.unpublished(9),
    "a job's life": claim_and_finish,
    "reuse": lambda here: add(here, 3, "again"),
}


@pytest.mark.parametrize("name", READS)
def test_queries_do_not_read_the_plan_if_they_do_not_need_it(catalogue, name: str) -> None:
    made = add(catalogue, 3)
    finished(catalogue, made)
    catalogue.claim(first(catalogue, made).gid, "w", LEASE)

    with statements_of(catalogue) as sent:
        READS[name](catalogue)

    reads = [statement for statement in sent if not statement.startswith("INSERT INTO sweep ")]
    assert reads
    assert not [statement for statement in reads if "plan" in statement]
    assert catalogue.plan(made.gid) == {"grid": {"coupling.a": [0.0, 1.0, 2.0]}}
    assert catalogue.plan(uuid4()) == {}


def test_jobs_of_a_page_have_their_sweeps_by_one_statement(catalogue) -> None:
    few, many = add(catalogue, 2, "few"), add(catalogue, 30, "many")

    with statements_of(catalogue) as sent_for_two:
        jobs = catalogue.jobs(limit=2)
    with statements_of(catalogue) as sent_for_all:
        jobs = catalogue.jobs(limit=32)

    assert {job.sweep.name for job in jobs} == {"few", "many"}
    assert {job.sweep.base["simulation_length"] for job in jobs} == {20.0}
    assert len(sent_for_all) == len(sent_for_two)
    assert few.gid != many.gid


@pytest.mark.slow
def test_a_delete_takes_as_many_statements_for_many_jobs_as_for_few(catalogue) -> None:
    taken = []
    for jobs in (3, 40):
        source = add(catalogue, jobs, f"source {jobs}")
        for job in catalogue.jobs(sweep=source.gid):
            made = output(path=f"outputs/{source.gid.hex}/{job.gid.hex}/x.h5", metrics={"m": float(job.number)})
            claim = catalogue.claim(job.gid, "w", LEASE)
            catalogue.finish(claim, [made], engine="reference", versions=_library())
        heir, other = add(catalogue, jobs, f"heir {jobs}"), add(catalogue, jobs, f"other {jobs}")
        assert catalogue.counts(other.gid) == {Status.FINISHED: jobs}

        with statements_of(catalogue) as sent:
            assert catalogue.delete(sweep=source.gid) == []
        taken.append(len(sent))

        for sweep_ in (heir, other):
            found = catalogue.jobs(sweep=sweep_.gid, limit=jobs)
            paths = [made.path for made in catalogue.outputs([job.gid for job in found])]
            assert len(set(paths)) == jobs
            assert {path.split("/")[1] for path in paths} == {source.gid.hex}
            values = catalogue.metrics([job.gid for job in found])
            assert [values[job.gid]["m"] for job in found] == [float(number) for number in range(jobs)]
        # The first of the jobs that shared a file owns it now, and the others share with it.
        assert {job.source_id for job in catalogue.jobs(sweep=heir.gid)} == {None}
        owners = {job.id for job in catalogue.jobs(sweep=heir.gid, limit=jobs)}
        assert {job.source_id for job in catalogue.jobs(sweep=other.gid, limit=jobs)} == owners
        catalogue.delete(sweep=heir.gid)
        assert len(catalogue.delete(sweep=other.gid)) == jobs
    assert taken[0] == taken[1]


def _library() -> dict[str, str]:
    from importlib.metadata import version

    return {"tvb-library": version("tvb-library")}


def test_a_claim_reads_waiting_jobs_in_the_order_of_an_index(catalogue) -> None:
    add(catalogue, 2_000)
    asked: list[tuple[str, Any]] = []

    def note(_connection, _cursor, statement, parameters, *_rest) -> None:
        asked.append((statement, parameters))

    is_sqlite = catalogue._engine.dialect.name == "sqlite"
    with catalogue._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    event.listen(catalogue._engine, "before_cursor_execute", note)
    assert catalogue.claim_fairly(None, "w", LEASE) is not None
    event.remove(catalogue._engine, "before_cursor_execute", note)

    [claim] = [one for one in asked if one[0].startswith("UPDATE job")]
    with catalogue._engine.connect() as connection:
        explain = "EXPLAIN QUERY PLAN" if is_sqlite else "EXPLAIN"
        plan = [str(step[-1]) for step in connection.exec_driver_sql(f"{explain} {claim[0]}", claim[1])]
    index = "waiting USING INDEX" if is_sqlite else "using ix_job_waiting on job waiting"
    assert any(index in step for step in plan), plan
    # All waiting jobs are read where they are sorted.
    assert not [step for step in plan if "Sort" in step or "TEMP B-TREE" in step], plan

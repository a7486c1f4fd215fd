"""The catalogue on SQLite and PostgreSQL: the same tests for both."""

import contextlib
import multiprocessing
import os
import threading
from datetime import timedelta
from importlib.metadata import version
from uuid import uuid4

import pytest
from catalogues import LEASE, add, finished, first, new_database, output
from conftest import SHORT, wait_until
from sqlalchemy import create_engine, text

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.filter_language import Filter
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import BusyError, LeaseLostError, NotFoundError
from tvb_batch.models.spec.sweep import SweepSpec, sweep

PAST = timedelta(seconds=-1)


@pytest.fixture
def catalogue(each_catalogue: Catalogue) -> Catalogue:
    return each_catalogue


# ------------------------------------------------------------------------------------------------------- databases


# ---------------------------------------------------------------------------------------------------------- adding


def test_a_sweep_is_added_with_all_its_jobs_waiting(catalogue) -> None:
    found = add(catalogue, 5)

    jobs = catalogue.jobs(sweep=found.gid)
    assert [(job.number, job.status, job.attempt, job.parameters) for job in jobs] == [
        (number, Status.PENDING, 0, {"coupling.a": float(number)}) for number in range(5)
    ]
    assert len({job.parameters_hash for job in jobs}) == len({job.seed for job in jobs}) == 5
    assert catalogue.counts(found.gid) == {Status.PENDING: 5}
    assert catalogue.sweeps()[0].counts == {Status.PENDING: 5}


@pytest.mark.slow
def test_more_jobs_than_one_insert_holds_keep_their_order(catalogue) -> None:
    found = catalogue.add_sweep(
        sweep(
            {**SHORT, "sweep": {"coupling.a": [float(n) for n in range(50)], "model.tau": [1.0 + n for n in range(90)]}}
        )
    )

    assert catalogue.count(sweep=found.gid) == 4500
    last = catalogue.jobs(sweep=found.gid, limit=10, offset=4490)[-1]
    assert (last.number, last.parameters) == (4499, {"coupling.a": 49.0, "model.tau": 90.0})
    assert catalogue.count(where="model.tau = 90") == 50


def test_finished_jobs_are_shared_and_not_run_again(catalogue) -> None:
    job, made = finished(catalogue, add(catalogue, 2, "first"))

    again = add(catalogue, 3, "again")

    jobs = catalogue.jobs(sweep=again.gid)
    assert [item.status for item in jobs] == [Status.FINISHED, Status.PENDING, Status.PENDING]
    assert [found.gid for found in catalogue.outputs([jobs[0].gid])] == [made.gid]
    assert (jobs[0].source_id, jobs[0].engine) == (job.id, "reference")
    assert catalogue.claim(jobs[0].gid, "w", LEASE) is None
    # Shared again, the files still belong to the first job.
    assert catalogue.jobs(sweep=add(catalogue, 1, "third").gid)[0].source_id == job.id


def test_metrics_are_found_by_name_and_value_and_shared(catalogue) -> None:
    found = add(catalogue, 2, "measured")
    for job, value in zip(catalogue.jobs(sweep=found.gid), (0.4, 0.95), strict=True):
        claim = catalogue.claim(job.gid, "w", LEASE)
        outputs = [output(metrics={"KuramotoIndex": value}), output(metrics={"mean": 2.0})]
        catalogue.finish(claim, outputs, engine="reference", versions={"tvb-library": version("tvb-library")})
    again = add(catalogue, 2, "again")

    def numbers(text: str, sweep_) -> list[int]:
        return [job.number for job in catalogue.jobs(sweep=sweep_.gid, where=text)]

    for one in (found, again):
        assert numbers("KuramotoIndex > 0.9", one) == [1]
        assert numbers("monitors[0].KuramotoIndex < 0.9", one) == [0]
        assert numbers("monitors[1].mean = 2", one) == [0, 1]
        assert numbers("mean = 2", one) == []
    job = catalogue.jobs(sweep=again.gid)[1]
    assert catalogue.metrics([job.gid])[job.gid] == {
        "KuramotoIndex": 0.95, "monitors[0].KuramotoIndex": 0.95, "monitors[1].mean": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{"title": "another"}, {"subject": "another"}, {"seed": 43}, {"simulation_length": 21.0}], ids=str
)
def test_jobs_with_other_data_or_annotation_are_run(catalogue, changes) -> None:
    finished(catalogue, add(catalogue, 1))

    assert catalogue.counts(add(catalogue, 1, **changes).gid) == {Status.PENDING: 1}


def test_results_of_another_tvb_are_run_again(catalogue) -> None:
    finished(catalogue, add(catalogue, 1), versions={"tvb-library": "1.0"})

    assert catalogue.counts(add(catalogue, 1).gid) == {Status.PENDING: 1}


def test_a_sweep_can_be_added_without_reuse(catalogue) -> None:
    finished(catalogue, add(catalogue, 1))

    again = catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": {"coupling.a": [0.0]}}), reuse=False)

    assert catalogue.counts(again.gid) == {Status.PENDING: 1}


def test_swept_objects_are_found_by_their_parts(catalogue) -> None:
    models = [{"class": "Kuramoto", "omega": 2.0}, {"class": "Generic2dOscillator"}]
    found = catalogue.add_sweep(sweep({**SHORT, "sweep": {"model": models, "repeats": 2}}))

    def numbers(text: str) -> list[int]:
        return [job.number for job in catalogue.jobs(sweep=found.gid, where=text)]

    assert numbers("model.class = Kuramoto") == [0, 1]
    assert numbers("model.omega = 2") == [0, 1]
    assert numbers("model.tau = 1") == [2, 3]
    assert numbers("repeat = 1") == [1, 3]
    assert numbers("coupling.class = Linear") == [0, 1, 2, 3]


def test_a_sweep_that_fails_half_way_leaves_nothing(catalogue) -> None:
    spec = sweep({**SHORT, "sweep": {"coupling.a": [1.0, 2.0]}})

    class Broken(SweepSpec):
        def points(self):
            yield from list(super().points())[:1]
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        catalogue.add_sweep(Broken(name=spec.name, base=spec.base, plan=spec.plan))

    assert catalogue.sweeps() == []
    assert catalogue.count() == 0


# ---------------------------------------------------------------------------------------------------------- claims


def test_a_job_is_claimed_once(catalogue) -> None:
    job = first(catalogue, add(catalogue))

    claim = catalogue.claim(job.gid, "one", LEASE)

    assert (claim.gid, claim.attempt, claim.spec.seed, claim.number) == (job.gid, 1, job.seed, 0)
    assert catalogue.claim(job.gid, "two", LEASE) is None
    assert catalogue.claim(uuid4(), "two", LEASE) is None
    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.worker) == (Status.STARTED, "one")


def test_a_claim_holds_the_whole_simulation_of_its_point(catalogue) -> None:
    spec = sweep({**SHORT, "sweep": {"coupling.a": [0.25]}})
    job = first(catalogue, catalogue.add_sweep(spec))

    claim = catalogue.claim(job.gid, "w", LEASE)

    [point] = spec.points()
    assert claim.spec == spec.simulation(point)


def claim_all(url: str, gids: list, ready, answers) -> None:
    catalogue = Catalogue.open(url)
    ready.wait()
    answers.put([gid for gid in gids if catalogue.claim(gid, str(os.getpid()), LEASE)])
    catalogue.dispose()


@pytest.mark.slow
def test_processes_that_race_for_jobs_get_each_job_once(catalogue, url) -> None:
    found = add(catalogue, 60)
    gids = [job.gid for job in catalogue.jobs(sweep=found.gid)]
    context = multiprocessing.get_context("spawn")
    ready, answers_ = context.Barrier(4), context.Queue()
    processes = [context.Process(target=claim_all, args=(url, gids, ready, answers_)) for _ in range(4)]
    for process in processes:
        process.start()

    claimed = [gid for _ in processes for gid in answers_.get(timeout=120)]
    for process in processes:
        process.join()

    assert sorted(claimed) == sorted(gids)
    assert {job.attempt for job in catalogue.jobs(sweep=found.gid)} == {1}


# --------------------------------------------------------------------------------------------- what a worker writes


def test_a_job_is_finished_with_its_files(catalogue) -> None:
    job = first(catalogue, add(catalogue))
    claim = catalogue.claim(job.gid, "w", LEASE)
    files = [output(), output(monitor="Bold", is_nan=True)]

    catalogue.finish(claim, files, engine="reference", versions={"numpy": "2"})

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.progress, found.engine, found.versions) == (
        Status.FINISHED,
        1.0,
        "reference",
        {"numpy": "2"},
    )
    assert found.claim_token is None
    stored = catalogue.outputs([job.gid])
    assert [(one.gid, one.bytes, tuple(one.shape), one.is_nan) for one in stored] == [
        (one.gid, one.bytes, one.shape, one.is_nan) for one in files
    ]


def test_finishing_is_all_or_nothing(catalogue) -> None:
    job = first(catalogue, add(catalogue))
    claim = catalogue.claim(job.gid, "w", LEASE)
    twice = uuid4()

    with pytest.raises(Exception, match=r"(?i)unique"):
        catalogue.finish(claim, [output(gid=twice), output(gid=twice)], engine="e", versions={})

    assert catalogue.find_job(str(job.gid)).status == Status.STARTED
    assert catalogue.outputs([job.gid]) == []


@pytest.mark.parametrize(
    "word",
    [
        lambda c, claim: c.heartbeat(claim, 0.5, LEASE),
        lambda c, claim: c.finish(claim, [output()], engine="e", versions={}),
        lambda c, claim: c.fail(claim, "E", "m", retryable=True, max_attempts=3),
        lambda c, claim: c.release(claim),
        lambda c, claim: c.canceled(claim),
    ],
    ids=["heartbeat", "finish", "fail", "release", "canceled"],
)
def test_a_worker_that_lost_its_lease_can_write_nothing(catalogue, word) -> None:
    job = first(catalogue, add(catalogue))
    lost = catalogue.claim(job.gid, "zombie", PAST)
    catalogue.expire(max_attempts=3)
    catalogue.claim(job.gid, "winner", LEASE)
    before = vars(catalogue.find_job(str(job.gid)))

    with pytest.raises(LeaseLostError):
        word(catalogue, lost)

    after = vars(catalogue.find_job(str(job.gid)))
    assert {name: value for name, value in after.items() if name not in ("_sa_instance_state", "sweep")} == {
        name: value for name, value in before.items() if name not in ("_sa_instance_state", "sweep")
    }
    assert catalogue.outputs([job.gid]) == []


def test_a_heartbeat_extends_the_lease_and_hears_of_a_cancellation(catalogue) -> None:
    job = first(catalogue, add(catalogue))
    claim = catalogue.claim(job.gid, "w", timedelta(seconds=0.01))

    assert catalogue.heartbeat(claim, 0.5, LEASE) is False
    assert catalogue.expire(max_attempts=3) == 0
    assert catalogue.find_job(str(job.gid)).progress == 0.5
    assert catalogue.cancel(job=job.gid) == 1
    assert catalogue.heartbeat(claim, 0.6, LEASE) is True


@pytest.mark.parametrize(
    ("retryable", "attempts", "status"), [(True, 3, Status.PENDING), (True, 1, Status.ERROR), (False, 3, Status.ERROR)]
)
def test_a_temporary_error_is_tried_again(catalogue, retryable: bool, attempts: int, status: Status) -> None:
    job = first(catalogue, add(catalogue))
    claim = catalogue.claim(job.gid, "w", LEASE)

    assert catalogue.fail(claim, "OutputError", "disk full", retryable=retryable, max_attempts=attempts) == status

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.error, found.error_type, found.claim_token) == (
        status,
        "disk full",
        "OutputError",
        None,
    )
    assert (found.finished_at is None) == (status == Status.PENDING)


def test_a_returned_job_counts_no_attempt_and_waits_for_a_message(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))
    catalogue.mark_published([job.gid])

    catalogue.release(catalogue.claim(job.gid, "w", LEASE))

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.attempt, found.started_at) == (Status.PENDING, 0, None)
    assert catalogue.unpublished(10) == [job.gid]


# --------------------------------------------------------------------------------------------- leases and messages


def test_expired_leases_return_to_pending_until_attempts_are_used_up(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))

    catalogue.claim(job.gid, "w", PAST)
    assert catalogue.expire(max_attempts=2) == 1
    assert catalogue.find_job(str(job.gid)).status == Status.PENDING
    catalogue.claim(job.gid, "w", PAST)
    assert catalogue.expire(max_attempts=2) == 1

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.attempt, found.error_type) == (Status.ERROR, 2, "WorkerLost")
    assert "stopped reporting" in found.error
    assert catalogue.expire(max_attempts=2) == 0


def test_a_job_canceled_while_its_worker_died_is_canceled(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))
    catalogue.claim(job.gid, "w", PAST)
    catalogue.cancel(job=job.gid)

    catalogue.expire(max_attempts=3)

    assert catalogue.find_job(str(job.gid)).status == Status.CANCELED


@pytest.mark.parametrize(
    "end",
    [
        lambda c, claim: c.release(claim),
        lambda c, claim: c.wait(claim, "StorageError", "full", timedelta(hours=1)),
        lambda c, claim: c.fail(claim, "MemoryError", "m", retryable=True, max_attempts=3),
        lambda c, claim: c.expire(max_attempts=3),
    ],
    ids=["release", "wait", "fail", "expire"],
)
def test_a_job_that_would_be_pending_again_is_canceled_if_requested(catalogue, end) -> None:
    job = first(catalogue, add(catalogue, 1))
    claim = catalogue.claim(job.gid, "w", PAST)
    assert catalogue.cancel(job=job.gid) == 1

    end(catalogue, claim)

    found = catalogue.find_job(str(job.gid))
    assert (found.status, found.claim_token, found.lease_until) == (Status.CANCELED, None, None)
    assert found.finished_at is not None
    assert len(catalogue.attempts(job.gid)) == 1
    assert catalogue.unpublished(10) == []
    assert catalogue.retry(job=job.gid) == 1
    assert catalogue.find_job(str(job.gid)).cancel_requested is False
    assert catalogue.claim(job.gid, "w", LEASE) is not None


@pytest.mark.postgres
@pytest.mark.parametrize("is_running", [True, False], ids=["given back meanwhile", "started meanwhile"])
def test_a_job_that_changes_hands_while_it_is_canceled_is_canceled(request, tmp_path, is_running: bool) -> None:
    """The cancellation waits for the row, whose status has changed when it gets it."""
    catalogue = Catalogue.open(new_database(request.getfixturevalue("postgres_server")), create=True)
    job, answers = first(catalogue, add(catalogue, 1)), []
    claim = catalogue.claim(job.gid, "w", LEASE) if is_running else None
    thread = threading.Thread(target=lambda: answers.append(catalogue.cancel(job=job.gid)))

    with catalogue._engine.begin() as connection:
        connection.execute(text("SELECT id FROM job FOR UPDATE"))
        thread.start()
        wait_until(lambda: connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))
        change = "status = 'PENDING', claim_token = NULL" if claim else "status = 'STARTED'"
        connection.execute(text(f"UPDATE job SET {change}"))
    thread.join(20)

    found = catalogue.find_job(str(job.gid))
    assert answers == [1]
    assert (found.status, found.cancel_requested) == (
        (Status.CANCELED, False) if is_running else (Status.STARTED, True)
    )
    catalogue.dispose()


def test_each_job_is_published_once(catalogue) -> None:
    found = add(catalogue, 3)

    gids = catalogue.unpublished(2)
    catalogue.mark_published(gids)

    assert gids == [job.gid for job in catalogue.jobs(sweep=found.gid, limit=2)]
    assert len(catalogue.unpublished(10)) == 1
    assert catalogue.unpublished(10, older_than=timedelta(hours=1)) == []
    assert catalogue.unpublished(10, older_than=timedelta(seconds=-1)) == gids


# -------------------------------------------------------------------------------------------------- a person's words


def test_cancel_and_retry_change_only_what_they_may(catalogue) -> None:
    found = add(catalogue, 4)
    jobs = catalogue.jobs(sweep=found.gid)
    running = catalogue.claim(jobs[0].gid, "w", LEASE)
    catalogue.finish(catalogue.claim(jobs[1].gid, "w", LEASE), [output()], engine="e", versions={})

    assert catalogue.cancel(sweep=found.gid) == 3
    assert catalogue.cancel(sweep=found.gid) == 0
    assert catalogue.counts(found.gid) == {Status.STARTED: 1, Status.FINISHED: 1, Status.CANCELED: 2}
    catalogue.canceled(running)
    assert catalogue.retry(sweep=found.gid) == 3
    assert catalogue.counts(found.gid) == {Status.PENDING: 3, Status.FINISHED: 1}
    assert catalogue.find_job(str(jobs[0].gid)).cancel_requested is False
    assert catalogue.retry(job=jobs[1].gid) == 0


# ---------------------------------------------------------------------------------------------------------- looking


@pytest.mark.parametrize(
    ("conditions", "numbers"),
    [
        (["coupling.a >= 2"], [2, 3]), (["coupling.a < 1"], [0]), (["coupling.a != 1"], [0, 2, 3]), (["coupling.a = 3"], [3]),
        (["coupling.a > 0", "coupling.a <= 2"], [1, 2]), (["model.class = Generic2dOscillator"], [0, 1, 2, 3]),
        (["model.class = 'JansenRit'"], []), (["conduction_speed == 3", "coupling.a = 0"], [0]), (["nothing = 1"], []),
        (["integrator.noise.nsig < 0.01"], [0, 1, 2, 3]),
    ],
    ids=str,
)  # fmt: skip
def test_jobs_are_found_by_their_parameters_swept_or_not(catalogue, conditions, numbers) -> None:
    add(catalogue, 4)
    where = Filter.all_of(*conditions)

    assert [job.number for job in catalogue.jobs(where=where)] == numbers
    assert catalogue.count(where=where) == len(numbers)


def test_sweeps_and_jobs_are_found_by_the_beginning_of_their_gid_or_by_name(catalogue) -> None:
    older, newer = add(catalogue, name="same"), add(catalogue, name="same")
    job = first(catalogue, older)

    assert catalogue.find("same").gid == newer.gid
    assert catalogue.find(older.gid.hex[:12]).gid == older.gid
    assert catalogue.find(str(job.gid)).gid == job.gid
    assert catalogue.find_job(job.gid.hex[:12]).sweep.name == "same"
    for key in ("", "abc", "no such", "0000", "'; DROP TABLE job; --"):
        with pytest.raises(NotFoundError):
            catalogue.find(key)
    assert catalogue.count() == 6


def test_many_threads_may_share_a_catalogue(catalogue) -> None:
    found = add(catalogue, 40)
    gids = [job.gid for job in catalogue.jobs(sweep=found.gid)]
    claimed = []

    def work(gids) -> None:
        claimed.extend(gid for gid in gids if catalogue.claim(gid, "t", LEASE))

    threads = [threading.Thread(target=work, args=(gids,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(claimed) == sorted(gids)


def test_a_claim_is_the_same_on_an_sqlite_without_returning(tmp_path, monkeypatch) -> None:
    usual = Catalogue.open(f"sqlite:///{tmp_path}/c.sqlite", create=True)
    one, other = usual.jobs(sweep=add(usual, 2).gid)
    # As before SQLite 3.35.
    monkeypatch.setattr(usual._engine.dialect, "update_returning", False)
    old = Catalogue(usual._engine)

    mine, theirs = usual.claim(one.gid, "w", LEASE), old.claim(other.gid, "w", LEASE)

    assert old.claim(one.gid, "w", LEASE) is usual.claim(other.gid, "w", LEASE) is None
    assert (mine.id, mine.number, mine.parameters["seed"]) == (one.id, 0, one.seed)
    assert (theirs.id, theirs.number, theirs.parameters["seed"]) == (other.id, 1, other.seed)
    for name in ("sweep", "attempt", "saved_attempt", "shared"):
        assert getattr(mine, name) == getattr(theirs, name)
    usual.dispose()


@pytest.mark.postgres
def test_a_closed_connection_is_opened_again(request, tmp_path) -> None:
    template = request.getfixturevalue("postgres_server")
    catalogue = Catalogue.open(template.format(name="postgres"), create=True)
    job = first(catalogue, add(catalogue, 1))
    killer = create_engine(template.format(name="postgres"), isolation_level="AUTOCOMMIT")

    def cut() -> None:
        with killer.connect() as connection, contextlib.suppress(Exception):
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(others))

    cut()
    assert catalogue.count() == 1
    cut()
    claim = catalogue.claim(job.gid, "w", LEASE)
    cut()
    catalogue.finish(claim, [output()], engine="e", versions={})
    assert len(catalogue.outputs([job.gid])) == 1
    catalogue.dispose()
    killer.dispose()


# ------------------------------------------------------------------------------------- fair shares, pauses, removal


def claim_next(catalogue, hint, **changes):
    """Claim a job as a worker process that has just started."""
    catalogue._active = (-10.0, [])
    return catalogue.claim_fairly(hint and hint.gid, "w", LEASE, **changes)


def test_a_small_sweep_does_not_wait_for_a_large_one(catalogue) -> None:
    large, small = add(catalogue, 20, name="large"), add(catalogue, 3, name="small", coupling="Difference")
    hints = catalogue.jobs(sweep=large.gid)
    catalogue.mark_published([job.gid for job in hints])

    claims = [claim_next(catalogue, hint) for hint in hints[:6]]

    assert sorted(str(claim.sweep) for claim in claims) == sorted([str(large.gid), str(small.gid)] * 3)
    assert len({claim.gid for claim in claims}) == 6
    # Messages used for jobs of the other sweep are sent again.
    waiting = [job for job in catalogue.jobs(sweep=large.gid) if job.status == Status.PENDING]
    assert sum(job.published_at is None for job in waiting) == 3


@pytest.mark.parametrize("end_each", [False, True])
def test_a_small_sweep_has_its_turn_among_many_large_ones(url, catalogue, end_each) -> None:
    couplings = ("Linear", "Scaling", "Sigmoidal", "HyperbolicTangent")
    for name in couplings:
        add(catalogue, 60, name=name, coupling=name)
    small = add(catalogue, 2, name="small", coupling="Difference")
    processes = [Catalogue.open(url) for _ in range(2)]
    running: list = [claim_next(process, None) for process in processes]

    for turn in range(120):
        if not catalogue.count(sweep=small.gid, status=Status.PENDING):
            break
        which = turn % 2
        catalogue.finish(running[which], [], engine="e", versions={})
        if end_each:
            processes[which].dispose()
            processes[which] = Catalogue.open(url)
        running[which] = claim_next(processes[which], None)
    for process in processes:
        process.dispose()

    assert catalogue.counts(small.gid).get(Status.PENDING, 0) == 0


def test_without_a_message_any_waiting_job_is_claimed_fairly_and_once(catalogue) -> None:
    large, small = add(catalogue, 5, name="large"), add(catalogue, 2, name="small", coupling="Difference")

    claims = [claim_next(catalogue, None) for _ in range(7)]

    assert {claim.sweep for claim in claims[:2]} == {claim.sweep for claim in claims[2:4]} == {large.gid, small.gid}
    assert len({claim.gid for claim in claims}) == 7
    assert claim_next(catalogue, None) is None


def test_workers_without_messages_take_every_job_once(url, catalogue) -> None:
    found = add(catalogue, 40)
    claimed = []

    def work() -> None:
        own = Catalogue.open(url)
        while claim := claim_next(own, None):
            claimed.append(claim.gid)
        own.dispose()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(claimed) == sorted(job.gid for job in catalogue.jobs(sweep=found.gid))


def test_without_a_message_only_what_may_start_in_the_workers_queues_is_claimed(catalogue) -> None:
    paused, long_ = add(catalogue, 1, name="paused"), add(catalogue, 1, name="long", simulation_length=1e6)
    catalogue.pause(paused.gid)

    assert claim_next(catalogue, None, queues=("short",)) is None
    assert claim_next(catalogue, None).sweep == long_.gid


def test_a_higher_priority_goes_first_in_messages_and_in_claims(catalogue) -> None:
    usual, urgent = add(catalogue, 3, name="usual"), add(catalogue, 3, name="urgent", coupling="Difference")
    catalogue.prioritize(urgent.gid, 5)

    assert catalogue.unpublished(3) == [job.gid for job in catalogue.jobs(sweep=urgent.gid)]
    claims = [claim_next(catalogue, job) for job in catalogue.jobs(sweep=usual.gid)]
    assert [claim.sweep for claim in claims] == [urgent.gid] * 3


def test_a_paused_sweep_starts_nothing_and_continues_later(catalogue) -> None:
    paused, other = add(catalogue, 3, name="paused"), add(catalogue, 2, name="other", coupling="Difference")
    running = catalogue.claim(first(catalogue, paused).gid, "w", LEASE)
    waiting = catalogue.jobs(sweep=paused.gid, status=Status.PENDING)
    catalogue.mark_published([job.gid for job in waiting])

    catalogue.pause(paused.gid)

    assert catalogue.claim(waiting[0].gid, "w", LEASE) is None
    assert set(catalogue.unpublished(10)) == {job.gid for job in catalogue.jobs(sweep=other.gid)}
    assert (catalogue.startable(), catalogue.paused([paused.gid, other.gid])) == (2, {paused.gid})
    catalogue.finish(running, [output()], engine="e", versions={})
    catalogue.resume(paused.gid)
    assert {job.gid for job in waiting} <= set(catalogue.unpublished(10))
    assert catalogue.claim(waiting[0].gid, "w", LEASE) is not None


def test_long_jobs_have_a_queue_of_their_own(catalogue) -> None:
    short_, long_ = add(catalogue, 1, name="s"), add(catalogue, 1, name="l", simulation_length=1e6)

    assert catalogue.unpublished(9) == [first(catalogue, short_).gid]
    assert catalogue.unpublished(9, queue="long") == [first(catalogue, long_).gid]
    catalogue.prioritize(long_.gid, 5)
    claim = claim_next(catalogue, first(catalogue, short_), queues=("short",))
    assert claim.sweep == short_.gid


def test_the_outcome_of_each_attempt_is_recorded(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))
    claims = []
    for end in (
        lambda claim: catalogue.fail(claim, "E", "it broke", retryable=True, max_attempts=9),
        catalogue.release,
        lambda claim: catalogue.wait(claim, "StorageError", "full", timedelta(0)),
        lambda claim: catalogue.expire(max_attempts=9),
        lambda claim: catalogue.finish(claim, [output()], engine="e", versions={}),
    ):
        claims.append(catalogue.claim(job.gid, f"w{len(claims)}", PAST))
        end(claims[-1])

    found = catalogue.attempts(job.gid)
    assert [(one.outcome, one.worker) for one in found] == [
        ("error", "w0"), ("returned", "w1"), ("postponed", "w2"), ("lost", "w3"),
    ]  # fmt: skip
    assert [one.error for one in found][:3] == ["it broke", None, "full"]
    assert [one.number for one in found] == [1, 2, 2, 2]


def test_an_attempt_that_lost_its_lease_is_recorded_once(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))
    claim = catalogue.claim(job.gid, "w", PAST)
    catalogue.expire(max_attempts=3)

    with pytest.raises(LeaseLostError):
        catalogue.release(claim)

    assert [one.outcome for one in catalogue.attempts(job.gid)] == ["lost"]


def test_a_sweep_is_deleted_with_everything_and_nothing_else(catalogue) -> None:
    doomed, other = add(catalogue, 2, name="doomed"), add(catalogue, 2, name="other", coupling="Difference")
    claim = catalogue.claim(first(catalogue, doomed).gid, "w", LEASE)

    with pytest.raises(BusyError, match="1 of these jobs are running"):
        catalogue.delete(sweep=doomed.gid)
    catalogue.finish(claim, [output(metrics={"m": 1.0})], engine="e", versions={})

    assert catalogue.delete(sweep=doomed.gid) == ["outputs/x.h5"]
    assert [summary.sweep.name for summary in catalogue.sweeps()] == ["other"]
    assert catalogue.count() == 2
    assert list(catalogue.output_rows()) == []
    last = catalogue.jobs(sweep=other.gid)
    catalogue.delete(job=last[0].gid)
    assert catalogue.count() == 1
    assert catalogue.counts(other.gid) == {Status.PENDING: 1}
    catalogue.delete(job=last[1].gid)
    assert catalogue.sweeps() == []


def test_shared_files_pass_to_the_remaining_jobs(catalogue) -> None:
    source = add(catalogue, 1, name="source")
    claim = catalogue.claim(first(catalogue, source).gid, "w", LEASE)
    catalogue.finish(claim, [output(metrics={"m": 1.0})], engine="e", versions={"tvb-library": version("tvb-library")})
    heirs = [first(catalogue, add(catalogue, 1, name=name)) for name in "ab"]

    assert catalogue.delete(sweep=source.gid) == []

    for heir in heirs:
        assert [one.path for one in catalogue.outputs([heir.gid])] == ["outputs/x.h5"]
        assert catalogue.metrics([heir.gid])[heir.gid]["m"] == 1.0
    assert catalogue.delete(job=heirs[0].gid) == []
    assert catalogue.delete(job=heirs[1].gid) == ["outputs/x.h5"]


def test_reasons_for_pending_again_are_grouped_by_class_of_error(catalogue) -> None:
    found, other = add(catalogue, 4), add(catalogue, 1, "other")
    faults = [("StorageError", "full", 60), ("StorageError", "full too", 50), ("MemoryError", "m", None)]
    for job, (kind, words, seconds) in zip(catalogue.jobs(sweep=found.gid), faults, strict=False):
        claim = catalogue.claim(job.gid, "w", LEASE)
        if seconds is None:
            catalogue.fail(claim, kind, words, retryable=True, max_attempts=9)
        else:
            catalogue.wait(claim, kind, words, timedelta(seconds=seconds))

    full, memory = catalogue.waiting_again([found.gid, other.gid])

    assert (full.kind, full.jobs, full.error) == ("StorageError", 2, "full")
    assert full.not_before == min(job.not_before for job in catalogue.jobs(sweep=found.gid) if job.not_before)
    assert (memory.kind, memory.jobs, memory.error, memory.not_before) == ("MemoryError", 1, "m", None)
    assert catalogue.waiting_again([other.gid]) == catalogue.waiting_again([]) == []


def test_the_job_of_a_process_is_found_by_its_name(catalogue) -> None:
    job = first(catalogue, add(catalogue, 1))
    assert catalogue.held("host:1") is None
    claim = catalogue.claim(job.gid, "host:1", LEASE)

    held = catalogue.held("host:1")
    catalogue.cancel(job=job.gid)

    assert (held.claim.token, held.claim.spec, held.is_canceled) == (claim.token, claim.spec, False)
    assert catalogue.held("host:1").is_canceled
    assert catalogue.release(held.claim) == Status.CANCELED
    assert catalogue.held("host:1") is None

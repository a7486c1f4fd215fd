"""The state machine as a whole: users, workers, frozen workers and expired leases, in any order."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import SHORT
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tvb_batch.models.catalogue import Catalogue, Claim, OutputRecord
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.errors import BusyError, LeaseLostError
from tvb_batch.models.spec.sweep import sweep

JOBS = 3
MOST = 2
LEASE = timedelta(hours=1)

jobs = st.integers(0, JOBS - 1)
workers = st.sampled_from(["w1", "w2"])


def one_output() -> OutputRecord:
    return OutputRecord(
        gid=uuid4(), monitor="Raw", datatype="TimeSeriesRegion", path=f"outputs/{uuid4()}.h5", format="tvb2", bytes=1,
        sha256="0" * 64, shape=(1, 1, 1, 1), is_nan=False,
    )  # fmt: skip


class States(RuleBasedStateMachine):
    """A model of each job in plain Python, beside its row."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.catalogue = Catalogue.open(f"sqlite:///{self.directory}/c.sqlite", create=True)

    @initialize()
    def submit(self) -> None:
        axes = {"coupling.a": [float(number) for number in range(JOBS)]}
        self.sweep = self.catalogue.add_sweep(sweep({**SHORT, "name": "s", "sweep": axes}))
        self.gids = [job.gid for job in self.catalogue.jobs(sweep=self.sweep.gid)]
        self.status = [Status.PENDING] * JOBS
        self.attempt = [0] * JOBS
        self.is_wanted_canceled = [False] * JOBS
        self.is_paused = self.is_gone = False
        #: The current claim of each job, and all claims so far.
        self.owner: list[Claim | None] = [None] * JOBS
        self.claims: list[tuple[int, Claim]] = []
        self.finished = [0] * JOBS

    # ------------------------------------------------------------------------------------------------ workers

    @rule(job=jobs, worker=workers, is_dead=st.booleans())
    def message_arrives(self, job: int, worker: str, is_dead: bool) -> None:
        """Deliver a message: late, twice and for any job; a dead worker sends nothing."""
        lease = -LEASE if is_dead else LEASE
        claim = self.catalogue.claim(self.gids[job], worker, lease)
        may = self.status[job] == Status.PENDING and not self.is_paused and not self.is_gone
        assert (claim is not None) == may
        if claim is not None:
            self.status[job], self.owner[job] = Status.STARTED, claim
            self.attempt[job] += 1
            assert claim.attempt == self.attempt[job]
            self.claims.append((job, claim))

    def ends(self, data, end) -> tuple[int, bool] | None:
        """Let any earlier claim report its end, also a lost one; return its job, and whether it was accepted."""
        if not self.claims:
            return None
        job, claim = data.draw(st.sampled_from(self.claims))
        is_owner = self.owner[job] is claim and not self.is_gone
        try:
            end(claim)
            assert is_owner
        except LeaseLostError:
            assert not is_owner
            return job, False
        self.owner[job] = None
        return job, True

    def waits_again(self, job: int) -> bool:
        """Check that a canceled job is never pending again."""
        waits = not self.is_wanted_canceled[job]
        self.status[job] = Status.PENDING if waits else Status.CANCELED
        return waits

    @rule(data=st.data())
    def finishes(self, data) -> None:
        found = self.ends(data, lambda claim: self.catalogue.finish(claim, [one_output()], engine="e", versions={}))
        if found and found[1]:
            self.status[found[0]] = Status.FINISHED
            self.finished[found[0]] += 1
            self.is_wanted_canceled[found[0]] = False

    @rule(data=st.data(), retryable=st.booleans())
    def fails(self, data, retryable: bool) -> None:
        found = self.ends(
            data, lambda claim: self.catalogue.fail(claim, "E", "it broke", retryable=retryable, max_attempts=MOST)
        )
        if found and found[1]:
            again = retryable and self.attempt[found[0]] < MOST
            if again:
                self.waits_again(found[0])
            else:
                self.status[found[0]] = Status.ERROR

    @rule(data=st.data())
    def gives_back(self, data) -> None:
        found = self.ends(data, self.catalogue.release)
        if found and found[1] and self.waits_again(found[0]):
            self.attempt[found[0]] -= 1

    @rule(data=st.data())
    def waits_for_storage(self, data) -> None:
        found = self.ends(data, lambda claim: self.catalogue.wait(claim, "StorageError", "full", timedelta(0)))
        if found and found[1] and self.waits_again(found[0]):
            self.attempt[found[0]] -= 1

    @rule()
    def reaper(self) -> None:
        self.catalogue.expire(max_attempts=MOST)
        rows = {job.gid: job for job in self.catalogue.jobs()}
        for job, gid in enumerate(self.gids):
            claim = self.owner[job]
            if claim is None or self.is_gone or rows[gid].status == Status.STARTED:
                continue
            expected = Status.ERROR if self.attempt[job] >= MOST else Status.PENDING
            self.status[job] = Status.CANCELED if self.is_wanted_canceled[job] else expected
            self.owner[job] = None
            self.is_wanted_canceled[job] &= self.status[job] != Status.PENDING

    # ------------------------------------------------------------------------------------------------ persons

    @rule(job=jobs)
    def cancel(self, job: int) -> None:
        self.catalogue.cancel(job=self.gids[job])
        if self.status[job] == Status.PENDING:
            self.status[job] = Status.CANCELED
        elif self.status[job] == Status.STARTED:
            self.is_wanted_canceled[job] = True

    @rule(job=jobs)
    def retry(self, job: int) -> None:
        count = self.catalogue.retry(job=self.gids[job])
        may = self.status[job] in (Status.ERROR, Status.CANCELED) and not self.is_gone
        assert count == may
        if may:
            self.status[job], self.attempt[job], self.is_wanted_canceled[job] = Status.PENDING, 0, False

    @rule()
    def pause(self) -> None:
        self.catalogue.pause(self.sweep.gid)
        self.is_paused = True

    @rule()
    def resume(self) -> None:
        self.catalogue.resume(self.sweep.gid)
        self.is_paused = False

    @rule()
    def delete(self) -> None:
        running = any(status == Status.STARTED for status in self.status) and not self.is_gone
        try:
            self.catalogue.delete(sweep=self.sweep.gid)
            assert not running
            self.is_gone = True
        except BusyError:
            assert running

    # --------------------------------------------------------------------------------------------- what holds

    @invariant()
    def rows_are_as_expected(self) -> None:
        if not hasattr(self, "gids"):
            return
        rows = {job.gid: job for job in self.catalogue.jobs()}
        if self.is_gone:
            assert rows == {}
            return
        assert [rows[gid].status for gid in self.gids] == self.status
        assert [rows[gid].attempt for gid in self.gids] == self.attempt
        for job, gid in enumerate(self.gids):
            outputs = self.catalogue.outputs([gid])
            assert len(outputs) == self.finished[job] <= 1
            assert (rows[gid].claim_token is not None) == (self.status[job] == Status.STARTED)

    def teardown(self) -> None:
        self.catalogue.dispose()
        shutil.rmtree(self.directory)


TestStates = pytest.mark.slow(States.TestCase)
TestStates.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)

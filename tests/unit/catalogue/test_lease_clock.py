"""Leases in SQLite: a change of the wall clock ends no lease, and a restart of the host ends all."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from catalogues import add, first

from tvb_batch.models import host_clock
from tvb_batch.models.catalogue import Catalogue, base, statistics
from tvb_batch.models.catalogue.status import Status

LEASE = timedelta(seconds=60)
HOUR = timedelta(hours=1)


class Host:
    """The clocks of a host: its wall clock can be set, and it can restart."""

    def __init__(self) -> None:
        self.wall, self.up, self.boot = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1), "first"

    def go_on(self, by: timedelta) -> None:
        self.wall, self.up = self.wall + by, self.up + by

    def start_anew(self, wall: datetime) -> None:
        self.wall, self.up, self.boot = wall, timedelta(seconds=5), "second"


@pytest.fixture
def host(monkeypatch) -> Host:
    host = Host()
    for module in (base, statistics):
        monkeypatch.setattr(module, "now", lambda: host.wall)
    monkeypatch.setattr(base, "since_boot", lambda: host.up)
    monkeypatch.setattr(base, "boot_id", lambda: host.boot)
    return host


@pytest.fixture
def catalogue(host, tmp_path):
    catalogue = Catalogue.open(f"sqlite:///{tmp_path}/c.sqlite", create=True)
    yield catalogue
    catalogue.dispose()


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(days=400)], ids=["forward", "back", "far"])
def test_a_jump_of_the_wall_clock_ends_no_lease_and_keeps_none(catalogue, host, tmp_path, jump) -> None:
    job = first(catalogue, add(catalogue, 1))
    claim = catalogue.claim(job.gid, "w", LEASE)

    host.wall += jump
    # The process that looks for expired leases may have started after the jump.
    other = Catalogue.open(f"sqlite:///{tmp_path}/c.sqlite")
    assert other.expire(max_attempts=1) == 0
    assert catalogue.heartbeat(claim, 0.5, LEASE) is False
    host.go_on(LEASE / 2)
    assert other.expire(max_attempts=1) == 0
    [worker] = other.workers(LEASE)
    assert worker.heard == host.wall - LEASE / 2
    host.go_on(LEASE)
    assert other.expire(max_attempts=9) == 1

    assert catalogue.find_job(str(job.gid)).status == Status.PENDING
    other.dispose()


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_job_waits_for_the_storage_independently_of_the_wall_clock(catalogue, host, jump) -> None:
    job = first(catalogue, add(catalogue, 1))
    catalogue.wait(catalogue.claim(job.gid, "w", LEASE), "StorageError", "full", LEASE)

    host.wall += jump
    assert catalogue.claim(job.gid, "w", LEASE) is None
    assert catalogue.unpublished(9) == []
    host.go_on(LEASE)

    assert catalogue.unpublished(9) == [job.gid]
    assert catalogue.claim(job.gid, "w", LEASE) is not None


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_message_ages_independently_of_the_wall_clock(catalogue, host, jump) -> None:
    job = first(catalogue, add(catalogue, 1))
    catalogue.mark_published([job.gid])

    host.wall += jump
    assert catalogue.unpublished(9, older_than=LEASE) == []
    host.go_on(LEASE * 2)

    assert catalogue.unpublished(9, older_than=LEASE) == [job.gid]


@pytest.mark.parametrize(
    "wall",
    [datetime(2026, 3, 1, 0, 0, 20, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)],
    ids=["right", "lost its battery", "late"],
)
def test_a_restart_of_the_host_ends_all_leases_and_waits(host, tmp_path, wall) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    before = Catalogue.open(url, create=True)
    running, waiting, sent = before.jobs(sweep=add(before, 3).gid)
    before.claim(running.gid, "gone", LEASE)
    before.wait(before.claim(waiting.gid, "gone", LEASE), "StorageError", "full", LEASE)
    before.mark_published([sent.gid])
    before.dispose()

    host.start_anew(wall)
    after = Catalogue.open(url)
    host.go_on(timedelta(seconds=1))

    assert after.expire(max_attempts=9) == 1
    claim = after.claim(waiting.gid, "w", LEASE)
    assert claim is not None
    host.go_on(LEASE / 2)
    assert after.expire(max_attempts=9) == 0
    assert after.heartbeat(claim, 0.5, LEASE) is False
    assert after.unpublished(9, older_than=LEASE / 4) == [sent.gid]
    host.go_on(LEASE * 2)
    assert after.expire(max_attempts=9) == 1
    after.dispose()


def test_all_processes_of_a_host_have_one_clock(host, tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/c.sqlite"
    Catalogue.open(url, create=True).dispose()
    barrier, clocks = threading.Barrier(6), []

    def look(own: Catalogue) -> None:
        barrier.wait()
        clocks.append(own.lease_clock())
        own.dispose()

    threads = [threading.Thread(target=look, args=(Catalogue.open(url),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(clocks) == 6
    assert set(clocks) == {host.wall}


def test_the_host_has_a_boot_id_and_an_uptime() -> None:
    earlier = host_clock.since_boot()

    assert len(host_clock.boot_id()) >= 32
    assert timedelta(0) < earlier <= host_clock.since_boot()

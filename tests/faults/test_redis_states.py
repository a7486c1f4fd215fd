"""A Redis that refuses commands: workers wait, log the reason once and continue later; clients report it too."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client
from commands import run_tvb_batch
from conftest import wait_until
from fault_system import BRIEF, System, Warm, sweep_of, system
from servers import Redis

from tvb_batch.models.errors import BrokerError
from tvb_batch.models.queue import QUEUE, check_broker, make_app
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.operate.doctor import broker_findings

#: The administrator, who can repair Redis in every state.
ADMIN = "user admin on >admin ~* &* +@all"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    found = Redis(tmp_path_factory.mktemp("redis"), keeps=False, lines=ADMIN)
    found.start()
    yield found
    found.kill()


@pytest.fixture(scope="module")
def here(redis: Redis, warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Return an installation with one worker, which must survive all tests."""
    with system(tmp_path_factory.mktemp("states"), redis, warm, lease=60.0) as found:
        found.start()
        found.wait(found.submit(1, BRIEF))
        yield found


@pytest.fixture
def admin(redis: Redis) -> Iterator[Any]:
    client = redis_client.Redis(unix_socket_path=str(redis.socket), username="admin", password="admin")
    yield client
    client.close()


def full_disk(admin: Any) -> None:
    # Redis cannot save its data: a directory is in the place of its file.
    (Path(admin.config_get("dir")["dir"]) / "dump.rdb").mkdir()
    admin.config_set("save", "1 1")
    admin.set("a", 1)

    def is_refused() -> bool:
        with contextlib.suppress(redis_client.ResponseError):
            admin.set("a", 1)
            return False
        return True

    wait_until(is_refused, seconds=30, every=0.2)


def mend_disk(admin: Any) -> None:
    admin.config_set("save", "")
    admin.config_set("stop-writes-on-bgsave-error", "no")


def replica(admin: Any) -> None:
    admin.replicaof("127.0.0.1", "1")


def no_replica(admin: Any) -> None:
    admin.replicaof("NO", "ONE")


def other_type(admin: Any) -> None:
    admin.delete(QUEUE)
    admin.set(QUEUE, "x")


def right_type(admin: Any) -> None:
    admin.delete(QUEUE)


def no_rights(admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "default", "-@all", "+ping")


def rights(admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "default", "+@all")


def locked_out(admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "default", "off")
    for client in admin.client_list():
        if client["user"] == "default":
            admin.client_kill_filter(_id=client["id"])


def let_in(admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "default", "on")


def reasons(here: System) -> list[str]:
    return [event["reason"] for event in here.events("redis_refuses")]


#: How the state starts, how it ends, and what a worker logs; None for Celery's message about a lost connection.
STATES: dict[str, tuple[Callable[[Any], None], Callable[[Any], None], str | None]] = {
    "MISCONF": (full_disk, mend_disk, "MISCONF"),
    "READONLY": (replica, no_replica, "read only replica"),
    "WRONGTYPE": (other_type, right_type, "WRONGTYPE"),
    "NOPERM": (no_rights, rights, "permissions"),
    "WRONGPASS": (locked_out, let_in, None),
}


@pytest.mark.parametrize("state", STATES)
def test_a_worker_waits_for_a_redis_that_refuses_and_logs_the_reason_once(here, admin, state: str) -> None:
    begin, end, word = STATES[state]
    before = len(reasons(here)), len(list(here.events("redis_recovered")))

    begin(admin)
    try:
        # The message of the client; the rows exist.
        notes: list[str] = []
        app = make_app(here.settings)
        sweep = enqueue(here.catalogue, app, sweep_of(1, BRIEF), here.settings.storage, reuse=False, note=notes.append)
        app.close()
        if word is not None:
            wait_until(lambda: any(word in reason for reason in reasons(here)[before[0] :]), seconds=30)
        found = [finding for finding in broker_findings(here.settings) if not finding.is_fine]
    finally:
        end(admin)
    here.wait(sweep)

    (worker,) = here.workers
    assert worker.lives()
    assert here.tracebacks() == []
    assert len(notes) == 1
    assert "start when workers reach Redis again" in notes[0]
    assert found
    if word is not None:
        told = reasons(here)[before[0] :]
        # A Redis that becomes a replica first reports this.
        assert len(told) == len(set(told)) <= 2
        wait_until(lambda: len(list(here.events("redis_recovered"))) == before[1] + 1, seconds=10)


def test_a_full_redis_is_a_problem_and_jobs_wait(here, admin) -> None:
    admin.config_set("maxmemory", "1")
    try:
        sweep = here.submit(1, BRIEF)
        found = {finding.check: finding.found for finding in broker_findings(here.settings) if not finding.is_fine}
        wait_until(lambda: list(here.events("reconcile_postponed")), seconds=30)
    finally:
        admin.config_set("maxmemory", "0")
    here.wait(sweep)

    assert "maxmemory" in found["messages"]
    assert "in use" in found["memory of the broker"]
    assert here.workers[0].lives()


def test_submit_reports_in_one_line_what_redis_refuses(here, admin, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: one\nconnectivity: connectivity_76.zip\nmodel: {class: Generic2dOscillator}\n"
                    "integrator: {class: HeunDeterministic, dt: 0.5}\nmonitors: [{class: TemporalAverage, period: 1}]\n"
                    "simulation_length: 4.0\nengine: reference\n")  # fmt: skip
    replica(admin)
    try:
        done = run_tvb_batch("submit", str(spec), settings=here.settings)
        again = run_tvb_batch("requeue", settings=here.settings)
    finally:
        no_replica(admin)

    here.wait(here.catalogue.find_sweep("one"))
    assert done.returncode == 0
    assert "Redis refuses" in done.stderr
    assert "read only replica" in done.stderr
    assert again.returncode == 2
    assert "read only replica" in again.stderr
    assert "Traceback" not in done.stderr + again.stderr


@pytest.mark.parametrize(("take", "give"), [("off", "on"), ("-ping", "+ping")])
def test_a_redis_that_refuses_a_login_is_not_reported_as_unreachable(here, admin, take: str, give: str) -> None:
    admin.execute_command("ACL", "SETUSER", "default", take)
    try:
        with pytest.raises(BrokerError, match="Redis refuses") as caught:
            check_broker(here.settings)
    finally:
        admin.execute_command("ACL", "SETUSER", "default", give)

    assert "start one" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_worker_without_the_right_to_remote_commands_runs_jobs(here, admin) -> None:
    admin.execute_command("ACL", "SETUSER", "default", "resetchannels")
    try:
        wait_until(lambda: list(here.events("remote_commands_unavailable")), seconds=30)
        here.wait(here.submit(1, BRIEF))
    finally:
        admin.execute_command("ACL", "SETUSER", "default", "allchannels")

    assert here.workers[0].lives()
    assert here.tracebacks() == []


def test_a_worker_that_starts_while_redis_refuses_waits_too(here, admin) -> None:
    replica(admin)
    try:
        worker = here.start()
        wait_until(lambda: worker.log.exists() and "redis_refuses" in worker.log.read_text(), seconds=60)
    finally:
        no_replica(admin)
    here.workers[0].kill()

    here.wait(here.submit(1, BRIEF))

    assert worker.lives()
    assert here.tracebacks() == []

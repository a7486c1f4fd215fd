"""The whole path with real processes: spec, rows, Redis, Celery workers, files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import run_tvb_batch, sweep_spec
from conftest import ENDLESS, EXAMPLES, SHORT, wait_until
from fault_system import LEASE, LONG

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.queue import announced, make_app, send
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.worker.h5.verify import verify


def test_thirty_jobs_over_two_workers_run_once_each_though_every_message_comes_twice(
    settings, catalogue, start_worker
) -> None:
    app = make_app(settings)
    # The first ready worker could finish all jobs before the second starts.
    start_worker()
    start_worker()
    wait_until(lambda: len(announced(app)) == 2)

    sweep = enqueue(catalogue, app, sweep_spec("thirty", 30), settings.storage)
    send(app, [job.gid for job in catalogue.jobs(sweep=sweep.gid, limit=30)])
    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.FINISHED) == 30, seconds=120)

    jobs = catalogue.jobs(sweep=sweep.gid, limit=100)
    assert len(jobs) == 30
    assert {job.attempt for job in jobs} == {1}
    assert len({job.worker for job in jobs}) == 2
    assert_whole(settings, catalogue, [job.gid for job in jobs])
    send(app, [job.gid for job in jobs])
    wait_until(lambda: app.connection_for_write().default_channel.client.llen("tvb-batch") == 0)
    assert {job.attempt for job in catalogue.jobs(sweep=sweep.gid, limit=100)} == {1}


def test_a_job_whose_worker_was_killed_is_run_by_another(settings, catalogue, start_worker) -> None:
    short_lease = settings.model_copy(update={"lease": LEASE, "chunk_bytes": 2**16})
    sweep = enqueue(catalogue, make_app(settings), sweep_spec("killed", 1, **LONG), settings.storage)
    killed = start_worker(1, short_lease)
    wait_until(lambda: catalogue.jobs(sweep=sweep.gid)[0].progress > 0)

    os.killpg(killed.pid, signal.SIGKILL)
    start_worker(1, short_lease)
    job = wait_until(
        lambda: next((j for j in catalogue.jobs(sweep=sweep.gid) if j.status == Status.FINISHED), None), seconds=120
    )

    assert job.attempt == 2
    assert_whole(settings, catalogue, [job.gid])


def test_a_stopped_worker_returns_its_job_with_a_checkpoint(settings, catalogue, start_worker) -> None:
    sweep = enqueue(catalogue, make_app(settings), sweep_spec("stopped", 1, **ENDLESS), settings.storage)
    worker = start_worker()
    wait_until(lambda: catalogue.jobs(sweep=sweep.gid)[0].progress > 0)

    worker.terminate()
    worker.wait(20)

    job = catalogue.jobs(sweep=sweep.gid)[0]
    assert (job.status, job.attempt) == (Status.PENDING, 0)
    assert {path.suffix for path in files_below(settings.storage.root / "outputs")} == {".npz", ".part"}


def test_a_running_job_is_canceled_within_a_chunk(settings, catalogue, start_worker) -> None:
    sweep = enqueue(catalogue, make_app(settings), sweep_spec("canceled", 2, **ENDLESS), settings.storage)
    start_worker()
    wait_until(lambda: any(job.progress > 0 for job in catalogue.jobs(sweep=sweep.gid)))

    done = run_tvb_batch("cancel", "canceled", settings=settings)

    assert done.returncode == 0, done.stderr
    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.CANCELED) == 2)
    assert files_below(settings.storage.root / "outputs") == []


def test_a_message_that_names_no_job_is_dropped(settings, catalogue, start_worker) -> None:
    app = make_app(settings)
    app.send_task("tvb_batch.run_job", args=["../../etc/passwd"])
    app.send_task("tvb_batch.run_job", args=[str(SweepSpec)])
    app.send_task("os.system", args=["true"])

    worker = start_worker()
    sweep = enqueue(catalogue, app, sweep_spec("after", 1), settings.storage)

    wait_until(lambda: catalogue.counts(sweep.gid).get(Status.FINISHED) == 1)
    assert worker.poll() is None


def test_run_does_a_sweep_on_embedded_defaults_and_leaves_no_process(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("TVB_BATCH_")}
    env |= {"TVB_BATCH_DATA_DIR": str(tmp_path / "data")}
    command = [sys.executable, "-m", "tvb_batch.submit"]

    done = subprocess.run(
        [*command, "run", str(EXAMPLES / "sweep.yaml"), "--workers", "2"],
        env=env, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    listed = subprocess.run([*command, "list", "--json"], env=env, capture_output=True, text=True, timeout=30)

    assert done.returncode == 0, done.stderr
    assert "6 finished" in done.stdout
    jobs = json.loads(listed.stdout)
    assert [job["status"] for job in jobs] == ["FINISHED"] * 6
    assert len(list((tmp_path / "data").rglob("TimeSeriesRegion_*.h5"))) == 6
    assert processes_naming(str(tmp_path)) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_no_process_and_pending_jobs(tmp_path: Path, how: signal.Signals) -> None:
    spec = tmp_path / "long.json"
    spec.write_text(json.dumps({"name": "long", **SHORT, **ENDLESS}))
    env = {**os.environ, "TVB_BATCH_DATA_DIR": str(tmp_path / "data"), "TVB_BATCH_LEASE": "5"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tvb_batch.submit", "run", str(spec)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A test in the background of a script inherits that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    url = f"sqlite:///{tmp_path}/data/catalogue.sqlite"
    wait_until(lambda: Path(url.removeprefix("sqlite:///")).exists(), seconds=30)
    catalogue = wait_until(lambda: opened(url), seconds=30)
    wait_until(lambda: any(job.progress > 0 for job in catalogue.jobs()), seconds=90)

    process.send_signal(how)
    process.communicate(timeout=60)

    wait_until(lambda: processes_naming(str(tmp_path)) == [], seconds=40)
    assert [job.status for job in catalogue.jobs()] == [Status.PENDING]
    assert {path.suffix for path in files_below(tmp_path / "data" / "outputs")} == {".npz", ".part"}
    catalogue.dispose()


def test_a_second_ctrl_c_ends_a_run_at_once(tmp_path: Path) -> None:
    (tmp_path / "endless_model.py").write_text(
        "from tvb.simulator.models.oscillator import Generic2dOscillator\n\n"
        "class Loop(Generic2dOscillator):\n"
        "    def dfun(self, *args, **kwargs):\n"
        "        while True:\n"
        "            pass\n"
    )
    spec = tmp_path / "loop.json"
    spec.write_text(json.dumps({"name": "loop", **SHORT, "model": "endless_model.Loop"}))
    own = {"TVB_BATCH_MODULES": "endless_model", "PYTHONPATH": str(tmp_path)}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tvb_batch.submit", "run", str(spec)],
            env={**os.environ, **own, "TVB_BATCH_DATA_DIR": str(tmp_path / "data")},
            stdout=said, stderr=said, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
    url = f"sqlite:///{tmp_path}/data/catalogue.sqlite"
    wait_until(lambda: Path(url.removeprefix("sqlite:///")).exists(), seconds=60)
    catalogue = wait_until(lambda: opened(url), seconds=30)
    wait_until(lambda: catalogue.jobs(status=Status.STARTED), seconds=90)

    process.send_signal(signal.SIGINT)
    wait_until(lambda: "Ctrl-C again" in (tmp_path / "said").read_text(), seconds=30)
    process.send_signal(signal.SIGINT)

    assert process.wait(60) == 1
    assert processes_naming(str(tmp_path)) == []
    # It does not say that its jobs are pending again: their leases have not expired.
    assert [job.status for job in catalogue.jobs()] == [Status.STARTED]
    assert "Stopped at once" in (tmp_path / "said").read_text()
    assert "pending again" not in (tmp_path / "said").read_text()
    catalogue.dispose()


def opened(url: str) -> Catalogue | None:
    try:
        return Catalogue.open(url)
    except Exception:
        return None


def assert_whole(settings: Settings, catalogue: Catalogue, gids: list) -> None:
    outputs = catalogue.outputs(gids)
    assert len(outputs) == len(gids)
    for output in outputs:
        verified = verify(settings.storage.absolute(output.path), output.gid)
        assert (verified.sha256, verified.bytes) == (output.sha256, output.bytes)
    assert len(files_below(settings.storage.root / "outputs")) == len(gids)


def files_below(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def processes_naming(text: str) -> list[str]:
    """Return the running processes with `text` in their command line or environment, without this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in words and int(process.name) != os.getpid():
            found.append(process.name)
    return found

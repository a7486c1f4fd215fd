"""The pool of a worker without a broker: the end of its processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: A pool that Celery stops while a process works on a task whose start the pool has not seen.
PROGRAM = """
import os, sys, time
from pathlib import Path
from kombu.asynchronous import Hub, set_event_loop
from tvb_batch.worker.pool import Pool

def task(mark):
    Path(mark).touch()

hub = set_event_loop(Hub())
pool = Pool(processes=1, threads=False)
pool.register_with_event_loop(hub)
while not pool._fileno_to_inq:
    hub.run_once()
pool.apply_async(task, (sys.argv[1],))
while not os.path.exists(sys.argv[1]):
    # Written to the process, without reading its answer.
    pool.on_poll_start()
    hub.consolidate_callback(list(pool._all_inqueues))
    time.sleep(0.02)
pool.flush()
pool.close()
pool.join()
"""


def test_a_pool_does_not_wait_for_unread_messages(tmp_path: Path) -> None:
    # Celery's own takes 30 s for it.
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "mark")], timeout=20, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threads", "solo"])
def test_a_worker_without_processes_of_its_own_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    command = [sys.executable, "-m", "celery", "-A", "tvb_batch.worker", "--quiet", "worker", "--pool", name]
    place = {"TVB_BATCH_DATA_DIR": str(tmp_path), "TVB_BATCH_BROKER_URL": f"redis+socket://{tmp_path}/none"}
    done = subprocess.run(command, env={**os.environ, **place}, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert "jobs need processes; leave --pool out" in done.stderr
    assert "Traceback" not in done.stderr

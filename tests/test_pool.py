"""The pool of a worker, without a broker: what its processes do at its end."""

import subprocess
import sys
from pathlib import Path

#: A pool that stops as Celery stops it while a process works on a task whose start the pool has not heard of.
PROGRAM = """
import os, sys, time
from pathlib import Path
from kombu.asynchronous import Hub, set_event_loop
from worker.pool import Pool

def task(mark):
    Path(mark).touch()

hub = set_event_loop(Hub())
pool = Pool(processes=1, threads=False)
pool.register_with_event_loop(hub)
while not pool._fileno_to_inq:
    hub.run_once()
pool.apply_async(task, (sys.argv[1],))
while not os.path.exists(sys.argv[1]):
    # Written to the process, and nothing read of what it says.
    pool.on_poll_start()
    hub.consolidate_callback(list(pool._all_inqueues))
    time.sleep(0.02)
pool.flush()
pool.close()
pool.join()
"""


def test_a_pool_does_not_wait_for_words_that_nobody_reads(tmp_path: Path) -> None:
    # Celery's own takes 30 s for it.
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path / "mark")], timeout=20, check=True)

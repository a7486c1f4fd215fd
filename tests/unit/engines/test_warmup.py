"""What all kernels share is compiled once for a host, by one of the workers that start at once."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tvb_batch.worker.engines import warmup
from tvb_batch.worker.engines.codegen import kernel_cache as cache

WORKER = """
import sys
from pathlib import Path
from tvb_batch.worker.engines.codegen import kernel_cache
from tvb_batch.worker.engines import warmup
engines = warmup.warm(Path(sys.argv[1]))
loaded = kernel_cache.load_primitives(Path(sys.argv[1]))
hits = [sum(function.stats.cache_hits.values()) for function in (loaded.run_sources, loaded.run_edges)]
print(engines, hits)
"""
HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


def test_of_two_workers_that_start_at_once_one_compiles(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent.parent)}
    command = [sys.executable, "-W", "ignore", "-c", WORKER, str(tmp_path / "kernels")]
    workers = [
        subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]

    told = [worker.communicate(timeout=300) for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0], told
    engines = "['compiled', 'compiled', 'compiled']"
    assert sorted(out.strip() for out, _ in told) == [f"{engines} [0, 0]", f"{engines} [2, 1]"]


def test_a_warm_process_compiles_the_loop_for_no_job(kernels: Path) -> None:
    assert warmup.warm(kernels) == ["compiled"] * 3
    loaded = cache.load_primitives(kernels)
    forms = len(loaded.run_sources.signatures), len(loaded.run_edges.signatures)

    warmup.warm(kernels)

    assert (len(loaded.run_sources.signatures), len(loaded.run_edges.signatures)) == forms


def test_a_worker_that_never_ends_keeps_nobody_waiting(kernels: Path, monkeypatch) -> None:
    kernels.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(warmup, "PATIENCE", 0.3)
    command = [sys.executable, "-c", HOLDER, str(kernels / ".warmup")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            started = time.monotonic()
            with warmup._alone(kernels):
                waited = time.monotonic() - started
        finally:
            holder.kill()

    assert 0.3 <= waited < 10.0


def test_a_directory_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")

    with warmup._alone(tmp_path / "file" / "kernels"):
        pass

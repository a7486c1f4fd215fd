"""A catalogue for tests of the web pages: a finished, a failed and a pending sweep; served or in this process."""

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import uvicorn
from conftest import SHORT

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.web.app import make_web
from tvb_batch.worker.job.run import run_job

TOKEN = "a token <of> 'ours'"
PLAN = {"coupling.a": [0.01, 0.02], "model.tau": [1.0, 1.5]}
#: Texts that a page would execute if it did not escape them.
EVIL = "<img src=x onerror=alert(1)>"


def fill(directory: Path) -> tuple[Catalogue, Settings]:
    """Add four finished jobs, run as by a worker, one failed job and one pending job."""
    settings = load_settings(data_dir=directory)
    catalogue = Catalogue.open(settings.database, create=True)
    spec = SimulationSpec.model_validate({**SHORT, "title": EVIL, "subject": EVIL})
    done = catalogue.add_sweep(SweepSpec(name="done", base=spec, plan=PLAN))
    for job in catalogue.jobs(sweep=done.gid):
        claim = catalogue.claim(job.gid, "host:1", timedelta(seconds=60))
        run_job(catalogue, settings, claim)
    failed = catalogue.add_sweep(SweepSpec(name="failed", base=spec, plan={}), reuse=False)
    claim = catalogue.claim(catalogue.jobs(sweep=failed.gid)[0].gid, "host:2", timedelta(seconds=60))
    catalogue.fail(claim, "Broken", f"it broke {EVIL}", retryable=False, max_attempts=1)
    catalogue.add_sweep(SweepSpec(name="waiting", base=spec, plan={}), reuse=False)
    settings.storage.logs.mkdir()
    (settings.storage.logs / "worker-1.log").write_text(f"job_failed gid={claim.gid} {EVIL}\n")
    return catalogue, settings


@contextlib.contextmanager
def served(catalogue: Catalogue, settings: Settings) -> Iterator[str]:
    """Start a real server on a free port of the loopback; yield its address."""
    app = make_web(catalogue, settings, TOKEN, frozenset({"127.0.0.1"}))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)

"""Time of the pages of `tvb-batch serve` at 100,000 jobs, from the request to the last byte.

`python -m benchmarks.web`; the baseline of each row is the page of a sweep of one job.
"""

import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import uvicorn
from sqlalchemy import insert, select, text, update

from benchmarks.table import TIME, Row, in_turns, show, timed
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.catalogue.tables import Job, JobMetric
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.web.app import make_web

JOBS = 100_000
SPEC = {
    "simulation_length": 100.0,
    "model": {"class": "Generic2dOscillator"},
    "coupling": {"class": "Linear"},
    "integrator": {"class": "HeunDeterministic", "dt": 0.5},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
}


def fill(catalogue: Catalogue) -> None:
    """Add finished jobs of a two-parameter sweep, each with a metric, and a sweep of one job."""
    spec = SimulationSpec.model_validate(SPEC)
    side = int(JOBS**0.5) + 1
    plan = {"coupling.a": [k / side for k in range(side)], "model.tau": [1.0 + k / side for k in range(JOBS // side)]}
    catalogue.add_sweep(SweepSpec(name="one", base=spec, plan={}))
    catalogue.add_sweep(SweepSpec(name="many", base=spec, plan=plan))
    with catalogue._writing() as session:
        session.execute(update(Job).values(status=Status.FINISHED, worker="host:1", engine="compiled"))
        ids = session.scalars(select(Job.id)).all()
        session.execute(
            insert(JobMetric), [{"job_id": k, "name": "GlobalVariance", "number": k % 997 / 997} for k in ids]
        )
        session.execute(text("ANALYZE"))


def rows() -> Iterator[Row]:
    """Yield a row for each page."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory))
        catalogue = Catalogue.open(settings.database, create=True)
        fill(catalogue)
        many, one = (next(s.sweep for s in catalogue.sweeps() if s.sweep.name == name) for name in ("many", "one"))
        job = catalogue.jobs(sweep=many.gid, limit=1)[0]
        app = make_web(catalogue, settings, "token", frozenset({"127.0.0.1"}))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        threading.Thread(target=server.run, daemon=True).start()
        while not server.started:
            time.sleep(0.05)
        port = server.servers[0].sockets[0].getsockname()[1]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        client.get("/?token=token")
        pages = {
            "list of sweeps": "/",
            "sweep": f"/sweeps/{many.gid}",
            "map of the sweep": f"/sweeps/{many.gid}/chart",
            "jobs, first page": "/jobs",
            "jobs, last page": f"/jobs?page={many.size // 50}",
            "jobs by parameter": "/jobs?where=coupling.a+>=+0.9",
            "jobs by metric": "/jobs?where=GlobalVariance+>+0.99",
            "jobs by both, sorted": "/jobs?where=coupling.a+>=+0.9+and+GlobalVariance+>+0.9&sort=-GlobalVariance",
            "job": f"/jobs/{job.gid}",
            "workers": "/workers",
        }

        def get(path: str) -> None:
            client.get(path).raise_for_status()

        for name, path in pages.items():
            turns = in_turns(partial(timed, get, path), partial(timed, get, f"/sweeps/{one.gid}"))
            yield Row("web", name, "page of a sweep of one job", "ms", *turns, TIME, f"{many.size:,} jobs, SQLite")
        server.should_exit = True
        catalogue.dispose()


if __name__ == "__main__":
    show(rows())

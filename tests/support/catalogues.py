"""Catalogues on SQLite and PostgreSQL, and rows for tests."""

from datetime import timedelta
from importlib.metadata import version
from uuid import uuid4

from conftest import SHORT
from sqlalchemy import create_engine, text

from tvb_batch.models.catalogue import Catalogue, OutputRecord
from tvb_batch.models.spec.sweep import sweep

LEASE = timedelta(seconds=60)


def new_database(template: str) -> str:
    """Return the URL of an empty database of a server."""
    name = f"t{uuid4().hex}"
    engine = create_engine(template.format(name="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return template.format(name=name)


def add(catalogue: Catalogue, jobs: int = 3, name: str = "s", **changes: object):
    axes = {"coupling.a": [float(number) for number in range(jobs)]}
    return catalogue.add_sweep(sweep({**SHORT, "name": name, "sweep": axes, **changes}))


def first(catalogue: Catalogue, sweep_):
    return catalogue.jobs(sweep=sweep_.gid, limit=1)[0]


def output(**changes: object) -> OutputRecord:
    values = {
        "gid": uuid4(), "monitor": "Raw", "datatype": "TimeSeriesRegion", "path": "outputs/x.h5", "format": "tvb2",
        "bytes": 2**40, "sha256": "0" * 64, "shape": (4, 3, 2, 1), "is_nan": False, "refers_to": ("datatypes/c.h5",),
    }  # fmt: skip
    return OutputRecord(**{**values, **changes})  # type: ignore[arg-type]


def finished(catalogue, sweep_, versions=None):
    """Return the first job of a sweep, FINISHED with one output."""
    job = first(catalogue, sweep_)
    claim = catalogue.claim(job.gid, "w", LEASE)
    made = output()
    library = {"tvb-library": version("tvb-library")} if versions is None else versions
    catalogue.finish(claim, [made], engine="reference", versions=library)
    return job, made

"""Adds a SweepSpec to the catalogue in one transaction, then sends messages. Checks first what could fail later."""

from collections.abc import Callable

from celery import Celery

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Sweep
from tvb_batch.models.errors import BrokerError
from tvb_batch.models.paths import Storage
from tvb_batch.models.queue import publish_jobs
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.intake.files import keep


def enqueue(
    catalogue: Catalogue, app: Celery, spec: SweepSpec, storage: Storage, *, reuse: bool = True, priority: int = 0,
    note: Callable[[str], None] = lambda line: None,
) -> Sweep:  # fmt: skip
    """Add a sweep and publish its first jobs; the workers publish the rest.

    Parameters
    ----------
    reuse : use the results of equal simulations that have finished before
    priority : jobs of sweeps with a higher priority start first
    note : called with lines for the user

    Raises
    ------
    InputError, OutputError, CatalogueError
        Nothing was added.
    """
    kept, inputs = keep(spec, storage), Inputs(storage)
    sweep = catalogue.add_sweep(kept, reuse=reuse, priority=priority, note=note)
    # `prune` spares recent inputs without rows; a very large sweep may take longer, so renew their times.
    if not all(inputs.reserve(file) for file in kept.files()):
        keep(spec, storage)
    try:
        publish_jobs(catalogue, app)
    except BrokerError as exc:
        note(f"{exc}; the jobs are in the catalogue, and start when workers reach Redis again")
    return sweep

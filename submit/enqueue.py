"""From a SweepSpec to rows and messages: one transaction, commit, then send.

Called by the command line. Checks first whatever could leave rows behind that nobody will run.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from celery import Celery

from models.catalogue import Catalogue
from models.errors import BrokerError, InputError
from models.paths import Storage, check_writable
from models.queue import publish
from models.spec import SweepSpec
from models.tables import Sweep


def enqueue(catalogue: Catalogue, app: Celery, spec: SweepSpec, storage: Storage) -> Sweep:
    """Add a sweep and publish its first jobs; the workers publish the rest.

    Raises
    ------
    InputError, OutputError, CatalogueError
        Nothing was added.
    """
    sweep = catalogue.add_sweep(keep_inputs(spec, storage))
    # Should Redis leave just now: the rows are safe, and every worker publishes PENDING rows once it is back.
    with contextlib.suppress(BrokerError):
        publish(catalogue, app)
    return sweep


def keep_inputs(spec: SweepSpec, storage: Storage) -> SweepSpec:
    """The same sweep, its connectivity file copied to the shared storage under the name of its content.

    Raises
    ------
    InputError
        The file cannot be read.
    OutputError
        The data directory cannot be written.
    """
    source = Path(spec.base.connectivity["from_file"])
    if not source.is_absolute():
        return spec
    try:
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
    except OSError as exc:
        raise InputError(f"connectivity {source}: {exc.strerror}") from exc
    kept = storage.input(digest, source.suffix)
    if not kept.exists():
        check_writable(storage)
        kept.parent.mkdir(parents=True, exist_ok=True)
        _copy_whole(source, kept)
    connectivity = {**spec.base.connectivity, "from_file": storage.relative(kept)}
    return spec.model_copy(update={"base": spec.base.model_copy(update={"connectivity": connectivity})})


def _copy_whole(source: Path, target: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())
    Path(copy.name).chmod(0o644)
    Path(copy.name).replace(target)

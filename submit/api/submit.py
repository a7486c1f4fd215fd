"""`submit(simulator, ...)`: submits a Simulator of a script, as `tvb-batch submit` and `tvb-batch run` submit specs."""

import atexit
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.tables import Sweep as SweepRow
from tvb_batch.models.errors import BrokerError, SpecError
from tvb_batch.models.paths import check_writable
from tvb_batch.models.queue import check_broker, make_app
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.models.spec.sweep import has_own_seeds, sweep_spec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.tvb.introspect import role_of
from tvb_batch.submit.api.from_simulator import describe_object, describe_simulator
from tvb_batch.submit.api.noise_stream import Seeds
from tvb_batch.submit.api.results import Job, Sweep
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.submit.intake.files import locate, look
from tvb_batch.submit.operate.local_workers import local_workers

Grid = Mapping[str, Iterable[Any]]
Ranges = Mapping[str, Sequence[float]]


def submit(
    simulator: Any,
    grid: Grid | None = None,
    *,
    name: str = "script",
    zip: Grid | None = None,
    points: Any = None,
    random: Ranges | None = None,
    sobol: Ranges | None = None,
    lhs: Ranges | None = None,
    samples: int | None = None,
    repeats: int = 1,
    where: str | None = None,
    common_random_numbers: bool = False,
    seed: int | None = None,
    transient: float | None = None,
    title: str = "",
    subject: str | None = None,
    user_tags: Sequence[str] = (),
    workers: int | None = None,
    reuse: bool = True,
    data_dir: Path | str | None = None,
) -> Sweep:
    """Queue a TVB Simulator, once or for every point of a sweep.

    Parameters
    ----------
    simulator : a `tvb.simulator.simulator.Simulator`; it is read, not changed, and every job starts from its beginning
    grid : values of parameters, all combined: `{"coupling.a": np.linspace(0, 1, 11), "model.mu": [0.1, 0.2]}`
    zip : values of parameters, paired
    points : a list of points, each a mapping of parameters to values, or a pandas DataFrame with a column for each
    random, sobol, lhs : `{"coupling.a": [low, high]}`, drawn `samples` times: independently, from a Sobol sequence, or
        from a Latin hypercube
    repeats : number of jobs at each point, each with its own seed
    where : only points for which it is true, such as `coupling.a < model.b`
    common_random_numbers : one seed for all points
    seed : seed of the noise, and of NumPy if TVB draws initial conditions; by default a single job has the random
        numbers of the script's own run, and the jobs of a sweep have seeds derived from the noise's
    transient : first part of each series that all metrics leave out, ms; by default 500, and `hrf_length` (20000) for
        BOLD
    title, subject, user_tags : annotation of the files
    workers : number of worker processes to start on this machine, with a private Redis, until `Sweep.wait` returns; by
        default the workers of TVB_BATCH_BROKER_URL run the jobs
    reuse : use the results of equal simulations that have finished before
    data_dir : directory for results and the catalogue; TVB_BATCH_DATA_DIR by default

    Raises
    ------
    SpecError
        A parameter does not exist or does not fit, or a part of the simulator cannot be sent to a worker.
    BrokerError
        Redis does not answer; give `workers`.
    """
    settings = load_settings(data_dir=data_dir)
    check_writable(settings.storage)
    inputs = Inputs(settings.storage)
    processes = _processes(_plain(workers, inputs))
    annotation: dict[str, Any] = {"title": title, "user_tags": _plain(_listed(user_tags), inputs)}
    chosen = {"subject": subject, "transient": _plain(transient, inputs)}
    annotation |= {key: value for key, value in chosen.items() if value is not None}
    given = {
        "grid": _values(grid, inputs), "zip": _values(zip, inputs), "list": _points(points, inputs),
        "random": _values(random, inputs), "sobol": _values(sobol, inputs), "lhs": _values(lhs, inputs),
        "samples": _plain(samples, inputs), "repeats": _plain(repeats, inputs), "where": where,
        "common_random_numbers": _plain(common_random_numbers, inputs),
    }  # fmt: skip
    plan = {key: value for key, value in given.items() if value is not None}
    seeds = Seeds(_seed(_plain(seed, inputs)), has_own_seeds(plan))
    spec = sweep_spec(name, describe_simulator(simulator, inputs, seeds, **annotation), plan)
    spec = locate(spec, Path(), settings.storage)
    for warning in look(spec, settings.storage):
        warnings.warn(warning, UserWarning, stacklevel=2)
    catalogue = _catalogue(settings)
    if processes is None:
        try:
            check_broker(settings)
        except BrokerError as exc:
            raise BrokerError(f"{exc}; or run it on this machine with submit(..., workers=4)") from exc
        row = enqueue(catalogue, make_app(settings), spec, settings.storage, reuse=reuse, note=_note)
        return Sweep(row, catalogue, settings)
    stack = ExitStack()
    local = stack.enter_context(local_workers(settings, min(processes, spec.size)))
    atexit.register(stack.close)
    row = enqueue(catalogue, make_app(local.settings), spec, settings.storage, reuse=reuse, note=_note)
    return Sweep(row, catalogue, local.settings, local=stack, check=local.check)


def find(key: str, data_dir: Path | str | None = None) -> Sweep | Job:
    """Return the sweep or job with this gid, first characters of a gid, or name.

    Raises
    ------
    NotFoundError
        There is none, or more than one.
    """
    settings = load_settings(data_dir=data_dir)
    catalogue = _catalogue(settings)
    row = catalogue.find(key)
    return Sweep(row, catalogue, settings) if isinstance(row, SweepRow) else Job(row, catalogue, settings)


def _catalogue(settings: Settings) -> Catalogue:
    return Catalogue.open(settings.database, create=settings.database.startswith("sqlite"))


def _note(line: str) -> None:
    warnings.warn(line, stacklevel=5)


def _processes(workers: Any) -> int | None:
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise SpecError(
            "workers", repr(workers), "a whole number of at least 1", "leave it out for workers that run already"
        )
    return workers


def _seed(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32):
        raise SpecError("seed", repr(value), "a whole number from 0 to 2**32 - 1")
    return value


def _values(values: Any, inputs: Inputs) -> Any:
    """Return a mapping of parameters to values from a mapping or a DataFrame; the plan refuses other forms."""
    if not hasattr(values, "items"):
        return values
    return {name: _plain(_listed(items), inputs) for name, items in values.items()}


def _listed(items: Any) -> Any:
    return list(items) if _is_list(items) else items


def _is_list(items: Any) -> bool:
    """Return whether a parameter has a list of values; the plan refuses other forms."""
    is_one = isinstance(items, str | bytes | Mapping) or getattr(items, "ndim", 1) == 0
    return isinstance(items, Iterable) and not is_one


def _points(points: Any, inputs: Inputs) -> Any:
    """Return the rows of a DataFrame, or mappings; the plan refuses other forms."""
    if hasattr(points, "columns") and hasattr(points, "to_dict"):
        if not points.columns.is_unique:
            twice = ", ".join(map(str, points.columns[points.columns.duplicated()]))
            raise SpecError("sweep.list", f"more than one column {twice}", "a column for each parameter")
        points = points.to_dict("records")
    return (
        [_plain(dict(row), inputs) if hasattr(row, "items") else row for row in points] if _is_list(points) else points
    )


def _plain(value: Any, inputs: Inputs) -> Any:
    """Convert a value for a spec: NumPy's to Python's, paths to texts, TVB objects to sections, at any depth."""
    described = describe_object(value, role_of(type(value)) or "monitors", inputs)
    if described is not None:
        return described
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, PurePath):
        return str(value) if "/" in str(value) else f"./{value}"
    if isinstance(value, Mapping):
        return {str(name): _plain(item, inputs) for name, item in value.items()}
    return [_plain(item, inputs) for item in value] if isinstance(value, list | tuple) else value

"""Versions and sources that can change the result of a simulation."""

import platform
from functools import cache
from importlib.metadata import version

from tvb_batch import __version__
from tvb_batch.models.own_code.sources import tvb_version
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.worker.job.own_modules import sources_of

#: Libraries whose version can change a result.
_LIBRARIES = ("tvb-data", "numpy", "scipy", "numba", "h5py")


def versions(spec: SimulationSpec | None = None) -> dict[str, str]:
    """Return the versions that can change the result of a simulation, by name.

    Parameters
    ----------
    spec : a simulation with own classes; the digests of their sources are added (`models.own_code.sources`)
    """
    return {**_found(), **({} if spec is None else sources_of(spec))}


@cache
def _found() -> dict[str, str]:
    """Return the versions of the installed libraries; cached, because reading the metadata takes 10 ms."""
    found = {name: version(name) for name in _LIBRARIES}
    ours = {"tvb-batch": __version__, "python": platform.python_version()}
    return {**ours, "tvb-library": tvb_version(), **found}

"""The versions that decide what a simulation returns."""

import platform
from functools import cache
from importlib.metadata import version

from worker import __version__

#: Libraries whose version can change a result.
_LIBRARIES = ("tvb-library", "tvb-data", "numpy", "scipy", "numba", "h5py")


def versions() -> dict[str, str]:
    """The versions that decide what a simulation returns."""
    return dict(_found())


@cache
def _found() -> dict[str, str]:
    """Looked up once a process, which has imported them: reading all metadata takes 10 ms."""
    found = {name: version(name) for name in _LIBRARIES}
    return {"tvb-batch": __version__, "python": platform.python_version(), **found}

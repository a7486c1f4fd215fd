"""Thousands of The Virtual Brain simulations, queued, run on every core, saved as HDF5 that the TVB GUI imports.

The names in `__all__` are the public API; everything else in this package is private and may change at any time.
Importing this package imports neither TVB nor NumPy: each name is loaded when it is first used.

`models`, `submit`, `worker` and `examples` are links to the folders of that name at the top of the repository.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvb_batch.submit.api.results import Job, Sweep
    from tvb_batch.submit.api.submit import find, submit
    from tvb_batch.submit.api.time_series import TimeSeries
    from tvb_batch.worker.job.metrics import metric

__version__ = "0.1.0"
__all__ = ["Job", "Sweep", "TimeSeries", "__version__", "find", "metric", "submit"]

#: The module that defines each public name.
_HOMES = {
    "Job": "tvb_batch.submit.api.results",
    "Sweep": "tvb_batch.submit.api.results",
    "TimeSeries": "tvb_batch.submit.api.time_series",
    "find": "tvb_batch.submit.api.submit",
    "metric": "tvb_batch.worker.job.metrics",
    "submit": "tvb_batch.submit.api.submit",
}


@contextmanager
def _without_own_folder() -> Iterator[None]:
    """Take the script's or notebook's own folder off the path: a `celery.py` there is not the Celery that we import.

    Python puts it first, by its name or as `""`; IPython and Jupyter put `""` before the installed packages.
    """
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    own = {"", str(Path.cwd()), *([str(Path(script).absolute().parent)] if script else [])}
    taken = [(at, path) for at, path in enumerate(sys.path) if path == "" or (at == 0 and path in own)]
    for at, _ in reversed(taken):
        del sys.path[at]
    try:
        yield
    finally:
        for at, path in taken:
            sys.path.insert(at, path)


class _Package(ModuleType):
    """The package as a module: its name `submit` is the function, although a subpackage has the same name."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with _without_own_folder():
            value = getattr(importlib.import_module(_HOMES[name]), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Python's import sets each subpackage as an attribute of its package.
        if name not in _HOMES:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package

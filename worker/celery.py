"""Where Celery finds the app: `celery -A tvb_batch.worker worker`.

Celery puts the working folder first on Python's path while it imports an app. A `redis.py` or `numpy.py` of a person in
that folder would then take the place of the real one. So the folder goes off the path before anything else is imported,
unless PYTHONPATH names it.
"""

import os
import sys


def _drop_working_folder() -> None:
    here = os.getcwd()  # noqa: PTH109 - as Celery writes it
    named = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]  # noqa: PTH100
    if here not in named:
        sys.path[:] = [part for place, part in enumerate(sys.path) if place or part not in ("", here)]


_drop_working_folder()

from tvb_batch.worker.app import app  # noqa: E402

__all__ = ["app"]

"""Where Celery finds the app: `celery -A tvb_batch.worker worker`.

Celery puts the working folder first on Python's path while it imports an app. A `redis.py` or `numpy.py` of a user in
that folder would replace the real package. So this module takes the folder off the path during the import, unless
PYTHONPATH names it.
"""

import os
import sys


def _off_the_path() -> list[str]:
    """Take the working folder off Python's path; return the entries that were removed."""
    here = os.getcwd()  # noqa: PTH109 - as Celery writes it
    named = [os.path.abspath(part) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]  # noqa: PTH100
    return [sys.path.pop(0)] if sys.path[0] in ("", here) and here not in named else []


_taken = _off_the_path()

from tvb_batch.worker.app import app  # noqa: E402

# Celery removes the first entry with this name; without this one it would remove TVB_BATCH_MODULES_DIR, if equal.
sys.path[:0] = _taken

__all__ = ["app"]

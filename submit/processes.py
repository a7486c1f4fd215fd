"""Runs what only a worker's code can do (TVB, H5 files) for a command of the client, in a process of its own."""

import subprocess
import sys

from models.errors import TvbBatchError
from models.settings import Settings
from submit.local import child_environment


class WorkerProcessError(TvbBatchError):
    """The process ended with a fault, whose words these are."""


def run_worker_module(settings: Settings, module: str, *arguments: str, text: str = "") -> str:
    """What `python -m worker.<module>` prints, given `text` on its standard input.

    Raises
    ------
    WorkerProcessError
        It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"worker.{module}", *arguments],
        input=text, text=True, capture_output=True, check=False, env=child_environment(settings),
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise WorkerProcessError(lines[-1] if lines else f"worker.{module} ended with code {done.returncode}")
    return done.stdout

"""Runs what only a worker's code can do (TVB, H5 files) for a command of the client, in a process of its own."""

import subprocess
import sys

from models.errors import TvbBatchError
from models.settings import Settings
from submit.local import child_environment


class WorkerProcessError(TvbBatchError):
    """The process ended with a fault, whose words these are."""


def run_worker_module(settings: Settings, module: str, *arguments: str, text: str = "", may_fail: bool = False) -> str:
    """What `python -m worker.<module>` prints, given `text` on its standard input.

    Parameters
    ----------
    may_fail : code 1 is an answer, not a fault

    Raises
    ------
    WorkerProcessError
        It failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"worker.{module}", *arguments],
        input=text, text=True, capture_output=True, check=False, env=child_environment(settings),
    )  # fmt: skip
    if done.returncode and not (may_fail and done.returncode == 1):
        lines = done.stderr.strip().splitlines()
        raise WorkerProcessError(lines[-1] if lines else f"worker.{module} ended with code {done.returncode}")
    return done.stdout

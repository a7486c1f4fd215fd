"""Runs what only a worker's code can do (TVB, H5 files) for a command of the client, in a process of its own."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.submit.operate.local_workers import child_environment


class WorkerProcessError(TvbBatchError):
    """The process ended with a fault, whose words these are."""


def run_worker_module(
    settings: Settings, module: str, *arguments: str, text: str = "", may_fail: bool = False,
    on_line: Callable[[str], object] = lambda line: None,
) -> str:  # fmt: skip
    """What `python -m tvb_batch.worker.<module>` prints, given `text` on its standard input.

    Parameters
    ----------
    may_fail : code 1 is an answer, not a fault
    on_line : called with each line, as soon as it is printed

    Raises
    ------
    WorkerProcessError
        It failed.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as given:
        given.write(text)
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", f"tvb_batch.worker.{module}", *arguments],
            stdin=given, stdout=subprocess.PIPE, stderr=said, text=True, env=child_environment(settings),
        )  # fmt: skip
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                on_line(line)
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            code = process.wait()
        said.seek(0)
        faults = said.read().strip().splitlines()
    if code and not (may_fail and code == 1):
        if code < 0:  # HDF5 crashes at some damaged files.
            how = signal.Signals(-code).name
            raise WorkerProcessError(
                f"tvb_batch.worker.{module} was ended by {how}; one of the files may be damaged inside"
            )
        raise WorkerProcessError(faults[-1] if faults else f"tvb_batch.worker.{module} ended with code {code}")
    return "".join(lines)

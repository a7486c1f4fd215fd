"""Runs code of the worker (TVB, H5 files) for a command of the client, in a separate process."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.settings import Settings
from tvb_batch.models.worker_protocol import Request
from tvb_batch.submit.operate.local_workers import child_environment


class WorkerProcessError(TvbBatchError):
    """The process ended with an error; the message is its output."""


def run_worker(
    settings: Settings, *requests: Request, may_fail: bool = False,
    on_line: Callable[[str], object] = lambda line: None,
) -> str:  # fmt: skip
    """Return what a program of the worker prints in answer to the requests.

    It runs in the working folder of the caller, but imports nothing from it.

    Parameters
    ----------
    requests : at least one, all of the same class
    may_fail : exit code 1 is an answer, not an error
    on_line : called with each line when it is printed

    Raises
    ------
    WorkerProcessError
        It failed.
    """
    module = requests[0].module
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as given:
        given.writelines(f"{request.to_json()}\n" for request in requests)
        given.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
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
        if code < 0:  # HDF5 crashes on some damaged files.
            how = signal.Signals(-code).name
            raise WorkerProcessError(f"{module} was ended by {how}; one of the files may be damaged inside")
        raise WorkerProcessError(faults[-1] if faults else f"{module} ended with code {code}")
    return "".join(lines)

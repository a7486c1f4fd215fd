"""Start-up time of commands and of a worker.

python -m benchmarks.startup      commands against `python -c pass`, a worker against Python that imports TVB
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.table import TIME, Row, in_turns, show, timed
from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.queue import listening, make_app
from tvb_batch.models.settings import Settings, load_settings
from tvb_batch.submit.operate.local_workers import child_environment, local_workers

COMMANDS = {
    "tvb-batch --help": ("-m", "tvb_batch.submit", "--help"),
    "tvb-batch list": ("-m", "tvb_batch.submit", "list"),
}


def run_python(settings: Settings, *arguments: str) -> float:
    """Return the milliseconds of a Python process from its start to its end."""
    command = [sys.executable, *arguments]
    return timed(partial(subprocess.run, command, check=True, capture_output=True, env=child_environment(settings)))


def start_worker(settings: Settings) -> float:
    """Return the milliseconds from the start of a private Redis and a worker until the worker listens."""
    started = time.perf_counter()
    with local_workers(settings, 1) as local:
        app = make_app(local.settings)
        while not listening(app):
            local.check()
            time.sleep(0.05)
        return 1000 * (time.perf_counter() - started)


def rows() -> Iterator[Row]:
    """Yield a row for each command, and one for a worker."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory))
        Catalogue.open(settings.database, create=True).dispose()
        python, worker = partial(run_python, settings), partial(start_worker, settings)
        for name, arguments in COMMANDS.items():
            turns = in_turns(partial(python, *arguments), partial(python, "-c", "pass"))
            yield Row("startup", name, "python -c pass", "ms", *turns, TIME)
        turns = in_turns(worker, partial(python, "-c", "import tvb.simulator.lab"))
        yield Row("startup", "a worker and its Redis, until it listens", "Python that imports TVB", "ms", *turns, TIME)


if __name__ == "__main__":
    show(rows())

"""How long commands and a worker take to start.

python -m benchmarks.startup      the baseline is `python -c pass`
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from models.catalogue import Catalogue
from models.queue import listening, make_app
from models.settings import Settings, load_settings
from submit.local import child_environment, local_workers

TURNS = 5


def measure(command: list[str], settings: Settings) -> float:
    """Median seconds of a process."""
    times = []
    for _ in range(TURNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=child_environment(settings))
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def worker_ready(settings: Settings) -> float:
    """Seconds from the start of a private Redis and a worker until the worker listens, TVB imported."""
    started = time.perf_counter()
    with local_workers(settings, 1) as local:
        app = make_app(local.settings)
        while not listening(app):
            local.check()
            time.sleep(0.05)
        return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as directory:
        settings = load_settings(data_dir=Path(directory))
        Catalogue.open(settings.database, create=True).dispose()
        rows = {
            "python -c pass (baseline)": [sys.executable, "-c", "pass"],
            "tvb-batch --help": [sys.executable, "-m", "submit", "--help"],
            "tvb-batch list": [sys.executable, "-m", "submit", "list"],
            "import of TVB": [sys.executable, "-c", "import tvb.simulator.lab"],
        }
        print(f"{f'medians of {TURNS}':<32}{'s':>8}{'ratio':>8}")
        baseline = 0.0
        for name, command in rows.items():
            seconds = measure(command, settings)
            baseline = baseline or seconds
            print(f"{name:<32}{seconds:>8.2f}{seconds / baseline:>8.1f}", flush=True)
        seconds = worker_ready(settings)
        print(f"{'worker ready (once)':<32}{seconds:>8.2f}{seconds / baseline:>8.1f}")


if __name__ == "__main__":
    main()

"""Fixtures with real parts: a data directory for each test, one private Redis for a session, catalogues and workers."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine

# Before NumPy is imported, as in a worker: its threads would compete for the cores.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# The user's settings must not reach the tests.
for _name in [name for name in os.environ if name.startswith("TVB_BATCH_") and "TEST" not in name]:
    del os.environ[_name]
# Kernels of all tests and their workers, where pytest's own cache is: compiling them takes longer than most tests.
os.environ["TVB_BATCH_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "d" / "tvb-batch")

from tvb_batch.models.catalogue import Catalogue  # noqa: E402
from tvb_batch.models.own_code.allowed import allowed  # noqa: E402
from tvb_batch.models.own_code.imports import forget  # noqa: E402
from tvb_batch.models.queue import make_app  # noqa: E402
from tvb_batch.models.settings import Settings, load_settings  # noqa: E402
from tvb_batch.submit.cli import main  # noqa: E402
from tvb_batch.submit.operate.local_workers import environment, private_redis  # noqa: E402
from tvb_batch.worker.job import metrics  # noqa: E402

if TYPE_CHECKING:
    from fault_system import Forked, Warm

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
JUDGE = Path(__file__).parent / "support" / "gui_judge.py"

#: A simulation that takes a tenth of a second.
SHORT = {
    "simulation_length": 20.0,
    "connectivity": "connectivity_76.zip",
    "model": {"class": "Generic2dOscillator"},
    "coupling": {"class": "Linear"},
    "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [0.001]}},
    "monitors": [{"class": "TemporalAverage", "period": 1.0}],
}

#: Makes it run until it is stopped, on any machine: TVB's own loop takes minutes for it.
ENDLESS = {"simulation_length": 600_000.0, "engine": "reference"}


def wait_until(condition: Callable[[], Any], *, seconds: float = 180.0, every: float = 0.05) -> Any:
    """Return what `condition` returns once it is true; fail the test after `seconds`, chosen for a busy machine."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
    return found


@pytest.fixture(scope="session")
def broker_url() -> Iterator[str]:
    """Return the URL of one real Redis for all tests; a test that sends messages empties it first."""
    with private_redis(Settings()) as settings:
        yield settings.broker


@pytest.fixture(scope="session")
def kernels(request: pytest.FixtureRequest) -> Path:
    """Return the directory of compiled kernels, kept between runs of the tests: compiling all takes minutes."""
    return Path(request.config.cache.mkdir("kernels"))


@pytest.fixture
def settings(tmp_path: Path, broker_url: str) -> Settings:
    """Return settings with a new data directory and an empty Redis."""
    settings = load_settings(data_dir=tmp_path / "data", broker_url=broker_url, lease=20.0)
    settings.data_dir.mkdir()
    with make_app(settings).connection_for_write() as connection:
        connection.default_channel.client.flushall()
    return settings


@pytest.fixture(autouse=True)
def own_modules_of_this_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the modules and metrics that a test has imported from its own folder."""
    monkeypatch.setattr("tvb_batch.models.own_code.allowed._allowed", set(allowed()))
    monkeypatch.setattr(metrics, "METRICS", dict(metrics.METRICS))
    yield
    forget()


@pytest.fixture
def catalogue(settings: Settings) -> Iterator[Catalogue]:
    """Return an empty SQLite catalogue."""
    catalogue = Catalogue.open(settings.database, create=True)
    yield catalogue
    catalogue.dispose()


@pytest.fixture(scope="session")
def warm() -> Iterator["Warm"]:
    """Return a process that has imported TVB, from which workers are forked."""
    from fault_system import Warm

    found = Warm()
    yield found
    found.stop()


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path, warm: "Warm") -> Iterator[Callable[..., "Forked"]]:
    """Return a function that starts real Celery workers; they end with the test."""
    from fault_system import Forked, celery_arguments

    started: list[Forked] = []

    def start(concurrency: int = 1, used: Settings = settings) -> Forked:
        pid = warm.start(
            arguments=celery_arguments(concurrency),
            environment={**os.environ, **environment(used)},
            directory=str(Path.cwd()),
            path=[path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path],
            log=str(tmp_path / f"worker-{len(started)}.log"),
        )
        started.append(Forked(warm, pid))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
    for process in started:
        with contextlib.suppress(AssertionError):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture
def tvb_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker_url: str):
    """Return a function that runs a command in this process, with the test's data directory and broker."""
    monkeypatch.setenv("TVB_BATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TVB_BATCH_BROKER_URL", broker_url)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str):
        return CliRunner().invoke(main, list(arguments), catch_exceptions=False)

    return call


def postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)) or [
        Path(path).parent for path in [shutil.which("initdb")] if path
    ]
    return found[-1] if found else None


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a private PostgreSQL on a socket; return its URL without the name of a database."""
    binaries = postgres_binaries()
    if binaries is None:
        reason = "no PostgreSQL server is installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("pg")
    # PostgreSQL refuses to run as root; `nobody` runs it, in directories that it can enter.
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.getuid() == 0 else []
    if as_nobody:
        os.chown(directory, 65534, 65534)
        for parent in list(directory.parents)[:-2]:
            parent.chmod(parent.stat().st_mode | 0o055)
    data = directory / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "tvb", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run([*as_nobody, *map(str, initdb)], check=True, capture_output=True)
    options = ["-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={directory}", "-c", "fsync=off"]
    server = subprocess.Popen(
        [*as_nobody, str(binaries / "postgres"), *map(str, options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"postgresql+psycopg://tvb@/{{name}}?host={directory}"
        wait_until(lambda: answers(url.format(name="postgres")))
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def answers(url: str) -> bool:
    engine = create_engine(url)
    try:
        with engine.connect():
            return True
    except Exception:
        return False
    finally:
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalogue.sqlite"
    from catalogues import new_database

    return new_database(request.getfixturevalue("postgres_server"))


@pytest.fixture
def each_catalogue(url: str) -> Iterator[Catalogue]:
    """Return an empty catalogue on each database."""
    catalogue = Catalogue.open(url, create=True)
    yield catalogue
    catalogue.dispose()


@pytest.fixture
def configured(settings, monkeypatch):
    """Set the environment of a user's script."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    return settings


@pytest.fixture
def made(settings, catalogue):
    """Return a sweep of two finished jobs."""
    from runs import ran

    return ran(settings, catalogue, "a", sweep={"coupling.a": [0.01, 0.02]})


def gui_verdicts(files: Sequence[Path], home: Path, judge: Path = JUDGE) -> list[dict[str, Any]]:
    """Return what the real GUI's importer and viewers report for each file, from one GUI process.

    Skip without tvb-framework.
    """
    if importlib.util.find_spec("tvb.core") is None:
        reason = "tvb-framework is not installed: pip install tvb-batch[gui-test]"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # The GUI's test profile writes some files into its working folder.
    command = [sys.executable, str(judge), str(home), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=home)
    lines = [line for line in done.stdout.splitlines() if line.startswith("VERDICT ")]
    assert len(lines) == len(files), done.stderr[-3000:]
    return [json.loads(line.removeprefix("VERDICT ")) for line in lines]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how much of TVB was run and found equal, and the outcomes of jobs under faults."""
    said = [item for report in terminalreporter.getreports("passed") for item in report.user_properties]
    faults = [value for name, value in said if name == "fault"]
    for fault, outcome, seconds in sorted(faults):
        terminalreporter.write_line(f"  {fault:<64} {outcome:<36} {seconds:5.1f} s")
    if faults:
        terminalreporter.write_line(f"faults that jobs outlived: {len(faults)}")
    covered = {tuple(found) for name, value in said if name == "covers" for found in value}
    if covered:
        from tvb_cases import wanted

        roles = sorted({role for role, _ in wanted()})
        counts = [
            f"{sum(1 for role, _ in covered & wanted() if role == one)} of {sum(1 for role, _ in wanted() if role == one)} {one}"
            for one in roles
        ]
        terminalreporter.write_line(
            f"equal to TVB's own run, bit for bit: {len(covered & wanted())} of {len(wanted())} classes ({', '.join(counts)})"
        )
    engines = sorted(value for name, value in said if name == "engine")
    for name, engine in engines:
        terminalreporter.write_line(f"  {name:<60} {engine:<10} identical bits")
    if engines:
        terminalreporter.write_line(f"compiled engines: identical bits with TVB in {len(engines)} configurations")

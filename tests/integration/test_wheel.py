"""The built wheel in a new environment, used from a folder whose files have names of its own and other packages."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import EXAMPLES, ROOT, SHORT

pytestmark = pytest.mark.xdist_group("wheel")

HOSTILE = "raise SystemExit('a file of the working folder was imported: ' + __file__)\n"
#: Files in the folder of a script or in the working folder of a command.
BESIDE_A_SCRIPT = ("models.py", "models/__init__.py", "worker.py", "submit.py", "celery.py")
BESIDE_A_COMMAND = (*BESIDE_A_SCRIPT, "redis.py", "numpy.py", "sqlalchemy.py", "kombu.py")
SCRIPT = """
from tvb.simulator.lab import *
from tvb_batch import submit
sim = simulator.Simulator(connectivity=connectivity.Connectivity.from_file(), simulation_length=20.0)
sweep = submit(sim, {"coupling.a": [0.01, 0.02]}, name="script", workers=1)
sweep.wait()
print("STATES", sorted(str(job.status) for job in sweep.jobs()))
"""
NOTEBOOK = """
%matplotlib inline
from tvb.simulator.lab import *
sim = simulator.Simulator(connectivity=connectivity.Connectivity.from_file(), simulation_length=20.0)

import tvb_batch
tvb_batch.submit?
sweep = tvb_batch.submit(sim, grid={"coupling.a": [0.01, 0.02]}, name="notebook", workers=1).wait()

print("STATES", sorted(str(job.status) for job in sweep.jobs()))
sweep.plot("GlobalVariance")
series = sweep.jobs()[0].time_series()
print("SHAPE", series.data.shape, "ROWS", len(sweep.dataframe()))
"""
METRIC = "from tvb_batch import metric\n\n\n@metric('ours')\ndef ours(series):\n    return 4.0\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Return the wheel of a release."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory) -> Path:
    """Return the Python of a new environment with the wheel; dependencies come from the environment of the tests."""
    home = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    found = home / "bin" / "python"
    subprocess.run([found, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    [packages] = home.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    (path / "spec.json").write_text(json.dumps({"name": "s", **SHORT}))
    return path


def build(target: str, source: Path, folder: Path) -> Path:
    """Build a `wheel` or an `sdist` of the project at `source`; return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    [built] = folder.glob("tvb_batch-*")
    return built


def spoil(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(HOSTILE)


def call(*command: str | Path, cwd: Path, **own: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env |= {"TVB_BATCH_DATA_DIR": str(cwd.parent / "data"), **own}
    return subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def test_the_wheel_installs_one_package(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {"tvb_batch"}


def test_a_wheel_of_the_source_archive_is_the_same(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.glob("tvb_batch-*")

    again = build("wheel", source, tmp_path / "dist")

    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_new_writes_an_example_of_the_wheel(python: Path, folder: Path) -> None:
    written = call(python.with_name("tvb-batch"), "new", "--example", "sweep", cwd=folder)
    (folder / "sweep.yaml").write_text(written.stdout)

    planned = call(python.with_name("tvb-batch"), "submit", "--dry-run", "sweep.yaml", cwd=folder)

    assert written.stdout == (EXAMPLES / "sweep.yaml").read_text(), written.stderr
    assert planned.stdout.startswith("sweep: 6 jobs"), planned.stderr


def test_the_environment_uses_the_wheel(python: Path, folder: Path) -> None:
    done = call(python, "-c", "import tvb_batch; print(tvb_batch.__file__)", cwd=folder)

    assert Path(done.stdout.strip()).is_relative_to(python.parent.parent)


def test_a_run_with_a_users_metric_works_beside_hostile_files(python: Path, folder: Path) -> None:
    spoil(folder, BESIDE_A_COMMAND)
    (folder / "my_metrics.py").write_text(METRIC)
    own = {"TVB_BATCH_MODULES": "my_metrics", "TVB_BATCH_MODULES_DIR": "."}

    done = call(python.with_name("tvb-batch"), "run", "spec.json", "-w", "1", cwd=folder, **own)
    listed = call(python.with_name("tvb-batch"), "list", "s", "--json", "--where", "ours = 4", cwd=folder, **own)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(listed.stdout)) == 1, listed.stderr


def test_a_script_works_beside_hostile_files(python: Path, folder: Path) -> None:
    spoil(folder, BESIDE_A_SCRIPT)
    (folder / "script.py").write_text(SCRIPT)

    done = call(python, "script.py", cwd=folder)

    assert "STATES ['FINISHED', 'FINISHED']" in done.stdout, done.stderr[-3000:]


def test_a_notebook_works_beside_hostile_files(python: Path, folder: Path) -> None:
    spoil(folder, BESIDE_A_SCRIPT)
    (folder / "notebook.ipy").write_text(NOTEBOOK)

    # Like a Jupyter kernel, IPython puts the notebook's folder between the standard library and the packages.
    done = call(python, "-m", "IPython", "--no-banner", "notebook.ipy", cwd=folder, IPYTHONDIR=str(folder / "home"))

    assert "STATES ['FINISHED', 'FINISHED']" in done.stdout, done.stdout + done.stderr[-3000:]
    assert "SHAPE (" in done.stdout
    assert "ROWS 2" in done.stdout


@pytest.mark.parametrize("before", ["", "import tvb_batch.submit.cli", "import tvb_batch; import tvb_batch.submit"])
def test_submit_is_the_function_whatever_was_imported_before(before: str) -> None:
    program = f"{before}\nfrom tvb_batch import submit, find, metric, Job, Sweep, TimeSeries\n" \
              "import tvb_batch; print(submit is tvb_batch.submit, callable(submit), submit.__name__)"  # fmt: skip

    done = call(sys.executable, "-c", program, cwd=ROOT)

    assert done.stdout.split() == ["True", "True", "submit"], done.stderr

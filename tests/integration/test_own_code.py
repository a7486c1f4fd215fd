"""A user edits a module between two runs: new results come from the new source, and old ones are marked."""

import os
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import run_tvb_batch
from conftest import ENDLESS, SHORT, wait_until

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.catalogue.status import Status
from tvb_batch.models.own_code.allowed import allow
from tvb_batch.models.own_code.imports import forget
from tvb_batch.models.queue import announced, make_app
from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.intake.enqueue import enqueue
from tvb_batch.worker.state import WorkerState
from tvb_batch.worker.tasks import perform
from tvb_batch.worker.tools.rerun import rerun

MODEL = """
import numpy as np
from numba import njit
from tvb.basic.neotraits.api import NArray, Final, List
from tvb.simulator.models.base import Model
from decay_helper import rate


@njit(cache=True)
def change(x):
    return -0.01 * rate() * x


class Decay(Model):
    a = NArray(default=np.array([1.0]))
    state_variables = ("x",)
    _nvar = 1
    state_variable_range = Final(default={"x": np.array([0.5, 1.0])})
    variables_of_interest = List(of=str, choices=("x",), default=("x",))
    cvar = np.array([0], dtype=np.int32)

    def dfun(self, state, coupling, local_coupling=0.0):
        return self.a * change(state)
"""
HELPER = "from numba import njit\n\n@njit\ndef rate():\n    return 1.0\n"
METRICS = "from tvb_batch.worker.job.metrics import metric\n\n@metric('own')\ndef own(series):\n    return 1.0\n"
SPEC = {**SHORT, "model": {"class": "decay_model.Decay"}, "coupling": {"class": "Linear", "a": 0.0},
        "integrator": {"class": "EulerDeterministic", "dt": 0.5}}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder with a model, its helper and a metric, in which workers look for modules."""
    path = tmp_path / "own"
    path.mkdir()
    for name, text in (("decay_model", MODEL), ("decay_helper", HELPER), ("decay_metrics", METRICS)):
        (path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("PYTHONPATH", f"{path}:{os.environ.get('PYTHONPATH', '')}")
    allow(["decay_model", "decay_metrics"])
    return path


@pytest.fixture
def own(settings: Settings) -> Settings:
    return settings.model_copy(update={"modules": "decay_model,decay_metrics"})


def edit(path: Path, old: str, new: str) -> None:
    """Change a text in a file, and reset this process to the state of a new client."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    forget()


def series(settings: Settings, catalogue: Catalogue, job) -> np.ndarray:
    [output] = catalogue.outputs([job.gid])
    with h5py.File(settings.storage.absolute(output.path)) as file:
        return file["data"][()]


def test_a_running_worker_uses_edited_modules_and_records_their_sources(folder, own, catalogue, start_worker) -> None:
    app, notes = make_app(own), []
    worker = start_worker(1, own)
    wait_until(lambda: announced(app))

    def run(name: str):
        """Submit once more and return the job when it has ended."""
        added = enqueue(catalogue, app, sweep({"name": name, **SPEC}), own.storage, note=notes.append)
        return wait_until(lambda: next((job for job in catalogue.jobs(sweep=added.gid) if job.finished_at), None))

    first, again = run("first"), run("again")
    assert [first.status, again.status, again.source_id] == [Status.FINISHED, Status.FINISHED, first.id], first.error
    assert notes == []
    assert "source decay_helper" in next(iter(announced(app).values()))["versions"]
    data = series(own, catalogue, first)
    assert {"source decay_model", "source decay_helper", "metrics decay_metrics"} <= first.versions.keys()

    # The function in Numba's cache is in another file than the edit, and the length of the file is the same.
    edit(folder / "decay_helper.py", "return 1.0", "return 9.0")
    second = run("helper")
    assert (second.status, second.source_id) == (Status.FINISHED, None), second.error
    faster = series(own, catalogue, second)
    assert faster[-1, 0, 0, 0] / faster[0, 0, 0, 0] < 0.3 < data[-1, 0, 0, 0] / data[0, 0, 0, 0]
    assert second.versions["source decay_helper"] != first.versions["source decay_helper"]
    assert notes == ["1 of the jobs finished before with other sources and run again; changed: decay_helper"]

    edit(folder / "decay_metrics.py", "return 1.0", "return 2.0")
    third = run("metric")
    assert third.source_id is None
    assert [catalogue.metrics([job.gid])[job.gid]["own"] for job in (second, third)] == [1.0, 2.0]

    edit(folder / "decay_model.py", "np.array([1.0])", "np.array([0.0])")
    fourth = run("default")
    still = series(own, catalogue, fourth)
    assert (still[0] == still[-1]).all()
    edit(folder / "decay_model.py", "np.array([0.0])", "np.array([1.0])")
    back = run("as before")
    assert back.source_id == third.id
    assert worker.poll() is None

    assert rerun(own.storage.absolute(catalogue.outputs([second.gid])[0].path), own).different == 0
    old = rerun(own.storage.absolute(catalogue.outputs([first.gid])[0].path), own)
    assert old.different > 0
    assert [line.split(":")[0] for line in old.circumstances] == ["source decay_helper"]


def test_a_pending_job_is_not_run_with_an_edited_module(folder, own, catalogue) -> None:
    added = catalogue.add_sweep(sweep({"name": "waiting", **SPEC}))
    edit(folder / "decay_helper.py", "return 1.0", "return 9.0")
    told = []

    def attempt() -> Status:
        # A new process for each, as in the pool.
        state = WorkerState(own.model_copy(update={"max_attempts": 2}))
        perform(state, str(job.gid))
        assert state.is_spent is (catalogue.find_job(str(job.gid)).status != Status.FINISHED)
        state.after_fork()
        return catalogue.find_job(str(job.gid)).status

    [job] = catalogue.jobs(sweep=added.gid)
    assert [attempt(), attempt()] == [Status.PENDING, Status.ERROR]
    found = catalogue.find_job(str(job.gid))
    assert found.error_type == "SourceError"
    assert f"decay_helper: {folder}/decay_helper.py on this host differs from the submitted file" in found.error
    assert catalogue.outputs([job.gid]) == []

    catalogue.retry(sweep=added.gid, note=told.append)
    assert told == ["waiting continues with the modules of this machine, which were not submitted: decay_helper"]
    assert attempt() is Status.FINISHED, catalogue.find_job(str(job.gid)).error


def test_a_module_that_fails_to_import_is_reported_until_it_is_mended(folder, own, catalogue, start_worker) -> None:
    start_worker(1, own)
    busy = catalogue.add_sweep(sweep({"name": "busy", **SHORT, **ENDLESS}))
    wait_until(lambda: catalogue.jobs(sweep=busy.gid)[0].status == Status.STARTED)
    added = catalogue.add_sweep(sweep({"name": "broken", **SPEC}))
    [job] = catalogue.jobs(sweep=added.gid)
    edit(folder / "decay_helper.py", "return 1.0", "return 1.0 +")
    catalogue.cancel(sweep=busy.gid)

    wait_until(lambda: catalogue.find_job(str(job.gid)).status == Status.ERROR)
    error = catalogue.find_job(str(job.gid)).error
    assert error.startswith("decay_model (TVB_BATCH_MODULES) cannot be imported on this host (SyntaxError:")
    edit(folder / "decay_helper.py", "return 1.0 +", "return 1.0")
    catalogue.retry(job=job.gid)

    wait_until(lambda: catalogue.find_job(str(job.gid)).status == Status.FINISHED)


def test_a_process_with_edited_modules_returns_its_message(folder, own, catalogue) -> None:
    first = catalogue.jobs(sweep=catalogue.add_sweep(sweep({"name": "s", **SPEC})).gid)[0]
    state = WorkerState(own)
    perform(state, str(first.gid))
    # The client is another process; this one has imported the old files.
    second = catalogue.jobs(sweep=catalogue.add_sweep(sweep({"name": "t", **SPEC, "seed": 7})).gid)[0]
    catalogue.mark_published([second.gid])
    (folder / "decay_helper.py").write_text(HELPER.replace("1.0", "9.0"))

    assert not perform(state, str(second.gid))

    found = catalogue.find_job(str(second.gid))
    assert (state.is_spent, found.status, found.attempt, found.published_at) == (True, Status.PENDING, 0, None)
    assert not perform(state, None), "whatever comes is for the next process"
    state.after_fork()


@pytest.mark.parametrize("how", ["new", "gone", "not found here"])
def test_added_and_removed_user_metrics_are_recomputed(folder, own, catalogue, monkeypatch, how) -> None:
    told = []
    if how == "new":
        (folder / "decay_metrics.py").write_text("")
    [job] = catalogue.jobs(sweep=catalogue.add_sweep(sweep({"name": "s", **SPEC})).gid)
    state = WorkerState(own)
    perform(state, str(job.gid))
    assert catalogue.find_job(str(job.gid)).status == Status.FINISHED, catalogue.find_job(str(job.gid)).error
    state.after_fork()
    forget()

    if how == "new":
        (folder / "decay_metrics.py").write_text(METRICS)
    elif how == "gone":
        monkeypatch.setattr("tvb_batch.models.own_code.allowed._allowed", {"decay_model"})
    else:
        (folder / "decay_metrics.py").unlink()
    again = catalogue.add_sweep(sweep({"name": "again", **SPEC}), note=told.append)

    assert catalogue.counts(again.gid) == {Status.PENDING: 1}
    assert "run again; changed: decay_metrics" in told[0]
    assert told[1:] == (
        ["decay_metrics is not found here: name its folder in TVB_BATCH_MODULES_DIR"] if how[:3] == "not" else []
    )


def test_classes_of_a_sweep_have_their_own_sources(folder, own, catalogue) -> None:
    values = {"name": "both", **SPEC, "sweep": {"model": [{"class": "decay_model.Decay"}, {"class": "Linear"}]}}
    added = catalogue.add_sweep(sweep(values))
    state = WorkerState(own)
    for job in catalogue.jobs(sweep=added.gid):
        perform(state, str(job.gid))
    assert catalogue.counts(added.gid) == {Status.FINISHED: 2}, [job.error for job in catalogue.jobs(sweep=added.gid)]
    state.after_fork()

    edit(folder / "decay_model.py", "-0.01", "-0.02")
    again = catalogue.add_sweep(sweep({**values, "name": "again"}))

    assert [job.status for job in catalogue.jobs(sweep=again.gid)] == [Status.PENDING, Status.FINISHED]
    assert "source decay_model" not in catalogue.jobs(sweep=again.gid)[1].versions


def test_a_job_of_an_edited_class_is_still_shown(folder, own, catalogue) -> None:
    added = catalogue.add_sweep(sweep({"name": "shown", **SPEC}))
    edit(folder / "decay_model.py", "    a = NArray", "    b = NArray")
    [job] = catalogue.jobs(sweep=added.gid)

    done = run_tvb_batch("show", str(job.gid), settings=own)

    assert done.returncode == 0, done.stderr
    assert "model.a" in done.stdout


def test_a_notebook_is_refused_a_class_that_was_edited(folder, own, monkeypatch) -> None:
    import importlib

    from simulators import small

    from tvb_batch import submit
    from tvb_batch.models.errors import SpecError

    for name, value in (("MODULES", own.modules), ("DATA_DIR", str(own.data_dir)), ("BROKER_URL", own.broker)):
        monkeypatch.setenv(f"TVB_BATCH_{name}", value)
    model = importlib.import_module("decay_model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        submit(small(model=model.Decay()), name="one")

    (folder / "decay_helper.py").write_text(HELPER.replace("1.0", "9.0"))
    with pytest.raises(SpecError, match=r"decay_helper: .*differs from the module that this process imported"):
        submit(small(model=model.Decay()), name="two")


def test_the_web_server_shows_jobs_of_classes_that_were_edited_while_it_runs(folder, own, catalogue) -> None:
    import httpx
    from web_cases import TOKEN, served

    def page(job) -> str:
        with served(catalogue, own) as address, httpx.Client(base_url=address, follow_redirects=True) as client:
            client.get("/", params={"token": TOKEN})
            answer = client.get(f"/jobs/{job.gid}")
            assert answer.status_code == 200, answer.text
            return answer.text

    [old] = catalogue.jobs(sweep=catalogue.add_sweep(sweep({"name": "old", **SPEC})).gid)
    assert "model.a" in page(old)
    text = (folder / "decay_model.py").read_text().replace("    a = NArray", "    b = NArray")
    # The server keeps its imported modules while another process submits.
    (folder / "decay_model.py").write_text(text)
    assert "model.a" in page(old)

    [new] = catalogue.jobs(sweep=catalogue.add_sweep(sweep({"name": "new", **SPEC})).gid)

    assert "model.b" in page(new)
    assert "model.a" in page(old)

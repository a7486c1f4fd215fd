"""The real TVB GUI imports the files of every kind of simulation: each is stored, and every viewer opens."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import gui_verdicts
from tvb_cases import CASES, simulator_of

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.api.from_simulator import describe_simulator
from tvb_batch.worker.h5.gui.write import write_data
from tvb_batch.worker.job.run import run_job

pytestmark = [pytest.mark.gui, pytest.mark.xdist_group("gui-coverage")]

#: Every monitor, models with modes and with NaN in their results, and surfaces.
WANTED = [
    case
    for case in CASES
    if case.name.startswith(("monitor ", "surface, all monitors", "model Reduced", "model Zerlaut", "stimulus Pulse"))
    or case.name in ("model EpileptorCodim3", "a large connectivity")
]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], dict[str, Any]]:
    """Return the records of all files, and the GUI's verdict on one ZIP with all of them."""
    settings = load_settings(data_dir=tmp_path_factory.mktemp("coverage"))
    catalogue = Catalogue.open(settings.database, create=True)
    records = []
    for case in WANTED:
        simulator = simulator_of(case)
        spec = describe_simulator(simulator, Inputs(settings.storage))
        sweep = catalogue.add_sweep(SweepSpec(name="case", base=spec, plan={}), reuse=False)
        claim = catalogue.claim(catalogue.jobs(sweep=sweep.gid)[0].gid, "test", timedelta(seconds=600))
        records += run_job(catalogue, settings, claim)
    catalogue.dispose()
    paths = [settings.storage.absolute(path) for record in records for path in (*record.refers_to, record.path)]
    bundle = write_data(list(dict.fromkeys(paths)), Path(settings.data_dir) / "bundle.zip")
    [verdict] = gui_verdicts([bundle], tmp_path_factory.mktemp("tvb-home"))
    return records, verdict


def test_every_file_is_stored_with_its_datatype(judged) -> None:
    records, verdict = judged

    stored = {datatype["gid"]: datatype for datatype in verdict["stored"]}

    assert verdict["error"] == ""
    for record in records:
        found = stored[record.gid.hex]
        assert found["class"] == f"{record.datatype}Index"
        assert [int(found[f"data_length_{n}d"]) for n in (1, 2, 3, 4)] == list(record.shape)


def test_every_viewer_that_the_gui_offers_opens(judged) -> None:
    records, verdict = judged

    faults = {
        (record.monitor, name): fault
        for record in records
        for name, fault in verdict["viewers"][record.gid.hex].items()
        if fault
    }

    assert all(verdict["viewers"][record.gid.hex] for record in records)
    assert faults == {}

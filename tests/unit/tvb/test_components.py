"""TVB's classes as data: complete, up to date, and strict about a spec."""

import json
import logging
import sys
from pathlib import Path

import pytest

from tvb_batch.models.errors import SpecError, did_you_mean
from tvb_batch.models.own_code.allowed import allow
from tvb_batch.models.tvb.components import components, connectivities, data_files, find_component, roles

sys.path.insert(0, str(Path(__file__).parent.parent.parent.parent / "scripts"))

import make_components


@pytest.fixture
def quiet_tvb():
    """Ignore warnings of TVB's readers about optional files that tvb-data's connectivities lack."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
def test_components_json_is_what_the_installed_tvb_library_declares(quiet_tvb) -> None:
    written = json.loads(make_components.TARGET.read_text(encoding="utf-8"))

    declared = json.loads(json.dumps(make_components.components()))

    assert declared == written, "stale: run python scripts/make_components.py"


@pytest.mark.slow
def test_check_reports_a_stale_file_by_its_exit_code(quiet_tvb, tmp_path, monkeypatch, capsys) -> None:
    stale = tmp_path / "components.json"
    stale.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(make_components, "TARGET", stale)
    monkeypatch.setattr(sys, "argv", ["make_components.py", "--check"])

    code = make_components.main()

    assert code == 1
    assert "run python scripts/make_components.py" in capsys.readouterr().err
    assert stale.read_text(encoding="utf-8") == "{}"


def test_every_class_of_tvb_is_listed_without_base_classes() -> None:
    counts = {role: len(components(role)) for role in roles()}
    names = {name for role in roles() for name in components(role)}

    assert counts == {
        "model": 28, "coupling": 8, "integrator": 13, "noise": 2, "monitor": 13, "equation": 18, "connectivity": 1,
        "cortex": 1, "local_connectivity": 1, "projection": 3, "region_mapping": 1, "sensors": 3, "stimulus": 2,
        "surface": 7,
    }  # fmt: skip
    assert not names & {"Model", "Coupling", "SparseCoupling", "Projection", "Noise", "Equation", "Surface", "Sensors"}
    assert "eeg_brainstorm_65.txt" in data_files("sensors")
    assert connectivities()["connectivity_76.zip"] == 76


def test_a_parameter_carries_tvbs_own_words() -> None:
    attribute = components("model")["JansenRit"].attributes["A"]

    assert (attribute.default, attribute.domain) == ([3.25], (2.6, 9.75))
    assert "amplitude" in attribute.doc


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("jansenrit", components("model")) == "did you mean 'JansenRit'?"
    assert did_you_mean("q", ["x", "y"]) == "known: x, y"
    assert did_you_mean("q", []) == ""


# ----------------------------------------------------------------------------------------- the operator's modules


OWN = """
import numpy as np
from tvb.basic.neotraits.api import NArray
from tvb.simulator.models import Generic2dOscillator

class Tuned(Generic2dOscillator):
    gain = NArray(default=np.array([2.0]), doc="Of one's own.")

class Other:
    pass
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch) -> str:
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "own_models"


def test_a_class_of_an_allowed_module_is_known_like_tvbs_own(own_module) -> None:
    allow([own_module])

    component = find_component("model", "own_models.Tuned", "model")

    assert component.attributes["gain"].default == [2.0]
    assert component.state_variables == ("V", "W")


def test_a_script_that_exits_at_its_import_is_refused(tmp_path, monkeypatch) -> None:
    (tmp_path / "own_script.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    allow(["own_script"])

    with pytest.raises(SpecError, match=r"can be imported.*SystemExit: 0"):
        find_component("model", "own_script.Model", "model")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("os.system", "TVB_BATCH_MODULES"),
        ("builtins.eval", "TVB_BATCH_MODULES"),
        ("own_models.Other", "a subclass of TVB's model"),
        ("own_models.None_", "can be imported"),
        ("own_models.np", "a subclass of TVB's model"),
    ],
)
def test_no_other_class_is_found(own_module, name, words) -> None:
    allow([own_module])

    with pytest.raises(SpecError, match=words):
        find_component("model", name, "model")

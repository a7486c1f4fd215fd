"""Titles with parameters of the job."""

import pytest
from conftest import SHORT

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.spec.titles import fill


def test_names_in_braces_become_values() -> None:
    spec = SimulationSpec.model_validate({**SHORT, "title": "a={coupling.a} on {model.class} {seed}"})

    assert fill(spec.title, spec.parameters()) == "a=0.00390625 on Generic2dOscillator 42"
    assert fill("plain {", {}) == "plain {"


@pytest.mark.parametrize("name", ["coupling.aa", "", "coupling.a!r", "0", "__class__", "coupling.a:>10"])
def test_nothing_but_a_parameter_may_stand_there(name: str) -> None:
    with pytest.raises(SpecError, match="title"):
        simulation({**SHORT, "title": f"x {{{name}}}"})


def test_the_title_is_no_part_of_the_hash() -> None:
    one, other = (SimulationSpec.model_validate({**SHORT, "title": title}) for title in ("a", "{coupling.a}"))

    assert one.parameters_hash() == other.parameters_hash()

"""TVB's classes as data."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.components import ROLES, components, connectivities, did_you_mean

SCRIPT = Path(__file__).parent.parent / "scripts" / "make_components.py"


def test_components_json_is_what_the_installed_tvb_declares() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stderr


def test_nothing_of_tvb_is_missing() -> None:
    assert {role: len(components(role)) for role in ROLES} == {
        "model": 28, "coupling": 8, "integrator": 13, "noise": 2, "monitor": 13, "equation": 18,
    }  # fmt: skip
    assert "connectivity_76.zip" in connectivities()


@pytest.mark.parametrize("role", ROLES)
def test_every_attribute_has_a_type_that_is_checked(role: str) -> None:
    types = {attribute.type for component in components(role).values() for attribute in component.attributes.values()}

    assert types <= {"array", "float", "int", "bool", "str", "list", "dict", "choice", "component"}


def test_a_parameter_carries_tvbs_own_words() -> None:
    attribute = components("model")["JansenRit"].attributes["A"]

    assert attribute.default == [3.25]
    assert attribute.domain == (2.6, 9.75)
    assert "amplitude" in attribute.doc


@pytest.mark.parametrize(
    ("found", "hint"), [("JansenRitt", "did you mean 'JansenRit'?"), ("zzz", "known are A, JansenRit")]
)
def test_a_hint_names_the_nearest(found: str, hint: str) -> None:
    assert did_you_mean(found, ["JansenRit", "A"]) == hint

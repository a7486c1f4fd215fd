"""Sections to TVB objects and back, for every class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.components import ROLES, complete, components
from models.errors import SpecError
from models.traits import build, describe


def buildable(role: str) -> list[str]:
    names = []
    for name in components(role):
        try:
            complete(role, name, role)
        except SpecError:
            continue
        names.append(name)
    return names


CLASSES = [(role, name) for role in ROLES for name in buildable(role)]


@pytest.mark.parametrize(("role", "name"), CLASSES, ids=lambda value: value)
def test_a_class_with_its_defaults_comes_back_as_it_went(role: str, name: str) -> None:
    section = complete(role, name, role)

    instance = build(role, section)

    assert type(instance).__name__ == name
    assert complete(role, describe(role, instance), role) == section


@pytest.mark.parametrize(("role", "name"), CLASSES, ids=lambda value: value)
def test_what_is_left_out_is_tvbs_own_default(role: str, name: str) -> None:
    ours, tvbs = build(role, complete(role, name, role)), build(role, {"class": name})

    for attribute in components(role)[name].attributes:
        one, other = getattr(ours, attribute), getattr(tvbs, attribute)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        elif components(role)[name].attributes[attribute].type == "component":
            assert type(one) is type(other)
        else:
            assert one == other


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=76))
@settings(max_examples=25, deadline=None)
def test_any_numbers_cross_exactly(values: list[float]) -> None:
    section = complete("model", {"class": "Generic2dOscillator", "tau": values}, "model")

    instance = build("model", section)

    np.testing.assert_array_equal(instance.tau, np.array(values))
    assert describe("model", instance) == section


def test_nested_objects_are_built() -> None:
    noise = {"class": "Multiplicative", "nsig": [0.1], "b": {"class": "Linear", "parameters": {"a": 2.0}}}

    integrator = build("integrator", complete("integrator", {"class": "EulerStochastic", "noise": noise}, "integrator"))

    assert type(integrator.noise.b).__name__ == "Linear"
    assert integrator.noise.b.parameters == {"a": 2.0, "b": 0.0}

"""Sections become TVB objects and back, for every class of a spec."""

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from specs import NO_INPUTS

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.sections import complete
from tvb_batch.models.tvb.components import Attribute, components
from tvb_batch.models.tvb.traits import build, to_section

NEED_SENSORS = {"EEG", "MEG", "iEEG"}
#: Datatypes have no defaults: test_input_store.py has them.
OBJECTS = ("model", "coupling", "integrator", "noise", "monitor", "equation")
CLASSES = [(role, name) for role in OBJECTS for name in components(role) if name not in NEED_SENSORS]


def other_value(attribute: Attribute) -> Any:
    """Return a value of `attribute` that is not its default."""
    if attribute.type == "array" and attribute.default is None:
        return [[0.0, 1.0], [2.0, 3.0]] if attribute.dtype == "f" else [1, 0]
    if attribute.type == "array":
        other = {"f": lambda item: item + 0.3, "i": lambda item: item + 1, "b": lambda item: not item}[attribute.dtype]
        return [other(item) for item in attribute.default]
    if attribute.type in ("float", "int"):
        return attribute.default + 1
    if attribute.type == "bool":
        return not attribute.default
    if attribute.type == "list":
        return list(attribute.choices or attribute.default)[::-1]
    if attribute.type == "dict":
        return {name: value + 0.5 for name, value in attribute.default.items()}
    if attribute.type == "choice":
        return attribute.choices[-1]
    if attribute.type == "formula":
        return "var * 2"
    if attribute.type == "ranges":
        return {name: [-0.5, None] for name in attribute.choices}
    return {"class": attribute.choices[-1]}


@pytest.mark.parametrize(("role", "name"), CLASSES)
def test_the_completed_section_is_what_tvb_makes_by_default(role, name) -> None:
    made_by_tvb = getattr(importlib.import_module(components(role)[name].module), name)()

    described = to_section(role, made_by_tvb, NO_INPUTS)

    assert described == complete(role, name, role)


@pytest.mark.parametrize(("role", "name"), CLASSES)
def test_a_build_of_defaults_has_the_arrays_of_tvbs_own(role, name) -> None:
    made_by_tvb = getattr(importlib.import_module(components(role)[name].module), name)()

    built = build(role, complete(role, name, role), NO_INPUTS)

    for key, attribute in components(role)[name].attributes.items():
        if attribute.type == "array" and attribute.default is not None:
            ours, theirs = getattr(built, key), getattr(made_by_tvb, key)
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("role", "name"), CLASSES)
def test_every_attribute_comes_back_as_it_was_given(role, name) -> None:
    attributes = components(role)[name].attributes
    given = complete(role, {"class": name, **{key: other_value(item) for key, item in attributes.items()}}, role)

    instance = build(role, given, NO_INPUTS)

    assert type(instance).__name__ == name
    assert to_section(role, instance, NO_INPUTS) == given


def test_arrays_get_the_type_that_tvb_declares() -> None:
    model = build(
        "model", complete("model", {"class": "EpileptorCodim3", "N": 2, "modification": True}, "model"), NO_INPUTS
    )

    assert (model.N.dtype, model.modification.dtype, model.R.dtype) == (np.dtype(int), np.dtype(bool), np.dtype(float))


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=76))
@settings(max_examples=25, deadline=None)
def test_any_numbers_are_sent_exactly(values) -> None:
    section = complete("model", {"class": "Generic2dOscillator", "tau": values}, "model")

    model = build("model", section, NO_INPUTS)

    np.testing.assert_array_equal(model.tau, np.array(values))
    assert to_section("model", model, NO_INPUTS) == section


def values_of(attribute: Attribute) -> st.SearchStrategy[Any]:
    """Generate values of an attribute."""
    finite = st.floats(allow_nan=False, allow_infinity=False)
    if attribute.type == "array":
        item = {"f": finite, "i": st.integers(-(2**31), 2**31), "b": st.booleans()}[attribute.dtype]
        return st.lists(item, min_size=1, max_size=4)
    if attribute.type == "dict":
        return st.fixed_dictionaries(dict.fromkeys(attribute.default, finite))
    if attribute.type == "ranges":
        ends = st.tuples(st.none() | st.floats(-1e9, 0.0), st.none() | st.floats(0.0, 1e9)).map(list)
        return st.fixed_dictionaries({}, optional=dict.fromkeys(attribute.choices, ends))
    kinds = {"float": finite, "int": st.integers(0, 2**31), "bool": st.booleans(), "str": st.text(max_size=5)}
    return kinds.get(attribute.type, st.just(other_value(attribute)))


@pytest.mark.slow
@pytest.mark.parametrize(("role", "name"), CLASSES)
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_any_values_come_back_as_they_were_given(role, name, data) -> None:
    attributes = components(role)[name].attributes
    drawn = {key: data.draw(values_of(item), key) for key, item in attributes.items() if item.type != "component"}
    given_section = complete(role, {"class": name, **drawn}, role)

    assert to_section(role, build(role, given_section, NO_INPUTS), NO_INPUTS) == given_section


def test_nested_objects_are_built() -> None:
    noise = {"class": "Multiplicative", "nsig": [0.1], "b": {"class": "Linear", "parameters": {"a": 2.0}}}

    integrator = build(
        "integrator", complete("integrator", {"class": "EulerStochastic", "noise": noise}, "integrator"), NO_INPUTS
    )

    assert type(integrator.noise.b).__name__ == "Linear"
    assert integrator.noise.b.parameters == {"a": 2.0, "b": 0.0}


def test_an_array_for_each_region_keeps_its_values() -> None:
    mu = np.linspace(0.0, 0.2, 76).tolist()

    model = build("model", complete("model", {"class": "JansenRit", "mu": mu}, "model"), NO_INPUTS)

    assert model.mu.tolist() == mu


def test_null_reaches_tvb_as_none() -> None:
    section = complete("monitor", {"class": "SpatialAverage", "default_mask": None}, "monitor")

    monitor = build("monitor", section, NO_INPUTS)

    assert monitor.default_mask is None
    assert to_section("monitor", monitor, NO_INPUTS) == section


def test_two_builds_share_no_part() -> None:
    section = complete("integrator", "HeunStochastic", "integrator")

    first, second = build("integrator", section, NO_INPUTS), build("integrator", section, NO_INPUTS)

    assert first.noise is not second.noise
    # TVB's own defaults are shared, and cannot be written to.
    assert not (np.shares_memory(first.noise.nsig, second.noise.nsig) and first.noise.nsig.flags.writeable)


def test_no_class_outside_components_json_is_imported() -> None:
    with pytest.raises(SpecError):
        build("model", {"class": "os.system"}, NO_INPUTS)

"""A step traced once serves all simulators of its kind, and no other; what would differ is traced anew."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import MODELS, Case, additive, multiplicative

from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.codegen.trace_cache import SlotValues, Trace, _trace, find_trace
from tvb_batch.worker.engines.tracing.recording import Parameter, Recording, UnrecordableError


@pytest.fixture
def trace(kernels: Path) -> Any:
    """`find_trace` on this machine."""
    allowed = find_capabilities(load_primitives(kernels))
    return lambda case: find_trace(case.configure(), allowed)


@pytest.fixture
def trace_anew(kernels: Path) -> Any:
    """What `find_trace` would give without a memory."""
    allowed = find_capabilities(load_primitives(kernels))

    def found(case: Case) -> tuple[Trace, SlotValues | None]:
        simulator = case.configure()
        made = _trace(simulator, allowed)
        return made, made.numbers(simulator)

    return found


def changed(case: Case) -> Case:
    """The same with other numbers, for each node where TVB takes one for each."""
    from tvb.simulator import models

    model = getattr(models, case.model)()
    numbers = {
        name: value * 1.0625
        for name in type(model).declarative_attrs
        if isinstance(value := getattr(model, name, None), np.ndarray) and value.dtype.kind == "f"
    }
    return replace(case, model_parameters=numbers, dt=case.dt / 2, speed=4.0)


def assert_as_if_traced_anew(found: tuple[Trace, SlotValues], anew: tuple[Trace, SlotValues]) -> None:
    assert found[0].source == anew[0].source
    np.testing.assert_array_equal(found[1].scalars, anew[1].scalars)
    np.testing.assert_array_equal(found[1].fields, anew[1].fields)


CASES = {
    **{model: Case(model=model, steps=10) for model in MODELS},
    "sigmoidal": Case(coupling="Sigmoidal", steps=10),
    "each edge": Case(coupling="Difference", steps=10),
    "noise": Case(integrator="HeunStochastic", noise=additive(nsig=np.array([1e-3])), steps=10),
    "coloured": Case(integrator="EulerStochastic", noise=additive(nsig=np.array([1e-3]), ntau=2.0), steps=10),
    "multiplicative": Case(integrator="HeunStochastic", noise=multiplicative("a * var + b"), steps=10),
}


@pytest.mark.parametrize("name", CASES)
def test_other_numbers_of_one_kind_are_computed_without_tracing(trace: Any, trace_anew: Any, name: str) -> None:
    first, _ = trace(CASES[name])

    found = trace(changed(CASES[name]))

    assert found[0] is first
    assert_as_if_traced_anew(found, trace_anew(changed(CASES[name])))


@pytest.mark.parametrize(
    "other",
    [
        Case(model="SupHopf", steps=10),
        Case(coupling="Sigmoidal", steps=10),
        Case(integrator="EulerDeterministic", steps=10),
        Case(model_parameters={"a": np.linspace(-2.0, -1.0, 76)}, steps=10),
        Case(model_parameters={"variables_of_interest": ("W", "V")}, steps=10),
        Case(connectivity="connectivity_66.zip", steps=10),
    ],
    ids=["model", "coupling", "integrator", "a number for each node", "observed", "network"],
)
def test_another_kind_is_traced_anew(trace: Any, trace_anew: Any, other: Case) -> None:
    first, _ = trace(Case(steps=10))

    found = trace(other)

    assert found[0] is not first
    assert_as_if_traced_anew(found, trace_anew(other))


@dataclass(frozen=True)
class Bounded:
    """Where TVB itself sets a model's boundaries for good."""

    ends: tuple[float, float]

    def configure(self) -> Any:
        simulator = Case(model="ReducedWongWang", steps=10).configure()
        vars(simulator.model)["state_variable_boundaries"] = {"S": np.array(self.ends)}
        return simulator.configure()


@pytest.mark.parametrize("ends", [(0.25, 0.75), (-np.inf, 0.75), (0.25, np.inf)])
def test_boundaries_are_numbers_too(trace: Any, trace_anew: Any, ends: tuple[float, float]) -> None:
    trace(Case(model="ReducedWongWang", steps=10))

    assert_as_if_traced_anew(trace(Bounded(ends)), trace_anew(Bounded(ends)))


def test_a_way_that_depends_on_a_number_is_gone_again_by_the_next_one(trace: Any, trace_anew: Any) -> None:
    cases = [replace(CASES["noise"], noise=additive(nsig=np.array([1e-3]), ntau=ntau)) for ntau in (0.0, 1.0, 0.0)]

    for case in cases:
        assert_as_if_traced_anew(trace(case), trace_anew(case))


# -------------------------------------------------------------------------------------------------------- the record


class Part:
    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


def recorded(part: Part, use: Any) -> tuple[Recording, Any]:
    """What `use` makes of a part's attributes."""
    record = Recording()
    return record, use(lambda name: record.read("part", name, getattr(part, name)))


def test_what_was_computed_is_computed_anew_of_other_numbers() -> None:
    def use(read: Any) -> Any:
        rows = read("a").T * read("b")
        return np.sqrt(rows[0]) + np.dot(read("a"), rows)[1, 0] - 2.0

    record, found = recorded(Part(a=np.array([[1.0, 2.0], [3.0, 4.0]]), b=2.0), use)

    other = Part(a=np.array([[5.0, 6.0], [7.0, 8.0]]), b=0.5)
    expected = use(lambda name: getattr(other, name))
    assert isinstance(found, Parameter)
    values = record.values({"part": other})
    assert values is not None
    np.testing.assert_array_equal(values[found.entry], expected)


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        (Part(a=3.0, n=2, name="x"), True),
        (Part(a=np.float64(3.0), n=2, name="x"), False),
        (Part(a=np.array([3.0]), n=2, name="x"), False),
        (Part(a=3, n=2, name="x"), False),
        (Part(a=3.0, n=3, name="x"), False),
        (Part(a=3.0, n=2, name="y"), False),
        (Part(a=-3.0, n=2, name="x"), False),
        (Part(a=3.0, n=2), False),
        (Part(a=object(), n=2, name="x"), False),
    ],
    ids=["alike", "NumPy's", "array", "integer", "whole", "text", "other way", "missing", "an object"],
)
def test_a_record_serves_no_part_that_traced_code_would_treat_otherwise(other: Part, fits: bool) -> None:
    def use(read: Any) -> Any:
        read("n"), read("name")
        return 1.0 if read("a") > 0.0 else 2.0

    record, _ = recorded(Part(a=1.0, n=2, name="x"), use)

    assert (record.values({"part": other}) is not None) == fits


@pytest.mark.parametrize(
    "use",
    [
        lambda read: float(read("a")[0]),
        lambda read: np.asarray(read("a")),
        lambda read: np.array([read("a"), 1.0]),
        lambda read: read("a").mean(),
        lambda read: np.concatenate([read("a"), read("a")]),
        lambda read: np.add(read("a"), 1.0, out=np.zeros(2)),
        lambda read: np.ones(2)[read("a")],
        lambda read: np.ones(2).__iadd__(read("a")),
        lambda read: read("b"),
    ],
    ids=["a float", "an array", "within an array", "a method", "a list", "out", "an index", "in place", "an object"],
)
def test_what_cannot_be_recorded_is_refused_at_once(use: Any) -> None:
    with pytest.raises(UnrecordableError):
        recorded(Part(a=np.ones(2), b=object()), use)

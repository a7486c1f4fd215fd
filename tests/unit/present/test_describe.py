"""Descriptions of specs."""

from conftest import SHORT

from tvb_batch.models.spec.sweep import sweep
from tvb_batch.models.worker_protocol import Estimate
from tvb_batch.submit.present.describe import describe_estimate, describe_plan, describe_spec


def test_every_way_to_sweep_is_described() -> None:
    plan = {
        "model.mu": [0.1, 0.2, 0.3, 0.4], "zip": {"coupling.a": [1.0], "model.v0": [2.0]}, "repeats": 2,
        "lhs": {"model.A": [3.0, 4.0]}, "samples": 5, "where": "model.A > 2", "list": [{"model.B": 20.0}],
    }  # fmt: skip
    model = {"model": "JansenRit", "coupling": "SigmoidalJansenRit"}
    spec = sweep({**SHORT, **model, "sweep": {**plan, "zip": {"coupling.cmin": [1.0], "model.v0": [2.0]}}})

    assert describe_plan(spec.plan) == [
        "model.mu: 4 values, 0.1, 0.2, 0.3 ...",
        "coupling.cmin: together 1 values, 1",
        "model.v0: together 1 values, 2",
        "model.A: 5 lhs samples of 3 to 4",
        "list: 1 points of model.B",
        "each 2 times, each with its own seed",
        "where model.A > 2",
    ]


def test_a_spec_is_described_in_a_few_lines() -> None:
    spec = sweep({**SHORT, "name": "few", "sweep": {"coupling.a": [0.1, 0.2]}})

    assert describe_spec(spec).splitlines()[0] == "few: 2 jobs, 20 ms each"
    assert "Generic2dOscillator · connectivity_76.zip · Linear" in describe_spec(spec)


def test_the_cost_of_a_sweep_is_that_of_its_jobs() -> None:
    told = describe_estimate(Estimate(3.0, 500_000_000, 2_000_000), 1000)

    assert "One job takes about 3.0 s on a core of this machine, 500.0 MB of memory and 2.0 MB" in told
    assert "1,000 jobs: 50.0 min on one core, 2.0 GB" in told

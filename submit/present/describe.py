"""Describes specs, plans, estimates and comparisons in words."""

from collections.abc import Mapping
from typing import Any

from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.worker_protocol import Estimate, RerunResult
from tvb_batch.submit.present.formatting import duration, jobs_word, number, size


def describe_spec(spec: SweepSpec) -> str:
    """Describe what a submission would queue."""
    base = spec.base
    lines = [
        f"{spec.name}: {jobs_word(spec.size)}, {base.simulation_length:g} ms each",
        f"  {base.model['class']} · {number(base.connectivity)} · {base.coupling['class']} · "
        f"{base.integrator['class']} dt {base.integrator['dt']:g} ms · "
        f"{', '.join(monitor['class'] for monitor in base.monitors)}",
    ]
    lines += [f"  {line}" for line in describe_plan(spec.plan)]
    return "\n".join(lines)


def describe_plan(plan: Mapping[str, Any]) -> list[str]:
    """Describe what varies, one line for each parameter."""
    lines = []
    for key, how in (("grid", ""), ("zip", " together")):
        for name, values in plan.get(key, {}).items():
            few = ", ".join(number(value) for value in values[:3]) + (" ..." if len(values) > 3 else "")
            lines.append(f"{name}:{how} {len(values)} values, {few}")
    for key in ("random", "sobol", "lhs"):
        for name, (low, high) in plan.get(key, {}).items():
            lines.append(f"{name}: {plan['samples']} {key} samples of {low:g} to {high:g}")
    if "list" in plan:
        lines.append(f"list: {len(plan['list'])} points of {', '.join(plan['list'][0])}")
    if "repeats" in plan:
        lines.append(f"each {plan['repeats']} times, each with its own seed")
    if "where" in plan:
        lines.append(f"where {plan['where']}")
    return lines


def describe_estimate(found: Estimate, jobs: int) -> str:
    """Describe the cost of a sweep, estimated from its first job on this machine."""
    seconds, memory, disk = found.seconds, found.memory_bytes, found.disk_bytes
    return (
        f"One job takes about {duration(seconds)} on a core of this machine, {size(memory)} of memory and "
        f"{size(disk)} of disk;\n{jobs_word(jobs)}: {duration(seconds * jobs)} on one core, {size(disk * jobs)}."
    )


def describe_comparison(found: RerunResult) -> str:
    """Describe whether a repeated simulation gave the same data."""
    if not found.different:
        return f"Identical, bit for bit: {found.samples:,} samples."
    since = "" if found.first_ms is None else f", from {found.first_ms:g} ms on"
    lines = [
        f"Different: {found.different:,} of {found.samples:,} samples{since}, by at most {found.largest_difference:g}.",
        *(found.circumstances or ["Versions, machine and host are the same as in the file."]),
    ]
    return "\n  ".join(lines)

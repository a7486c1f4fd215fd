"""Selects the jobs of one parameter space exploration in the GUI: two axes, others fixed, at most 512 points."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from tvb_batch.models.catalogue.submission import as_columns
from tvb_batch.models.catalogue.tables import Job
from tvb_batch.models.errors import SpecError, did_you_mean
from tvb_batch.submit.present.formatting import number

#: Maximum number of points in the GUI's Discrete viewer.
MOST_POINTS = 512


@dataclass(frozen=True)
class Exploration:
    """Jobs that differ only in the axes."""

    axes: tuple[str, ...]
    jobs: Sequence[Job]
    #: The values of the other parameters, in words; empty if there is only one exploration.
    label: str = ""


def explorations(jobs: Sequence[Job], axes: Sequence[str], at: Mapping[str, str]) -> list[Exploration]:
    """Return the explorations of these jobs.

    Parameters
    ----------
    axes : one or two swept parameters; by default those that vary, if there are at most two
    at : values of other parameters, as in `list --where`; jobs with other values are left out

    Raises
    ------
    SpecError
        There is no such parameter or value, or the axes must be given.
    """
    names = list(dict.fromkeys(name for job in jobs for name in job.parameters))
    for name in (*axes, *at):
        if name not in names:
            swept = ", ".join(names) or "nothing"
            raise SpecError("--axes, --at", name, f"a swept parameter ({swept})", did_you_mean(name, names))
    left = [job for job in jobs if all(_is_at(job, name, value) for name, value in at.items())]
    if not left:
        where = ", ".join(f"{name}={value}" for name, value in at.items())
        raise SpecError("--at", where, "values that a finished job has")
    numbers = [name for name in names if all(_value(job, name) is not None for job in left)]
    chosen = tuple(axes) or tuple(name for name in numbers if len({_value(job, name) for job in left}) > 1)
    if not chosen:
        chosen = tuple(numbers[:1])
    if not 1 <= len(chosen) <= 2 or any(name not in numbers for name in chosen):
        found = f"{len(chosen)} axes ({', '.join(chosen)})" if chosen else "no swept number"
        hint = "choose two with --axes A,B; there is one ZIP for each value of the others, or fix them with --at C=3"
        raise SpecError("--axes", found, "one or two swept numbers, as the GUI's viewers have axes", hint)
    rest = [name for name in names if name not in chosen]
    groups: dict[str, list[Job]] = {}
    for job in left:
        groups.setdefault(json.dumps([job.repeat, *(job.parameters.get(name) for name in rest)]), []).append(job)
    found_groups = []
    for group in groups.values():
        found_groups += _parts(chosen, group, _label(group[0], rest if len(groups) > 1 else [], len(groups)))
    return found_groups


def _parts(axes: tuple[str, ...], jobs: list[Job], label: str) -> list[Exploration]:
    """Split jobs into parts that the GUI can show; whole rows of the first axis stay together if possible."""
    ordered = sorted(jobs, key=lambda job: tuple(_value(job, name) or 0.0 for name in axes))
    if len(ordered) <= MOST_POINTS:
        return [Exploration(axes, ordered, label)]
    parts: list[list[Job]] = [[]]
    for _, row in groupby(ordered, key=lambda job: _value(job, axes[0])):
        jobs_of_row = list(row)
        if len(parts[-1]) + len(jobs_of_row) > MOST_POINTS and parts[-1]:
            parts.append([])
        for start in range(0, len(jobs_of_row), MOST_POINTS):
            piece = jobs_of_row[start : start + MOST_POINTS]
            if len(parts[-1]) + len(piece) > MOST_POINTS:
                parts.append([])
            parts[-1] += piece
    return [
        Exploration(axes, part, ", ".join(filter(None, (label, f"{axes[0]} {_from_to(part, axes[0])}"))))
        for part in parts
    ]


def _from_to(jobs: Sequence[Job], name: str) -> str:
    low, high = (number(_value(job, name)) for job in (jobs[0], jobs[-1]))
    return f"from {low} to {high}" if low != high else f"at {low}"


def _label(job: Job, rest: Sequence[str], groups: int) -> str:
    words = [f"{name}={number(job.parameters.get(name))}" for name in rest]
    if groups > 1 and (job.repeat or not words):
        words.append(f"repeat {job.repeat}")
    return ", ".join(words)


def _value(job: Job, name: str) -> float | None:
    return as_columns(job.parameters.get(name))[0]


def _is_at(job: Job, name: str, text: str) -> bool:
    value, words = as_columns(job.parameters.get(name))
    try:
        return value == float(text) or words == text
    except ValueError:
        return words == text

"""The points of a sweep: which parameters vary, and which values they take together.

It works on plain JSON values. It checks names and forms, not whether a value is allowed. A plan is the product of its
blocks. Each axis of `grid` is a block; `zip`, `list` and the samples of `random`, `sobol` and `lhs` are one block each.
The last block varies fastest.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tvb_batch.models.errors import SpecError, did_you_mean
from tvb_batch.models.spec.expressions import Expression, ExpressionError
from tvb_batch.models.spec.parameter_names import get_value, one_name, parameters
from tvb_batch.models.spec.sections import finite

#: Larger sweeps are refused as mistakes.
MOST_JOBS = 1_000_000

#: The ways to draw samples.
SAMPLERS = ("random", "sobol", "lhs")
_KEYS = ("grid", "zip", "list", *SAMPLERS, "samples", "repeats", "where", "common_random_numbers")

#: Some parameters of one point, by name.
Values = dict[str, Any]


def normalize(plan: Any, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan in canonical form: every parameter by its canonical name, ranges written out.

    Parameters
    ----------
    plan : `{"zip": {name: values}, "list": [...], "sobol": {name: [low, high]}, "samples": 64, "where": ...}`; every
        other key is a parameter of the grid, as if it stood under `grid`
    base : the canonical simulation

    Raises
    ------
    SpecError
        It is not a plan, names an unknown parameter or one twice, or has more than `MOST_JOBS` points.
    """
    if not isinstance(plan, Mapping):
        raise SpecError("sweep", repr(plan), "a mapping of parameters to their values")
    _refuse_other_forms(plan)
    axes = [(f"sweep.grid.{name}", name, values) for name, values in (plan.get("grid") or {}).items()]
    axes += [(f"sweep.{name}", name, values) for name, values in plan.items() if name not in _KEYS]
    _refuse_too_many(plan, axes)
    names = _Names(base)
    found: dict[str, Any] = {}
    if axes:
        found["grid"] = {names.add(name, place): _values(place, values) for place, name, values in axes}
    if plan.get("zip"):
        found["zip"] = {
            names.add(name, f"sweep.zip.{name}"): _values(f"sweep.zip.{name}", item)
            for name, item in plan["zip"].items()
        }
    if plan.get("list") is not None:
        found["list"] = _list(plan["list"], names)
    for key in SAMPLERS:
        if plan.get(key):
            found[key] = {
                names.add(name, f"sweep.{key}.{name}"): _range(f"sweep.{key}.{name}", item)
                for name, item in plan[key].items()
            }
    if any(key in found for key in SAMPLERS):
        found["samples"] = _count(plan.get("samples"), "sweep.samples")
    elif plan.get("samples") is not None:
        raise SpecError("sweep.samples", repr(plan["samples"]), "it together with random, sobol or lhs")
    if _count(plan.get("repeats", 1), "sweep.repeats") > 1:
        found["repeats"] = plan["repeats"]
    if plan.get("where") is not None:
        found["where"] = _where(plan["where"], names.taken, base)
    if not isinstance(plan.get("common_random_numbers", False), bool):
        raise SpecError("sweep.common_random_numbers", repr(plan["common_random_numbers"]), "true or false")
    if plan.get("common_random_numbers"):
        found["common_random_numbers"] = True
    return found


def points(plan: Mapping[str, Any], base: Mapping[str, Any], seed: int) -> Iterator[Values]:
    """Yield the parameters of each point that meets `where`, in order; the caller applies `repeats`."""
    blocks: list[Sequence[Values]] = [
        [{name: value} for value in values] for name, values in plan.get("grid", {}).items()
    ]
    if "zip" in plan:
        blocks.append([dict(zip(plan["zip"], row, strict=True)) for row in zip(*plan["zip"].values(), strict=True)])
    if "list" in plan:
        blocks.append(plan["list"])
    blocks += [_samples(key, plan[key], plan["samples"], seed) for key in SAMPLERS if key in plan]
    where = Expression.parse(plan["where"]) if "where" in plan else None
    known = dict(parameters(base)) if where else {}
    for rows in itertools.product(*blocks):
        point = {name: value for row in rows for name, value in row.items()}
        if where is None or where.holds(known | point):
            yield point


def values(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return every parameter with all its values; for samples, the ends of their range."""
    for key in ("grid", "zip", *SAMPLERS):
        for name, items in plan.get(key, {}).items():
            for item in items:
                yield name, item
    for row in plan.get("list", []):
        yield from row.items()


class _Names:
    """Checks that each parameter is swept once."""

    def __init__(self, base: Mapping[str, Any]) -> None:
        self._base = base
        self.taken: list[str] = []

    def add(self, given: object, place: str) -> str:
        try:
            name = one_name(str(given), self._base)
        except SpecError as exc:
            # A swept class may have parameters that the base does not have.
            section = str(given).rpartition(".")[0]
            if not ({f"{section}.class", section} & {*self.taken}):
                raise SpecError(place, exc.found, exc.expected, exc.hint) from exc
            name = str(given)
        for other in self.taken:
            if name == other or _holds(name, other, self._base) or _holds(other, name, self._base):
                raise SpecError(place, "the same parameter twice", f"one axis; {other} is swept already")
        self.taken.append(name)
        return name


def _holds(name: str, other: str, base: Mapping[str, Any]) -> bool:
    """Return whether `other` is an element of the array `name`."""
    return other.startswith(f"{name}[") and not isinstance(get_value(base, f"{other.split(']')[0]}]"), dict)


def _refuse_other_forms(plan: Mapping[str, Any]) -> None:
    for key in ("grid", "zip", *SAMPLERS):
        if not isinstance(plan.get(key, {}) or {}, Mapping):
            raise SpecError(f"sweep.{key}", repr(plan[key]), "a mapping of parameters to their values")


def _refuse_too_many(plan: Mapping[str, Any], axes: Sequence[tuple[str, Any, Any]]) -> None:
    lengths = [_length(place, values) for place, _, values in axes]
    together = {name: _length(f"sweep.zip.{name}", values) for name, values in (plan.get("zip") or {}).items()}
    if len(set(together.values())) > 1:
        found = ", ".join(f"{length} for {name}" for name, length in together.items())
        raise SpecError("sweep.zip", found, "the same number of values for each parameter")
    lengths += list(together.values())[:1]
    if isinstance(plan.get("list"), list):
        lengths.append(len(plan["list"]))
    lengths += [_count(plan.get("samples"), "sweep.samples") for key in SAMPLERS if plan.get(key)]
    size = math.prod(lengths) * _count(plan.get("repeats", 1), "sweep.repeats")
    if size > MOST_JOBS:
        raise SpecError("sweep", f"{size:,} points", f"at most {MOST_JOBS:,}", "sweep fewer values")


def _count(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SpecError(path, repr(value), "a whole number of at least 1")
    return value


def _where(text: Any, taken: Sequence[str], base: Mapping[str, Any]) -> str:
    try:
        expression = Expression.parse(text)
    except ExpressionError as exc:
        raise SpecError("sweep.where", str(exc), "a comparison of parameters") from exc
    known = dict(parameters(base))
    for name in expression.names:
        if name not in known and name not in taken and not any(name.startswith(f"{swept}.") for swept in taken):
            hint = did_you_mean(name, [*known, *taken])
            raise SpecError("sweep.where", repr(name), "parameters of the simulation", hint)
    return expression.text


def _list(rows: Any, names: _Names) -> list[Values]:
    if not isinstance(rows, list | tuple) or not rows or not all(isinstance(row, Mapping) and row for row in rows):
        raise SpecError("sweep.list", repr(rows)[:80], "a list of points, such as [{coupling.a: 5.0, model.mu: 0.1}]")
    one = {given: names.add(given, f"sweep.list[{index}].{given}") for index, given in _first_uses(rows)}
    return [{one[name]: value for name, value in row.items()} for row in rows]


def _first_uses(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    seen: set[str] = set()
    for index, row in enumerate(rows):
        for name in row:
            if name not in seen:
                seen.add(name)
                yield index, name


def _length(path: str, values: Any) -> int:
    if isinstance(values, Mapping):
        if set(values) != {"start", "stop", "num"}:
            found = ", ".join(map(str, values)) or "nothing"
            if not {"start", "stop", "num"} & set(values):
                name = path.removeprefix("sweep.").removeprefix("grid.").removeprefix("zip.")
                expected = f'the parameter\'s name as one text, such as "{name}.{found.split(", ")[0]}"'
                raise SpecError(path, f"a mapping of {found}", expected)
            raise SpecError(path, found, "start, stop and num", "or a list of values")
        return _count(values["num"], f"{path}.num")
    if not isinstance(values, list | tuple):
        raise SpecError(path, repr(values), "a list of values, or {start, stop, num}")
    if not values:
        raise SpecError(path, "an empty list", "at least one value")
    return len(values)


def _values(path: str, values: Any) -> list[Any]:
    if not isinstance(values, Mapping):
        return list(values)
    start, stop = _ends(values["start"], values["stop"], path, ("start", "stop"))
    from numpy import linspace

    return [float(value) for value in linspace(start, stop, values["num"])]


def _range(path: str, values: Any) -> list[float]:
    if not isinstance(values, list | tuple) or len(values) != 2:
        raise SpecError(path, repr(values), "[low, high], the range that samples are drawn from")
    low, high = _ends(values[0], values[1], path, ("low", "high"))
    if not low < high:
        raise SpecError(path, f"{low:g} to {high:g}", "a low end below the high end")
    return [low, high]


def _ends(start: Any, stop: Any, path: str, words: tuple[str, str]) -> tuple[float, float]:
    low, high = finite(start, f"{path}.{words[0]}"), finite(stop, f"{path}.{words[1]}")
    if not math.isfinite(high - low):
        raise SpecError(path, f"{low:g} to {high:g}", "a range that a float can span")
    return low, high


def _samples(sampler: str, ranges: Mapping[str, Sequence[float]], count: int, seed: int) -> list[Values]:
    """Return `count` points of the box of the ranges; the same for the same seed."""
    import numpy as np

    low, high = np.array(list(ranges.values())).T
    if sampler == "random":
        unit = np.random.default_rng(seed).random((count, len(low)))
    else:
        from scipy.stats import qmc

        kind = {"sobol": qmc.Sobol, "lhs": qmc.LatinHypercube}[sampler](len(low), rng=np.random.default_rng(seed))
        # Draw a power of two and cut it: a longer sequence starts with the shorter one.
        unit = kind.random(2 ** (count - 1).bit_length() if sampler == "sobol" else count)[:count]
    values = (low + unit * (high - low)).tolist()
    return [dict(zip(ranges, row, strict=True)) for row in values]

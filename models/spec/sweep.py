"""A sweep: a base simulation, a plan of what varies, and the resulting simulations. It does not import TVB."""

import copy
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from tvb_batch.models.errors import SpecError, did_you_mean
from tvb_batch.models.spec.expressions import ExpressionError
from tvb_batch.models.spec.labels import label, whole_label
from tvb_batch.models.spec.parameter_names import get_value, is_section, parameters
from tvb_batch.models.spec.points import normalize, points, values
from tvb_batch.models.spec.sections import checked, complete, files_of, move_file, without_file_names
from tvb_batch.models.spec.simulation import (
    NOT_DECISIVE,
    SimulationSpec,
    as_speed,
    complete_part,
    is_number,
    simulation,
    spec_error,
    spec_warnings,
    to_json,
)


@dataclass(frozen=True)
class Point:
    """One job of a sweep."""

    number: int
    #: Swept parameters by name.
    parameters: dict[str, Any]
    #: The number of the repeat, from 0.
    repeat: int
    seed: int


class SweepSpec(BaseModel):
    """A base simulation and a plan of what varies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, pattern=r"^[\w.+-][\w .+-]*$")
    base: SimulationSpec
    #: As returned by `models.spec.points.normalize`. Empty for the base alone.
    plan: dict[str, Any] = Field(default_factory=dict)

    @field_validator("plan", mode="before")
    @classmethod
    def _plan(cls, plan: Any, info: ValidationInfo) -> Any:
        base = info.data.get("base")
        return _with_whole_sections(normalize(plan, base.canonical()), base.conduction_speed) if base else plan

    @model_validator(mode="after")
    def _points_fit(self) -> "SweepSpec":
        if not self.size:
            raise SpecError("sweep.where", repr(self.plan["where"]), "a condition that at least one point meets")
        return self

    @model_validator(mode="after")
    def _one_stream(self) -> "SweepSpec":
        if self.base.random_state is not None and has_own_seeds(self.plan):
            hint = "leave it out, or use common_random_numbers without repeats"
            raise SpecError(
                "random_state", "one for a sweep whose jobs have seeds of their own", "one simulation", hint
            )
        return self

    @cached_property
    def size(self) -> int:
        """The number of jobs; all their simulations are valid."""
        count = 0
        try:
            for point in self._points():
                self._check(point)
                count += 1
        except ExpressionError as exc:
            raise SpecError("sweep.where", str(exc), "a comparison of parameters") from exc
        return count * self.repeats

    @cached_property
    def repeats(self) -> int:
        """The number of repeats of each point."""
        return int(self.plan.get("repeats", 1))

    @cached_property
    def names(self) -> list[str]:
        """The swept parameters, in the plan's order."""
        return list(dict.fromkeys(name for name, _ in values(self.plan)))

    def points(self) -> Iterator[Point]:
        """Yield the jobs one at a time.

        A single simulation keeps the spec's seed. In a sweep, the seed of each point is derived from the spec's seed
        and the point's parameters. So it does not depend on the order of the runs, the number of workers or other
        points. With `common_random_numbers`, all points of one repeat share a seed.
        """
        numbers = itertools.count()
        for point in self._points():
            for repeat in range(self.repeats):
                yield Point(next(numbers), point, repeat, self._seed(point, repeat))

    def simulation(self, point: Point) -> SimulationSpec:
        """Return the complete simulation of one point."""
        return self.base.with_parameters({**point.parameters, "seed": point.seed})

    def shared(self) -> dict[str, Any]:
        """Return the parameters that all jobs share, by name."""
        swept = [*self.names, "seed"]
        wholes = [name.removesuffix(".class") for name in swept if name not in self._plain]
        return {
            name: value
            for name, value in {**self.base.labels(), **self.base.parameters()}.items()
            if name not in swept and not any(name.startswith((f"{whole}.", f"{whole}[")) for whole in wholes)
        }

    def indexed(self, point: Point) -> dict[str, Any]:
        """Return the parameters of one job that others do not share, by name."""
        found = {name: _short(value) for name, value in point.parameters.items() if name in self._plain}
        # An object of TVB with all it has; and what a point of a list leaves as it is.
        others = [name.removesuffix(".class") for name in self.names if name not in found]
        if others:
            made = self.simulation(point).canonical()
            found |= dict(item for name in others for item in parameters(get_value(made, name), name))
            found |= {name: whole_label(value) for name, value in point.parameters.items() if is_section(value)}
        return found | ({"repeat": point.repeat} if self.repeats > 1 else {})

    @cached_property
    def _plain(self) -> frozenset[str]:
        """Return the swept parameters that are neither TVB objects nor classes."""
        wholes = {name for name, value in values(self.plan) if is_section(value) or name.endswith(".class")}
        return frozenset(self.names) - wholes

    def distinct(self) -> Iterator[tuple[dict[str, Any], SimulationSpec]]:
        """Yield one point and its simulation for each combination of files, lists and classes."""
        others = sorted({name for name, value in values(self.plan) if not is_number(value)})
        if not others:
            yield {}, self.base
            return
        seen: set[tuple[int, ...]] = set()
        for point in self._points():
            # Points share the objects of the plan, so equal ids mean equal values.
            key = tuple(id(point[name]) if name in point else 0 for name in others)
            if key not in seen:
                seen.add(key)
                yield point, self.base.with_parameters(point)

    def parameters_hash(self, point: Point) -> str:
        """Return the hash of one point, without making the simulation if its values are plain numbers."""
        if self._template is None:
            return self.simulation(point).parameters_hash()
        return self._template.hash(point)

    def with_files(self, place: Any) -> "SweepSpec":
        """Return the sweep with other paths of its files; see `SimulationSpec.with_files`."""
        base = self.base.with_files(place)
        plan = copy.deepcopy(self.plan)
        for path, section in files_of(plan, "sweep"):
            move_file(section, path, place)
        return sweep_spec(self.name, base, plan)

    def files(self) -> list[str]:
        """Return the files that are not from tvb-data, of the base and of swept values."""
        return [*self.base.files(), *(section["from_file"] for _, section in files_of(self.plan))]

    def warnings(self) -> list[str]:
        """Return warnings about the base and each swept value."""
        found = spec_warnings(self.base)
        for name, value in values(self.plan):
            try:
                found += spec_warnings(self.base.with_parameters({name: value}))
            except SpecError:
                continue  # This value is valid only together with other parameters.
        return list(dict.fromkeys(found))

    def _points(self) -> Iterator[dict[str, Any]]:
        return points(self.plan, self.base.canonical(), self.base.seed)

    def _seed(self, point: Mapping[str, Any], repeat: int) -> int:
        if "seed" in point and self.repeats == 1:
            return int(point["seed"])
        is_common = self.plan.get("common_random_numbers", False)
        if self.repeats == 1 and (is_common or not point):
            return self.base.seed
        own = {} if is_common else without_file_names(point)
        text = to_json([self.base.seed, sorted(own.items()), repeat])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def _check(self, point: Mapping[str, Any]) -> None:
        try:
            if self._template is not None:
                self._template.check(point)
            else:
                self.base.with_parameters(point)
        except SpecError as exc:
            raise self.at_point(exc, point) from exc

    def at_point(self, exc: SpecError, point: Mapping[str, Any]) -> SpecError:
        """Return the error with the value of the plan that caused it."""
        for name, value in point.items():
            is_own = exc.path == name or exc.path.startswith((f"{name}.", f"{name}["))
            if is_own or len(point) == 1:
                place = self._place(name, value)
                return SpecError(place, exc.found if is_own else f"{exc.path} = {exc.found}", exc.expected, exc.hint)
        values = ", ".join(f"{name} = {label(value)}" for name, value in point.items())
        return SpecError("sweep", f"{exc.path} = {exc.found} at {values}"[:200], exc.expected, exc.hint)

    def _place(self, name: str, value: Any) -> str:
        for key in ("grid", "zip"):
            values = self.plan.get(key, {}).get(name, [])
            if value in values:
                return f"sweep.{'' if key == 'grid' else 'zip.'}{name}[{values.index(value)}]"
        return f"sweep.{name}"

    @cached_property
    def _template(self) -> "_Template | None":
        if all(is_number(value) for _, value in values(self.plan)) and self._is_full:
            return _Template.of(self.base, self.names)
        return None

    @property
    def _is_full(self) -> bool:
        """Return whether every point has the same parameters."""
        return len({frozenset(row) for row in self.plan.get("list", [])}) < 2


class _Template:
    """A sweep over plain numbers of model and coupling, which cannot conflict with each other.

    Points are checked and hashed without making simulations, which takes 10 us instead of 300.
    """

    def __init__(self, base: SimulationSpec, names: list[str]) -> None:
        canonical = {name: value for name, value in base.canonical().items() if name not in NOT_DECISIVE}
        canonical = without_file_names(canonical)
        self._attributes = {name: attribute for name in names if (attribute := base.plain(name))}
        marks = {}
        for name in [*names, "seed"]:
            section, _, key = name.rpartition(".")
            place = canonical[section] if section else canonical
            marks[name] = f"\0{name}\0"
            place[key] = marks[name]
        text = to_json(canonical)
        order = sorted(marks, key=lambda name: text.index(to_json(marks[name])))
        self._order = order
        self._pieces = []
        for name in order:
            before, text = text.split(to_json(marks[name]), 1)
            self._pieces.append(before)
        self._end = text

    @classmethod
    def of(cls, base: SimulationSpec, names: list[str]) -> "_Template | None":
        """Return a template, or None if swept parameters can conflict."""
        return cls(base, names) if all(map(base.plain, names)) else None

    def check(self, point: Mapping[str, Any]) -> None:
        """Check that every value is allowed for its parameter."""
        for name, value in point.items():
            self._value(name, value)

    def hash(self, point: Point) -> str:
        """Return the `parameters_hash` of the point."""
        parts = []
        for name, before in zip(self._order, self._pieces, strict=True):
            value = point.seed if name == "seed" else self._value(name, point.parameters[name])
            parts += [before, to_json(value)]
        return hashlib.sha256("".join([*parts, self._end]).encode()).hexdigest()

    def _value(self, name: str, value: Any) -> Any:
        return checked(self._attributes[name], value, name)


def _short(value: Any) -> Any:
    """Return a value as rows hold it: a list of many numbers as a label."""
    return label(value) if isinstance(value, list) and len(value) > 1 else value


def _with_whole_sections(plan: dict[str, Any], speed: float | str) -> dict[str, Any]:
    """Return the plan with all swept TVB objects written out, so that their files are found."""
    if not any(name == "conduction_speed" for name, _ in values(plan)):
        _check_speeds(plan, speed)
    for key in ("grid", "zip"):
        for name, items in plan.get(key, {}).items():
            plan[key][name] = [_whole(name, item, f"sweep.{name}[{index}]") for index, item in enumerate(items)]
    if "list" in plan:
        plan["list"] = [
            {name: _whole(name, value, f"sweep.list[{index}].{name}") for name, value in row.items()}
            for index, row in enumerate(plan["list"])
        ]
    return plan


def _check_speeds(plan: Mapping[str, Any], speed: float | str) -> None:
    """Check that no swept connectivity has another speed than the simulation, which TVB would ignore."""
    for name, value in values(plan):
        own = value.get("speed") if name == "connectivity" and isinstance(value, Mapping) else None
        own = own[0] if isinstance(own, list | tuple) and len(own) == 1 else own
        if isinstance(own, int | float | str) and as_speed(own, "sweep.connectivity.speed") != speed:
            hint = "sweep conduction_speed together with connectivity, as zip does, with a value for each"
            raise SpecError("sweep.connectivity.speed", str(own), f"{speed}, the simulation's", hint)


def _whole(name: str, value: Any, place: str) -> Any:
    role = {"surface": "cortex"}.get(name, "monitor" if re.fullmatch(r"monitors\[\d+\]", name) else name)
    if role in ("connectivity", "model", "coupling", "integrator", "stimulus", "cortex", "monitor"):
        return None if value is None and role in ("stimulus", "cortex") else complete_part(role, value, place)
    if name == "conduction_speed":
        return as_speed(value, place)
    if name == "monitors" and isinstance(value, list | tuple):
        return [complete("monitor", item, f"{place}[{index}]") for index, item in enumerate(value)]
    return value


def has_own_seeds(plan: Mapping[str, Any]) -> bool:
    """Return whether the jobs of a plan have other seeds than the base."""
    names: set[str] = set()
    for key in ("grid", "zip", "random", "sobol", "lhs"):
        names |= set(plan[key]) if isinstance(plan.get(key), Mapping) else set()
    rows = plan.get("list")
    names |= {name for row in rows if isinstance(row, Mapping) for name in row} if isinstance(rows, list) else set()
    is_common = plan.get("common_random_numbers", False) and not names & {"seed", "integrator.noise.noise_seed"}
    return plan.get("repeats", 1) != 1 or bool(names and not is_common)


def sweep_spec(name: str, base: SimulationSpec, plan: Any) -> SweepSpec:
    """Return the validated sweep.

    Raises
    ------
    SpecError
        The first fault found.
    """
    try:
        return SweepSpec(name=name, base=base, plan=plan if plan is not None else {})
    except ValidationError as exc:
        raise spec_error(exc) from exc


def sweep(values: Mapping[str, Any]) -> SweepSpec:
    """Return the validated sweep of a spec file: `name`, `sweep`, and the keys of a simulation.

    Raises
    ------
    SpecError
        The first fault found.
    """
    rest = {name: value for name, value in values.items() if name not in ("name", "sweep")}
    known = set(SimulationSpec.model_fields) | {"name", "sweep"}
    for name in rest:
        if name not in known:
            raise SpecError(str(name), "an unknown key", "a key of a spec", did_you_mean(str(name), known))
    for name in ("model", "integrator", "monitors", "simulation_length"):
        if name not in rest:
            raise SpecError("", f"no `{name}`", "one; a spec needs model, integrator, monitors and simulation_length")
    return sweep_spec(values.get("name", "simulation"), simulation(rest), values.get("sweep"))

"""What a simulation and a sweep are: validated, complete, and the same text for the same simulation.

A SimulationSpec describes one simulation in TVB's words with every default filled in, so that its hash does not depend
on what was left out. A SweepSpec is a base simulation and the values of some of its parameters. Neither imports TVB.
"""

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.components import complete, connectivities, did_you_mean, domain_warnings
from models.errors import SpecError

#: Larger grids are refused: nobody means them.
MOST_JOBS = 1_000_000

#: Raw monitors follow `dt`, whatever their period says.
_SAMPLED_AT_DT = frozenset({"Raw", "RawVoi", "AfferentCoupling"})

#: What is written into the files but decides no number in them.
_ANNOTATION = {"subject", "title", "user_tags"}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
Section = dict[str, Any]


class SimulationSpec(BaseModel):
    """One simulation, complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: `{"from_file": ...}`: a name in tvb-data, a path to a TVB zip, or `inputs/<sha256>.zip` once it is queued.
    connectivity: dict[str, str] = {"from_file": "connectivity_76.zip"}
    #: mm/ms
    conduction_speed: Positive = 3.0
    model: Section
    coupling: Section = Field(default_factory=lambda: complete("coupling", "Linear", "coupling"))
    integrator: Section
    monitors: tuple[Section, ...] = Field(min_length=1)
    #: ms
    simulation_length: Positive
    #: The noise's `noise_seed`, and NumPy's seed where TVB draws initial conditions.
    seed: int = Field(default=42, ge=0, lt=2**32, strict=True)
    #: Annotation of the files, no part of the hash. The subject is TVB's own default.
    subject: str = "John Doe"
    title: str = ""
    user_tags: tuple[str, ...] = Field(default=(), max_length=5)

    @model_validator(mode="before")
    @classmethod
    def _one_seed(cls, values: Any) -> Any:
        """`integrator.noise.noise_seed` is another name of `seed`."""
        if not isinstance(values, Mapping):
            return values
        integrator = values.get("integrator")
        noise = integrator.get("noise") if isinstance(integrator, Mapping) else None
        if not (isinstance(noise, Mapping) and "noise_seed" in noise):
            return values
        noise_seed = noise["noise_seed"]
        if values.get("seed", noise_seed) != noise_seed:
            raise SpecError(
                "seed", repr(values["seed"]), f"{noise_seed!r} as integrator.noise.noise_seed", "leave one out"
            )
        return {**values, "seed": noise_seed}

    @field_validator("connectivity", mode="before")
    @classmethod
    def _connectivity(cls, value: Any) -> Any:
        section = {"from_file": value} if isinstance(value, str) else value
        if (
            not isinstance(section, Mapping)
            or set(section) != {"from_file"}
            or not isinstance(section["from_file"], str)
        ):
            raise SpecError("connectivity", repr(value), "the name of a tvb-data connectivity, or a path to a TVB zip")
        name = section["from_file"]
        if "/" not in name and name not in connectivities():
            raise SpecError(
                "connectivity",
                repr(name),
                "a connectivity of tvb-data, or a path to a TVB zip (`./mine.zip`)",
                did_you_mean(name, connectivities()),
            )
        return dict(section)

    @field_validator("model", "coupling", "integrator", mode="before")
    @classmethod
    def _section(cls, value: Any, info: Any) -> Section:
        return complete(info.field_name, value, info.field_name)

    @field_validator("integrator")
    @classmethod
    def _integrator(cls, value: Section) -> Section:
        if value["dt"] <= 0:
            raise SpecError("integrator.dt", repr(value["dt"]), "a positive number of ms")
        if "noise" in value:
            # The seed has one place, at the top.
            noise = {name: item for name, item in value["noise"].items() if name != "noise_seed"}
            return {**value, "noise": noise}
        return value

    @field_validator("monitors", mode="before")
    @classmethod
    def _monitors(cls, value: Any) -> tuple[Section, ...]:
        if not isinstance(value, list | tuple) or not value:
            raise SpecError(
                "monitors", repr(value), "a list of at least one monitor, such as [{class: TemporalAverage}]"
            )
        return tuple(complete("monitor", section, f"monitors[{index}]") for index, section in enumerate(value))

    @model_validator(mode="after")
    def _samples(self) -> "SimulationSpec":
        dt = self.integrator["dt"]
        if self.simulation_length < dt:
            raise SpecError("simulation_length", f"{self.simulation_length:g} ms", f"at least integrator.dt, {dt:g} ms")
        for index, monitor in enumerate(self.monitors):
            self._check_period(f"monitors[{index}].period", monitor, dt)
        return self

    def _check_period(self, path: str, monitor: Section, dt: float) -> None:
        if monitor["class"] in _SAMPLED_AT_DT:
            return
        period = monitor["period"]
        if period < dt:
            raise SpecError(path, f"{period:g} ms", f"at least integrator.dt, {dt:g} ms", "use a multiple of dt")
        # TVB samples every round(period / dt) steps, and makes ceil(length / dt) steps.
        if round(period / dt) > math.ceil(self.simulation_length / dt):
            hint = "simulate longer, or sample more often"
            raise SpecError(path, f"{period:g} ms", f"at most simulation_length, {self.simulation_length:g} ms", hint)

    def canonical(self) -> dict[str, Any]:
        """The spec as plain JSON values, complete."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """The one text of this simulation: sorted, without spaces, every default written out."""
        return _json(self.canonical())

    def parameters_hash(self) -> str:
        """sha256 of what decides the data; equal for simulations that TVB cannot tell apart."""
        decisive = {name: value for name, value in self.canonical().items() if name not in _ANNOTATION}
        return hashlib.sha256(_json(decisive).encode()).hexdigest()

    def with_parameters(self, parameters: Mapping[str, Any]) -> "SimulationSpec":
        """The same simulation with other values, such as `{"coupling.a": 5.0, "monitors[0].period": 1.0}`.

        Raises
        ------
        SpecError
            There is no such parameter, or the value does not fit it.
        """
        values = self.canonical()
        for name, value in parameters.items():
            _set(values, name, value)
        return simulation(values)

    def parameters(self) -> dict[str, Any]:
        """Every number and text of the spec by its dotted name; arrays of one element as their element."""
        return dict(_scalars(self.canonical(), ""))


class SweepSpec(BaseModel):
    """A base simulation, and the values of the parameters that vary: a cartesian grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200, pattern=r"^[\w.+-][\w .+-]*$")
    base: SimulationSpec
    #: Dotted name of a parameter, and its values; the last one varies fastest. Empty: the base alone.
    axes: dict[str, list[Any]] = Field(default_factory=dict)

    @field_validator("axes", mode="before")
    @classmethod
    def _values(cls, axes: Any) -> Any:
        if not isinstance(axes, Mapping):
            raise SpecError("sweep", repr(axes), "a mapping of parameters to their values")
        named = {
            "seed" if name == "integrator.noise.noise_seed" else str(name): values for name, values in axes.items()
        }
        size = math.prod(_length(name, values) for name, values in named.items())
        if size > MOST_JOBS:
            raise SpecError("sweep", f"a grid of {size:,} points", f"at most {MOST_JOBS:,}", "sweep fewer values")
        return {name: _axis(name, values) for name, values in named.items()}

    @model_validator(mode="after")
    def _fits(self) -> "SweepSpec":
        for name, values in self.axes.items():
            try:
                _set(self.base.canonical(), name, None)
            except SpecError as exc:
                raise SpecError(f"sweep.{name}", exc.found, exc.expected, exc.hint) from exc
            for index, value in enumerate(values):
                try:
                    self.base.with_parameters({name: value})
                except SpecError as exc:
                    raise SpecError(f"sweep.{name}[{index}]", exc.found, exc.expected, exc.hint) from exc
        return self

    @property
    def size(self) -> int:
        """Number of jobs."""
        return math.prod(len(values) for values in self.axes.values())

    def points(self) -> Iterator[tuple[int, dict[str, Any], int]]:
        """Number, swept parameters and seed of each job, one at a time.

        A single simulation keeps the spec's seed. In a sweep each point has its own, derived from the spec's seed and
        the point's number alone, so that it depends neither on the order of the runs nor on the number of workers.
        """
        for number, values in enumerate(itertools.product(*self.axes.values())):
            parameters = dict(zip(self.axes, values, strict=True))
            yield number, parameters, self._seed(number, parameters)

    def simulation(self, parameters: Mapping[str, Any], seed: int) -> SimulationSpec:
        """The complete simulation of one point."""
        return self.base.with_parameters({**parameters, "seed": seed})

    def _seed(self, number: int, parameters: Mapping[str, Any]) -> int:
        if "seed" in parameters:
            return int(parameters["seed"])
        if not self.axes:
            return self.base.seed
        from numpy.random import SeedSequence

        return int(SeedSequence([self.base.seed, number]).generate_state(1)[0])


def simulation(values: Mapping[str, Any]) -> SimulationSpec:
    """The validated simulation.

    Raises
    ------
    SpecError
        The first fault found.
    """
    try:
        return SimulationSpec.model_validate(values)
    except ValidationError as exc:
        raise spec_error(exc) from exc


def sweep(values: Mapping[str, Any]) -> SweepSpec:
    """The validated sweep of a spec file's content: `name`, `sweep`, and the keys of a simulation.

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
    base = simulation(rest)
    try:
        return SweepSpec(name=values.get("name", "simulation"), base=base, axes=values.get("sweep") or {})
    except ValidationError as exc:
        raise spec_error(exc) from exc


def warnings(spec: SimulationSpec) -> list[str]:
    """What TVB would run but probably nobody means."""
    sections = [
        ("model", spec.model, "model"),
        ("coupling", spec.coupling, "coupling"),
        ("integrator", spec.integrator, "integrator"),
    ]
    sections += [("monitor", monitor, f"monitors[{index}]") for index, monitor in enumerate(spec.monitors)]
    return [warning for role, section, path in sections for warning in domain_warnings(role, section, path)]


def spec_error(exc: ValidationError) -> SpecError:
    """The first fault of a validation, in our words."""
    first = exc.errors()[0]
    fault = first.get("ctx", {}).get("error")
    if isinstance(fault, SpecError):
        return fault
    path = ".".join(str(part) for part in first["loc"]).replace("axes", "sweep")
    message = first["msg"][0].lower() + first["msg"][1:]
    return SpecError(path, repr(first["input"])[:80], message.removeprefix("input should be "))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _steps(name: str) -> list[str | int]:
    """`monitors[0].period` as `["monitors", 0, "period"]`."""
    if not re.fullmatch(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*", name):
        raise SpecError(name, "no parameter's name", "dotted names, such as coupling.a or monitors[0].period")
    return [int(word) if word.isdecimal() else word for word in re.findall(r"\w+", name)]


def _set(values: dict[str, Any], name: str, value: Any) -> None:
    """Replace what `name` names; only what is there already can be replaced."""
    *way, last = _steps(name)
    place: Any = values
    for step in way:
        place = _get(place, step, name)
    if last == "class":
        raise SpecError(name, "a class", "a parameter", "a sweep over classes is not possible yet")
    _get(place, last, name)
    place[last] = value


def _get(place: Any, step: str | int, name: str) -> Any:
    if isinstance(place, list) and isinstance(step, int) and step < len(place):
        return place[step]
    if isinstance(place, dict) and step in place:
        return place[step]
    known = [key for key in place if key != "class"] if isinstance(place, dict) else []
    raise SpecError(name, f"no parameter {step!r}", "a parameter of the simulation", did_you_mean(str(step), known))


def _length(name: str, values: Any) -> int:
    if isinstance(values, Mapping):
        if set(values) != {"start", "stop", "num"}:
            found = ", ".join(map(str, values)) or "nothing"
            raise SpecError(f"sweep.{name}", found, "start, stop and num", "or a list of values")
        num = values["num"]
        if isinstance(num, bool) or not isinstance(num, int) or num < 1:
            raise SpecError(f"sweep.{name}.num", repr(num), "a whole number from 1 on")
        return num
    if not isinstance(values, list | tuple):
        raise SpecError(f"sweep.{name}", repr(values), "a list of values, or {start, stop, num}")
    if not values:
        raise SpecError(f"sweep.{name}", "an empty list", "at least one value")
    return len(values)


def _axis(name: str, values: Any) -> list[Any]:
    if not isinstance(values, Mapping):
        return list(values)
    for end in ("start", "stop"):
        if isinstance(values[end], bool) or not isinstance(values[end], int | float):
            raise SpecError(f"sweep.{name}.{end}", repr(values[end]), "a number")
    from numpy import linspace

    return [float(value) for value in linspace(values["start"], values["stop"], values["num"])]


def _scalars(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _scalars(item, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from _scalars(item, f"{name}[{index}]")
    elif isinstance(value, list):
        if len(value) == 1 and not isinstance(value[0], list):
            yield name, value[0]
    elif value != "":
        yield name, value

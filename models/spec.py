"""What a simulation and a sweep are: validated, complete, and the same text for the same simulation.

A SimulationSpec describes one simulation in TVB's words with every default filled in, so that its hash does not depend
on what was left out. A SweepSpec is a base simulation and the values of some of its parameters. Neither imports TVB.
"""

import hashlib
import itertools
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.axes import assign, expand
from models.components import complete, connectivities, did_you_mean, domain_warnings
from models.errors import SpecError
from models.fit import check_shapes, check_times, time_warnings

#: What is written into the files but decides no number in them.
_ANNOTATION = {"subject", "title", "user_tags"}

#: What pydantic says, in the words of a spec.
_EXPECTED = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "string_type": "a text",
    "string_unicode": "a text that UTF-8 can hold",
    "string_too_short": "a text",
    "string_pattern_mismatch": "letters, digits, spaces and . _ + -, the first one no space",
    "string_too_long": "at most {max_length} characters",
    "tuple_type": "a list",
    "too_long": "at most {max_length} of them",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number from {ge} on",
    "less_than": "a number below {lt}",
}


def _one_line(text: str) -> str:
    """`text`, if a file and a database can hold it and a table can show it."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise SpecError("", repr(text)[:80], "one line of text without control characters")
    return text


Text = Annotated[str, Field(max_length=1000), AfterValidator(_one_line)]
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
    subject: Text = "John Doe"
    title: Text = ""
    user_tags: tuple[Text, ...] = Field(default=(), max_length=5)

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
    def _sections_fit(self) -> "SimulationSpec":
        check_times(self.integrator["dt"], self.simulation_length, self.monitors)
        check_shapes(self.model, self.integrator, self.monitors, self.connectivity["from_file"])
        return self

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
            assign(values, name, value)
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
    def _axes(cls, axes: Any, info: ValidationInfo) -> Any:
        base = info.data.get("base")
        return expand(axes, base.canonical()) if base else axes

    @model_validator(mode="after")
    def _values_fit(self) -> "SweepSpec":
        for name, values in self.axes.items():
            for index, value in enumerate(values):
                self._check({name: value}, name, f"sweep.{name}[{index}]")
        # An axis alone may fit the base, and not the other axes: what can clash is tried at its extremes.
        for parameters in self._extreme_times():
            self._check(parameters, "", "sweep")
        return self

    def _check(self, parameters: Mapping[str, Any], name: str, place: str) -> None:
        try:
            simulation = self.base.with_parameters(parameters)
        except SpecError as exc:
            own = bool(name) and exc.path.startswith(name)
            found = exc.found if own else f"{exc.path} = {exc.found}"
            raise SpecError(place, found, exc.expected, exc.hint) from exc
        if "/" in simulation.connectivity["from_file"] and "connectivity.from_file" in parameters:
            found = repr(simulation.connectivity["from_file"])
            raise SpecError(place, found, "names of tvb-data", "a sweep over own files is not possible yet")

    def _extreme_times(self) -> Iterator[dict[str, Any]]:
        """Few points of the grid that fit when all do: see `models.fit.check_times`."""
        times = [name for name in self.axes if name == "simulation_length" or name.endswith(".period")]
        if len(times) + ("integrator.dt" in self.axes) < 2:
            return
        for dt in self.axes.get("integrator.dt", [self.base.integrator["dt"]]):
            for extreme in (min, max):
                chosen = {name: (min if name == "simulation_length" else extreme)(self.axes[name]) for name in times}
                yield {"integrator.dt": dt, **chosen}

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
    sweep = values.get("sweep")
    try:
        return SweepSpec(name=values.get("name", "simulation"), base=base, axes=sweep if sweep is not None else {})
    except ValidationError as exc:
        raise spec_error(exc) from exc


def warnings(spec: SimulationSpec | SweepSpec) -> list[str]:
    """What TVB would run but probably nobody means; of a sweep, that of its base and of each value by itself."""
    if isinstance(spec, SimulationSpec):
        return _warnings(spec)
    simulations = (spec.base.with_parameters({name: value}) for name, values in spec.axes.items() for value in values)
    found = itertools.chain(_warnings(spec.base), *map(_warnings, simulations))
    return list(dict.fromkeys(found))


def _warnings(spec: SimulationSpec) -> list[str]:
    sections = [
        ("model", spec.model, "model"),
        ("coupling", spec.coupling, "coupling"),
        ("integrator", spec.integrator, "integrator"),
    ]
    sections += [("monitor", monitor, f"monitors[{index}]") for index, monitor in enumerate(spec.monitors)]
    domains = [warning for role, section, path in sections for warning in domain_warnings(role, section, path)]
    return [*domains, *time_warnings(spec.integrator["dt"], spec.monitors)]


def spec_error(exc: ValidationError) -> SpecError:
    """The first fault of a validation, in our words."""
    first = exc.errors()[0]
    fault = first.get("ctx", {}).get("error")
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if isinstance(fault, SpecError):
        return fault if fault.path else SpecError(path, fault.found, fault.expected, fault.hint)
    expected = _EXPECTED.get(first["type"])
    words = expected.format_map(first.get("ctx", {})) if expected else first["msg"]
    return SpecError(path, repr(first["input"])[:80], words)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


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
    elif value not in ("", None):
        yield name, value

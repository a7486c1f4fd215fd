"""The description of a simulation: validated, complete, and canonical.

A SimulationSpec uses TVB's names and contains every default, so its hash does not depend on what was left out. It does
not import TVB.
"""

import copy
import hashlib
import json
import math
import unicodedata
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.consistency import (
    check_format,
    check_shapes,
    check_times,
    check_transient,
    time_warnings,
    transient_warnings,
)
from tvb_batch.models.spec.labels import whole_label
from tvb_batch.models.spec.parameter_names import is_section, parameters, set_value
from tvb_batch.models.spec.sections import checked, complete, domain_warnings, files_of, move_file, without_file_names
from tvb_batch.models.spec.titles import check_title
from tvb_batch.models.tvb.components import Attribute, find_component

#: Annotation and format of the files; they change no data.
ANNOTATION = frozenset({"subject", "title", "operation_tag", "user_tags", "format"})

#: Changes the metrics of a series, but not its data.
MEASURING = frozenset({"transient"})

#: Not part of the hash: all engines give the same bits, and limits of a job change no data.
NOT_DECISIVE = ANNOTATION | MEASURING | {"engine", "stop_on_nan", "time_limit"}

#: Pydantic's messages in the words of a spec.
_EXPECTED = {
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "string_type": "a text",
    "string_unicode": "a UTF-8 text",
    "string_too_short": "a text",
    "string_pattern_mismatch": "letters, digits, spaces and . _ + -, the first one no space",
    "string_too_long": "at most {max_length} characters",
    "tuple_type": "a list",
    "too_long": "at most {max_length} of them",
    "greater_than": "a number greater than {gt:g}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "literal_error": "{expected}",
}

_INITIAL_CONDITIONS = Attribute("initial_conditions", "array", None, False, "", "")
_RANDOM_STATE = Attribute("random_state", "array", None, False, "", "")


def _one_line(text: str) -> str:
    """Return `text` if files, databases and tables can hold it."""
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise SpecError("", repr(text)[:80], "one line of text without control characters")
    return text


Text = Annotated[str, Field(max_length=1000), AfterValidator(_one_line)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
Section = dict[str, Any]


class SimulationSpec(BaseModel):
    """One complete simulation.

    Files are named by their name in tvb-data, by a path, or by `inputs/<sha256><suffix>` once the simulation is queued.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    connectivity: Section = Field(default_factory=lambda: complete("connectivity", "connectivity_76.zip", ""))
    #: mm/ms
    conduction_speed: float | Literal["inf"] = 3.0
    model: Section
    coupling: Section = Field(default_factory=lambda: complete("coupling", "Linear", "coupling"))
    #: TVB's Cortex, for a surface simulation.
    surface: Section | None = None
    stimulus: Section | None = None
    integrator: Section
    #: (time, state variable, node, mode), or `{from_file: ...}`; if None, drawn from the seed.
    initial_conditions: list[Any] | dict[str, str] | None = None
    monitors: tuple[Section, ...] = Field(min_length=1)
    #: ms
    simulation_length: Positive
    #: ms at the beginning that all metrics leave out; None for the rule of `models.spec.transient`. No part of the
    #: hash.
    transient: NotNegative | None = None
    #: The noise's `noise_seed`, and NumPy's seed where TVB draws initial conditions.
    seed: int = Field(default=42, ge=0, lt=2**32, strict=True)
    #: `{from_file: ...}`: the state from which the script's own run would draw random numbers: of the noise's stream,
    #: or of NumPy's global one without noise. None for a stream from the seed.
    random_state: dict[str, str] | None = None
    #: `reference` runs TVB's own loop; by default a faster engine runs if it gives the same bits.
    engine: Literal["auto", "reference"] = "auto"
    #: Format of the results: `tvb2` for TVB 2.x, `tvb1` for TVB 1.4 to 1.5.x. Not part of the hash.
    format: Literal["tvb2", "tvb1"] = "tvb2"
    #: End in ERROR at the first NaN or infinity; by default the simulation continues, and its files say `is_nan`.
    stop_on_nan: bool = Field(default=False, strict=True)
    #: Maximum seconds for the job, all attempts together; None for the worker's limit.
    time_limit: Positive | None = None
    #: Annotation of the files, not part of the hash. The default subject is TVB's.
    subject: Text = "John Doe"
    #: May contain parameters in braces: `a = {coupling.a}`.
    title: Text = ""
    #: The tag that the GUI shows for the operation of the files.
    operation_tag: Text = ""
    user_tags: tuple[Text, ...] = Field(default=(), max_length=5)

    @model_validator(mode="before")
    @classmethod
    def _one_place_each(cls, values: Any) -> Any:
        """Accept `integrator.noise.noise_seed` for `seed`, and `connectivity.speed` for `conduction_speed`."""
        if not isinstance(values, Mapping):
            return values
        values = _moved(values, ("integrator", "noise", "noise_seed"), "seed")
        speed = _at(values, ("connectivity", "speed"))
        if isinstance(speed, list | tuple) and len(speed) == 1:
            values = {**values, "connectivity": {**values["connectivity"], "speed": speed[0]}}
        elif isinstance(speed, list | tuple):
            return values  # One speed for each connection stays where TVB has it.
        return _moved(values, ("connectivity", "speed"), "conduction_speed")

    @field_validator("conduction_speed", mode="plain")
    @classmethod
    def _conduction_speed(cls, value: Any) -> float | Literal["inf"]:
        return as_speed(value, "conduction_speed")

    @field_validator("connectivity", "model", "coupling", "integrator", mode="before")
    @classmethod
    def _section(cls, value: Any, info: Any) -> Section:
        return complete_part(info.field_name, value, info.field_name)

    @field_validator("surface", mode="before")
    @classmethod
    def _surface(cls, value: Any) -> Section | None:
        if value is None:
            return None
        section = complete("cortex", value, "surface")
        if "surface" not in section["region_mapping_data"]:
            found, hint = "no surface", "such as surface: cortex_16384.zip"
            raise SpecError("surface.region_mapping_data.surface", found, "the cortical surface that it maps", hint)
        return section

    @field_validator("stimulus", mode="before")
    @classmethod
    def _stimulus(cls, value: Any) -> Section | None:
        return None if value is None else complete("stimulus", value, "stimulus")

    @field_validator("initial_conditions", mode="before")
    @classmethod
    def _initial_conditions(cls, value: Any) -> Any:
        return None if value is None else checked(_INITIAL_CONDITIONS, value, "initial_conditions")

    @field_validator("random_state", mode="before")
    @classmethod
    def _random_state(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, Mapping):
            raise SpecError("random_state", repr(value)[:80], "{from_file: ./state.npy}, of a script's random stream")
        return None if value is None else checked(_RANDOM_STATE, value, "random_state")

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
        check_transient(self.transient, self.simulation_length)
        check_shapes(self)
        check_format(self)
        if "{" in self.title:
            check_title(self.title, self.words())
        return self

    def canonical(self) -> dict[str, Any]:
        """Return the spec as plain JSON values, complete."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """Return the canonical text of this simulation: sorted, without spaces, with all defaults."""
        return _joined(self._texts)

    def parameters_hash(self) -> str:
        """Return the sha256 of all that decides the data; equal for simulations that are the same for TVB."""
        texts = {name: _nameless(text) for name, text in self._texts.items()}
        decisive = {name: text for name, text in texts.items() if name not in NOT_DECISIVE}
        return hashlib.sha256(_joined(decisive).encode()).hexdigest()

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Return the canonical text of each field, sorted; jobs of a sweep share most of them."""
        return {name: to_json(value) for name, value in sorted(self.canonical().items())}

    def with_parameters(self, values: Mapping[str, Any]) -> "SimulationSpec":
        """Return the simulation with other values, such as `{"coupling.a": 5.0, "monitors[0].period": 1.0}`.

        Raises
        ------
        SpecError
            There is no such parameter, or the value does not fit it.
        """
        return self._with_numbers(values) or self._with_any(values)

    def _with_numbers(self, values: Mapping[str, Any]) -> "SimulationSpec | None":
        """Do `_with_any` for plain numbers and a seed, in a fifth of its time; return None for anything else."""
        fields = self.model_dump()
        try:
            for name, value in values.items():
                attribute = self.plain(name)
                if attribute is not None and is_number(value):
                    section, _, key = name.partition(".")
                    fields[section][key] = checked(attribute, value, name)
                elif name == "seed" and type(value) is int and 0 <= value < 2**32:
                    fields["seed"] = value
                else:
                    return None
        except SpecError:
            # The complete check decides which of several faults is reported.
            return None
        made = SimulationSpec.model_construct(**fields)
        changed = {name.partition(".")[0] for name in values}
        vars(made)["_texts"] = {**self._texts, **{name: to_json(fields[name]) for name in changed}}
        return made

    def _with_any(self, values: Mapping[str, Any]) -> "SimulationSpec":
        changed = self.canonical()
        # A class or a section first: other changes may be parameters of it.
        wholes = {name: value for name, value in values.items() if name.endswith("class") or _is_whole(value)}
        for name, value in wholes.items():
            set_value(changed, name, value)
        if wholes and len(wholes) < len(values):
            # Fill in defaults; parts that do not fit together yet may fit after the other changes.
            for role in ("connectivity", "model", "coupling", "integrator"):
                changed[role] = complete_part(role, changed[role], role)
            changed["monitors"] = [
                complete("monitor", item, f"monitors[{i}]") for i, item in enumerate(changed["monitors"])
            ]
        for name, value in values.items():
            if name not in wholes:
                set_value(changed, name, value)
        return simulation(changed)

    def plain(self, name: str) -> Attribute | None:
        """Return TVB's declaration of a model or coupling parameter that is one number; None for any other parameter.

        Other checks do not depend on the value of such a parameter.
        """
        section, _, key = name.partition(".")
        if section not in ("model", "coupling"):
            return None
        values: Section = getattr(self, section)
        attribute, value = find_component(section, values["class"], section).attributes.get(key), values.get(key)
        if attribute is None or attribute.type not in ("array", "float") or attribute.dtype != "f":
            return None
        is_one = isinstance(value, list) and len(value) == 1 if attribute.type == "array" else is_number(value)
        return attribute if is_one else None

    def with_files(self, place: Callable[[str, str], str]) -> "SimulationSpec":
        """Return the simulation with other paths of its files, from `place(path in the spec, file)`."""
        moved = copy.deepcopy(self.canonical())
        for path, section in files_of(moved):
            move_file(section, path, place)
        return simulation(moved)

    def files(self) -> list[str]:
        """Return the paths of its input files, without those of tvb-data."""
        return [section["from_file"] for _, section in files_of(self.canonical())]

    def parameters(self) -> dict[str, Any]:
        """Return every number and text of the spec by its dotted name; an array of one element as its element."""
        return dict(parameters(self.canonical()))

    def labels(self) -> dict[str, str]:
        """Return short labels of the sections that can be read from a file."""
        sections = {"connectivity": self.connectivity, "surface": self.surface, "stimulus": self.stimulus}
        return {name: whole_label(section) for name, section in sections.items() if section is not None}

    def words(self) -> dict[str, Any]:
        """Return what a title can name: parameters, and sections by their file or class."""
        found = {**self.labels(), **self.parameters()}
        return {name: found["connectivity"] if name == "connectivity.from_file" else found[name] for name in found}


def complete_part(role: str, value: Any, path: str) -> Section:
    """Return a section as it is in a simulation, without the keys that belong to the top of the spec.

    Raises
    ------
    SpecError
        It is not a section.
    """
    if role == "connectivity" and isinstance(value, Mapping):
        speed = value.get("speed")
        is_one = not isinstance(speed, Mapping | list | tuple) or (not isinstance(speed, Mapping) and len(speed) == 1)
        value = {name: item for name, item in value.items() if name != "speed" or not is_one}
    section = complete(role, value, path)
    if role == "connectivity" and isinstance(section.get("speed"), list) and len(section["speed"]) == 1:
        del section["speed"]
    if role == "integrator":
        if section["dt"] <= 0:
            raise SpecError(f"{path}.dt", repr(section["dt"]), "a positive number of ms")
        section.get("noise", {}).pop("noise_seed", None)
    return section


def as_speed(value: Any, path: str) -> float | Literal["inf"]:
    """Return a conduction speed as in specs, mm/ms; infinity, which means no delays in TVB, is the text `inf`.

    Raises
    ------
    SpecError
        It is not a positive number.
    """
    if value in ("inf", math.inf):
        return "inf"  # JSON has no infinity.
    if not is_number(value) or not 0 < value < math.inf:
        raise SpecError(path, repr(value)[:80], "a positive number of mm/ms, or inf for no delays")
    return float(value)


def simulation(values: Mapping[str, Any]) -> SimulationSpec:
    """Return the validated simulation.

    Raises
    ------
    SpecError
        The first fault found.
    """
    try:
        return SimulationSpec.model_validate(values)
    except ValidationError as exc:
        raise spec_error(exc) from exc


def spec_warnings(spec: SimulationSpec) -> list[str]:
    """Return warnings about what TVB can run but the user probably does not mean."""
    sections = [
        ("model", spec.model, "model"),
        ("coupling", spec.coupling, "coupling"),
        ("integrator", spec.integrator, "integrator"),
    ]
    sections += [("monitor", monitor, f"monitors[{index}]") for index, monitor in enumerate(spec.monitors)]
    if spec.surface is not None:
        sections.append(("cortex", spec.surface, "surface"))
    domains = [warning for role, section, path in sections for warning in domain_warnings(role, section, path)]
    return [*domains, *time_warnings(spec.integrator["dt"], spec.monitors), *transient_warnings(spec)]


def spec_error(exc: ValidationError) -> SpecError:
    """Return the first error of a validation as a SpecError."""
    first = exc.errors()[0]
    fault = first.get("ctx", {}).get("error")
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    if isinstance(fault, SpecError):
        return fault if fault.path else SpecError(path, fault.found, fault.expected, fault.hint)
    expected = _EXPECTED.get(first["type"])
    words = expected.format_map(first.get("ctx", {})) if expected else first["msg"]
    return SpecError(path, repr(first["input"])[:80], words)


def to_json(value: Any) -> str:
    """Return the canonical text of a JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def is_number(value: Any) -> bool:
    """Return whether the value is a number and not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _nameless(text: str) -> str:
    """Return the text of a field without the user's file names."""
    return to_json(without_file_names(json.loads(text))) if '"file_name":' in text else text


def _joined(texts: Mapping[str, str]) -> str:
    """Return the canonical text of a JSON object from those of its values."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"


def _is_whole(value: Any) -> bool:
    return is_section(value) or isinstance(value, str)


def _at(values: Any, way: tuple[str, ...]) -> Any:
    for step in way:
        values = values.get(step) if isinstance(values, Mapping) else None
    return values


def _moved(values: Mapping[str, Any], way: tuple[str, ...], name: str) -> Mapping[str, Any]:
    """`values` with what stands at `way` as `name` too, where it is given; refuses two different values."""
    value = _at(values, way)
    if value is None:
        return values
    if values.get(name, value) != value:
        raise SpecError(name, repr(values[name]), f"{value!r} as {'.'.join(way)}", "leave one out")
    return {**values, name: value}

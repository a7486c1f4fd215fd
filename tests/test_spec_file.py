"""Spec files: three formats, one meaning; every fault with its line; nothing but plain data."""

import io
import json
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES, SHORT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import InputError, SpecError, TvbBatchError
from submit.spec_file import load

YAML = """\
name: y
model:
  class: JansenRit
  mu: 1e-3
integrator: {class: HeunDeterministic, dt: 0.5}
monitors:
  - class: Raw
  - class: TemporalAverage
    period: 1.0
simulation_length: 20.0
"""


def write(tmp_path: Path, text: str | bytes, name: str = "spec.yaml") -> str:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_the_three_formats_mean_the_same(tmp_path) -> None:
    toml = """
simulation_length = 20.0
name = "y"
[model]
class = "JansenRit"
mu = 1e-3
[integrator]
class = "HeunDeterministic"
dt = 0.5
[[monitors]]
class = "Raw"
[[monitors]]
class = "TemporalAverage"
period = 1.0
"""
    as_json = {
        "name": "y", "model": {"class": "JansenRit", "mu": 1e-3}, "integrator": {"class": "HeunDeterministic", "dt": 0.5},
        "monitors": [{"class": "Raw"}, {"class": "TemporalAverage", "period": 1.0}], "simulation_length": 20.0,
    }  # fmt: skip

    from_yaml = load(write(tmp_path, YAML))

    assert load(write(tmp_path, toml, "spec.toml")) == from_yaml
    assert load(write(tmp_path, json.dumps(as_json, indent="\t"), "spec.json")) == from_yaml


@pytest.mark.parametrize("name", ["jansen_rit.yaml", "sweep.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    assert load(str(EXAMPLES / name)).name == Path(name).stem


def test_a_spec_without_a_name_is_called_as_its_file(tmp_path) -> None:
    assert load(write(tmp_path, YAML.replace("name: y\n", ""), "my sweep.yaml")).name == "my_sweep"


def test_standard_input_is_yaml(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(YAML.encode())))

    assert load("-").name == "y"


def test_a_connectivity_file_is_found_beside_the_spec(tmp_path) -> None:
    (tmp_path / "mine.zip").write_bytes(b"")

    for given_name in ("mine.zip", "./mine.zip"):
        assert load(write(tmp_path, YAML + f"connectivity: {given_name}\n")).base.connectivity == {
            "from_file": str(tmp_path / "mine.zip")
        }


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("JansenRit", "JansenRitt"), 3, "did you mean 'JansenRit'?"),
        (("mu: 1e-3", "muu: 1"), 4, "model.muu"),
        (("mu: 1e-3", "mu: {a: 1}"), 4, "model.mu"),
        (("dt: 0.5", "dt: -1"), 5, "integrator.dt"),
        (("period: 1.0", "period: 0.1"), 9, "monitors[1].period"),
        (("length: 20.0", "length: -20.0"), 10, "simulation_length"),
        (("mu: 1e-3", "mu: 1\n  mu: 2"), 5, "a key given twice"),
        (("name: y", "name: [unclosed"), 2, "YAML"),
        (("name: y", "name: !!python/object/apply:os.system [true]"), 1, "YAML"),
        (("name: y", "connectivity: ./gone.zip"), 1, "a file that is there"),
        (("name: y", "sweep: {coupling.a: [1, x]}"), 1, "sweep.coupling.a[1]"),
        (("name: y", "name: ''"), 1, "name"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_fault_in_yaml_names_its_line(tmp_path, change, line: int, words: str) -> None:
    file = write(tmp_path, YAML.replace(*change))

    with pytest.raises(SpecError) as caught:
        load(file)

    assert str(caught.value).startswith(f"{file}:{line}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_in_json_names_its_line(tmp_path) -> None:
    spec = {"name": "j", **SHORT, "model": {"class": "JansenRit", "v00": 1}}

    with pytest.raises(SpecError, match=r"spec\.json:\d+ model\.v00") as caught:
        load(write(tmp_path, json.dumps(spec, indent=1), "spec.json"))
    line = int(str(caught.value).split("spec.json:")[1].split()[0])

    assert '"v00"' in json.dumps(spec, indent=1).splitlines()[line - 1]


def test_a_fault_in_toml_names_its_line(tmp_path) -> None:
    text = 'simulation_length = 20.0\nmonitors = [{class = "Raw"}]\n[integrator]\nclass = "HeunDeterministic"\n[model]\nclass = "JansenRit"\nv00 = 1\n'

    with pytest.raises(SpecError, match=r"spec\.toml:7 model\.v00"):
        load(write(tmp_path, text, "spec.toml"))


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.json", '{"a": 1, "a": 2}'), ("a.toml", "a = "), ("a.yaml", "a: b: c")]
)
def test_what_cannot_be_parsed_is_one_line(tmp_path, name: str, text: str) -> None:
    with pytest.raises(SpecError, match=name) as caught:
        load(write(tmp_path, text, name))

    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_refused(tmp_path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(8)
    )

    with pytest.raises(SpecError, match="aliases"):
        load(write(tmp_path, bomb))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x" * 2**21, b"[" * 5000, b"", b"- 1\n- 2\n", b"null"])
def test_what_is_no_spec_is_one_line(tmp_path, content: bytes) -> None:
    with pytest.raises(SpecError) as caught:
        load(write(tmp_path, content))

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(tmp_path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load(str(tmp_path / "gone.yaml"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*SHORT, "name", "sweep", "seed", "x"]), json_values, max_size=6))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_a_file_holds_it_is_a_spec_or_one_line(tmp_path_factory, changes) -> None:
    file = write(tmp_path_factory.mktemp("fuzz"), json.dumps({"name": "f", **SHORT, **changes}), "spec.json")

    fault = None
    try:
        load(file)
    except TvbBatchError as exc:
        fault = str(exc)

    assert fault is None or "\n" not in fault

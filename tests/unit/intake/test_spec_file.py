"""Spec files in three formats; every error has file and line, and no file can do harm."""

import contextlib
import io
import json
import shutil
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tvb_batch.models.errors import InputError, SpecError, TvbBatchError
from tvb_batch.models.tvb.components import components
from tvb_batch.submit.intake.spec_file import MOST_BYTES, load_spec_file

EXAMPLES = Path(__file__).parent.parent.parent.parent / "examples"

YAML = """\
name: small
model:
  class: JansenRit
  mu: 0.1
integrator:
  class: HeunStochastic
  dt: 0.5
  noise: {class: Additive, nsig: [1e-3]}
monitors:
  - class: Raw
  - {class: TemporalAverage, period: 1.0}
simulation_length: 20
sweep:
  coupling.a: [0.5, 1]
  model.mu: {start: 0, stop: 0.2, num: 3}
"""

TOML = """\
name = "small"
simulation_length = 20

[model]
class = "JansenRit"
mu = 0.1

[integrator]
class = "HeunStochastic"
dt = 0.5
noise = {class = "Additive", nsig = [1e-3]}

[[monitors]]
class = "Raw"

[[monitors]]
class = "TemporalAverage"
period = 1.0

[sweep]
"coupling.a" = [0.5, 1]
"model.mu" = {start = 0, stop = 0.2, num = 3}
"""

JSON = json.dumps(
    {
        "name": "small",
        "model": {"class": "JansenRit", "mu": 0.1},
        "integrator": {"class": "HeunStochastic", "dt": 0.5, "noise": {"class": "Additive", "nsig": [1e-3]}},
        "monitors": [{"class": "Raw"}, {"class": "TemporalAverage", "period": 1.0}],
        "simulation_length": 20,
        "sweep": {"coupling.a": [0.5, 1], "model.mu": {"start": 0, "stop": 0.2, "num": 3}},
    },
    indent=1,
)


@pytest.fixture
def write(tmp_path):
    """Write a spec file; return its path."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


# ------------------------------------------------------------------------------------------------- what is read


def test_the_three_formats_give_one_sweep(write) -> None:
    files = [write("a.yaml", YAML), write("a.toml", TOML), write("a.json", JSON)]

    first, second, third = [load_spec_file(file) for file in files]

    assert first == second == third
    assert (first.name, first.size) == ("small", 6)


def test_standard_input_is_yaml(write, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(YAML.encode())))

    spec = load_spec_file("-")

    assert spec == load_spec_file(write("a.yaml", YAML))


@pytest.mark.parametrize(
    "content", [YAML.replace("\n", "\r\n"), "\ufeff" + YAML, "---\n" + YAML, "%YAML 1.1\n---\n" + YAML]
)
def test_files_of_other_editors_are_the_same(write, content) -> None:
    assert load_spec_file(write("b.yaml", content)) == load_spec_file(write("a.yaml", YAML))


def test_a_spec_without_a_name_has_that_of_its_file(write) -> None:
    assert load_spec_file(write("my sweep (2).yaml", YAML.replace("name: small\n", ""))).name == "my_sweep__2_"


def test_numbers_are_read_as_people_write_them(write) -> None:
    for text, value in [("1e2", 100.0), ("1.5e+1", 15.0), (".5e2", 50.0), ("+40", 40.0), ("40.", 40.0)]:
        spec = load_spec_file(write("a.yaml", YAML.replace("simulation_length: 20", f"simulation_length: {text}")))

        assert spec.base.simulation_length == value


@pytest.mark.parametrize("text", ["1:40", "010", "1_000", "0x10", "2020-01-01"])
def test_what_yaml_would_turn_into_another_number_is_refused(write, text) -> None:
    with pytest.raises(SpecError, match=r"a\.yaml:12 simulation_length: '.*'; expected a number"):
        load_spec_file(write("a.yaml", YAML.replace("simulation_length: 20", f"simulation_length: {text}")))


def test_anchors_and_merge_keys_work(write) -> None:
    content = YAML.replace("  - class: Raw\n", "  - &average {class: TemporalAverage, period: 2.0}\n")
    content = content.replace("{class: TemporalAverage, period: 1.0}", "{<<: *average, period: 4.0}")

    spec = load_spec_file(write("a.yaml", content))

    assert [monitor["period"] for monitor in spec.base.monitors] == [2.0, 4.0]


# ------------------------------------------------------------------------------------------ faults and their lines


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("JansenRit", "JansenRitt", 3, "model.class"),
        ("mu: 0.1", "mz: 0.1", 4, "model.mz"),
        ("mu: 0.1", "mu: abc", 4, "model.mu"),
        ("mu: 0.1", "mu: [0.1, .nan]", 4, "model.mu[1]"),
        ("nsig: [1e-3]", "nsig: [1, 2]", 8, "integrator.noise.nsig"),
        ("period: 1.0", "period: 0.1", 11, "monitors[1].period"),
        ("simulation_length: 20", "simulation_length: -20", 12, "simulation_length"),
        ("coupling.a:", "coupling.z:", 14, "sweep.coupling.z"),
        ("[0.5, 1]", "[0.5, x]", 14, "sweep.coupling.a[1]"),
        ("num: 3", "num: 0", 15, "sweep.model.mu.num"),
        ("dt: 0.5", "dt: 0.5\n  dt: 0.1", 8, "integrator.dt"),
        ("name: small", "name: small\nextra: 1", 2, "extra"),
    ],
)
def test_an_error_in_yaml_is_reported_with_its_line(write, old, new, line, path) -> None:
    file = write("a.yaml", YAML.replace(old, new))

    with pytest.raises(SpecError) as caught:
        load_spec_file(file)

    assert str(caught.value).startswith(f"{file}:{line} {path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "line", "path"),
    [
        ("mu = 0.1", "mz = 0.1", 6, "model.mz"),
        ("dt = 0.5", "dt = 'x'", 10, "integrator.dt"),
        ("dt = 0.5", "dt = 2020-01-01", 10, "integrator.dt"),
        ("[1e-3]", '["x"]', 11, "integrator.noise.nsig"),
        ("period = 1.0", "period = 0.1", 18, "monitors[1].period"),
        ('"coupling.a"', '"coupling.z"', 21, "sweep.coupling.z"),
        ('"model.mu"', "model.mu", 22, "sweep.model"),
    ],
)
def test_an_error_in_toml_is_reported_with_its_line(write, old, new, line, path) -> None:
    file = write("a.toml", TOML.replace(old, new))

    with pytest.raises(SpecError) as caught:
        load_spec_file(file)

    assert str(caught.value).startswith(f"{file}:{line} {path}: ")


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('"JansenRit"', '"JansenRitt"', "model.class"),
        ('"period": 1.0', '"period": NaN', "monitors[1].period"),
        ('"coupling.a"', '"coupling.z"', "sweep.coupling.z"),
    ],
)
def test_an_error_in_json_is_reported_with_its_line(write, old, new, path) -> None:
    content = JSON.replace(old, new)
    file = write("a.json", content.replace(" ", "\t"))
    line = content[: content.index(new)].count("\n") + 1

    with pytest.raises(SpecError) as caught:
        load_spec_file(file)

    assert str(caught.value).startswith(f"{file}:{line} {path}: ")


@pytest.mark.parametrize(
    ("name", "content", "place", "words"),
    [
        ("a.yaml", YAML.replace("  dt", "\tdt"), "a.yaml:7: ", "cannot start any token"),
        ("a.yaml", "a: [1\n", "a.yaml:2: ", "expected YAML"),
        ("a.yaml", "a: 1\n--- \nb: 2\n", "a.yaml:2: ", "another document"),
        ("a.yaml", "a: *b\n", "a.yaml:1: ", "undefined alias"),
        ("a.yaml", "? [a]\n: 1\n", "a.yaml:1: ", "unhashable key"),
        ("a.yaml", 'a: "\0"\n', "a.yaml: ", "unacceptable character"),
        ("a.yaml", b"a: 1\nb: \xe9\n", "a.yaml:2: ", "not UTF-8"),
        ("a.yaml", "", "a.yaml: ", "no `model`"),
        ("a.yaml", "- 1\n", "a.yaml:1: ", "a list; expected a mapping"),
        ("a.yaml", YAML.replace("20", "2" * 5000), "a.yaml: ", "values that a spec can hold"),
        ("a.json", '{"a": 1,\n "b" 2}', "a.json:2: ", "expected JSON"),
        ("a.json", '{"a": 1, "a": 2}', "a.json a: ", "a key given twice"),
        ("a.json", '{"a": ' + "2" * 5000 + "}", "a.json: ", "values that a spec can hold"),
        ("a.toml", "a = 1\nb = \n", "a.toml:2: ", "expected TOML"),
        ("a.toml", "a = 1\na = 2\n", "a.toml:2: ", "expected TOML"),
        ("a.toml", "a = " + "2" * 5000, "a.toml: ", "values that a spec can hold"),
    ],
)
def test_a_file_that_cannot_be_parsed_gives_one_line(write, name, content, place, words) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec_file(write(name, content))

    assert place in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["no_such_file.yaml", "/", ""])
def test_a_file_that_cannot_be_read_gives_one_line(file) -> None:
    with pytest.raises(InputError, match="expected a spec file"):
        load_spec_file(file)


# ------------------------------------------------------------------------------------------- files meant to hurt


@pytest.mark.parametrize("tag", ['!!python/object/apply:os.system ["id"]', "!!python/name:os.system", "!own {}"])
def test_no_tag_makes_an_object(write, tag) -> None:
    with pytest.raises(SpecError, match="could not determine a constructor"):
        load_spec_file(write("a.yaml", f"model: {tag}\n"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", "a: &a [1, 1]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{('*' + chr(97 + i) + ', ') * 9}]\n" for i in range(20))),
        ("a.yaml", "a: &a {k: 1}\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} {{<<: [{('*' + chr(97 + i) + ', ') * 9}]}}\n" for i in range(20))),
        ("a.yaml", "a: &a [*a]\n"),
        ("a.yaml", "a: " + "[" * 5000 + "]" * 5000),
        ("a.json", "[" * 100_000),
        ("a.toml", "a = " + "[" * 5000),
        ("a.yaml", "#" * (MOST_BYTES + 1)),
    ],
    ids=["aliases", "merge keys", "itself", "deep yaml", "deep json", "deep toml", "large"],
)  # fmt: skip
def test_a_bomb_is_refused_soon(write, name, content) -> None:
    file = write(name, content)
    start = time.monotonic()

    with pytest.raises(SpecError):
        load_spec_file(file)

    assert time.monotonic() - start < 20


def test_an_endless_file_is_read_no_further_than_the_limit() -> None:
    with pytest.raises(SpecError, match="more than 1,048,576 bytes"):
        load_spec_file("/dev/zero")


@pytest.mark.parametrize("key", ['"two\\nlines"', '"\\e[31mred"', '"\\ud800"'])
def test_a_key_cannot_break_the_line_of_its_fault(write, key) -> None:
    with pytest.raises(SpecError, match="an unknown key") as caught:
        load_spec_file(write("a.yaml", f"{key}: 1\n{YAML}"))

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("key", ["a[", "a]", "a.", "[", ".", "a[b", "[1", "]]["])
def test_a_key_of_brackets_and_points_gives_one_line_too(write, key) -> None:
    with pytest.raises(SpecError, match="connectivity"):
        load_spec_file(write("a.json", json.dumps({**json.loads(JSON), "connectivity": {key: 1}})))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=10,
)
places = [(name,) for name in json.loads(JSON)] + [("seed",), ("x",), ("connectivity",), ("model", "mu")]
places += [("model", "class"), ("integrator", "noise"), ("sweep", "coupling.a"), ("sweep", "model"), ("monitors", 0)]


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(places), json_values), max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_content_of_a_file_is_a_spec_or_one_line(tmp_path_factory, changes) -> None:
    content = json.loads(JSON)
    for (*way, last), value in changes:
        place = content
        for step in way:
            place = place[step]
        if isinstance(place, dict | list):
            with contextlib.suppress(IndexError, TypeError):
                place[last] = value
    file = tmp_path_factory.mktemp("fuzz") / "spec.json"
    file.write_text(json.dumps(content))

    fault = ""
    try:
        load_spec_file(str(file))
    except TvbBatchError as exc:
        fault = str(exc)

    assert fault.isprintable()


# --------------------------------------------------------------------------------------------------- connectivity


def test_a_connectivity_is_found_beside_the_spec_from_anywhere(write, tmp_path, monkeypatch) -> None:
    shutil.copy(str(files("tvb_data") / "connectivity" / "connectivity_76.zip"), tmp_path / "mine.zip")
    monkeypatch.chdir("/")

    for named in ("./mine.zip", str(tmp_path / "mine.zip"), "{from_file: ./mine.zip}"):
        spec = load_spec_file(write("a.yaml", f"connectivity: {named}\n{YAML}"))

        assert spec.base.connectivity["from_file"] == str(tmp_path / "mine.zip")


@pytest.mark.parametrize("given", ["./none.zip", "/nowhere/none.zip", "~no_such_user/none.zip", "."])
def test_a_missing_connectivity_gives_one_line(write, given) -> None:
    with pytest.raises(SpecError, match=r"a\.yaml:1 connectivity") as caught:
        load_spec_file(write("a.yaml", f"connectivity: {given}\n{YAML}"))

    assert "\n" not in str(caught.value)


def test_a_name_of_tvb_data_stays_a_name(write) -> None:
    base = load_spec_file(write("a.yaml", f"connectivity: connectivity_66.zip\n{YAML}")).base

    assert base.connectivity["from_file"] == "connectivity_66.zip"


# ------------------------------------------------------------------------------------------------------- examples


def test_the_seed_simulation_has_the_noise_of_its_formula() -> None:
    spec = load_spec_file(str(EXAMPLES / "jansen_rit.yaml")).base
    default = {name: item.default for name, item in components("model")["JansenRit"].attributes.items()}

    [a], [A], [p_max], [p_min] = (default[name] for name in ("a", "A", "p_max", "p_min"))  # noqa: N806
    assert spec.integrator["noise"]["nsig"] == [0, 0, 0, (a * A * (p_max - p_min) * 0.5) ** 2 / 2, 0, 0]
    assert (spec.integrator["dt"], spec.monitors[0]["period"], spec.simulation_length) == (2**-4, 2**-2, 1000.0)


def test_the_sweep_is_the_seed_simulation_two_by_three_times() -> None:
    spec = load_spec_file(str(EXAMPLES / "sweep.yaml"))
    seed_simulation = load_spec_file(str(EXAMPLES / "jansen_rit.yaml")).base

    assert spec.size == 6
    assert spec.plan["grid"] == {"coupling.a": [5.0, 10.0], "model.mu": [0.0, 0.1, 0.2]}
    assert spec.base == seed_simulation.with_parameters({"simulation_length": 100.0})

"""Files of a spec: found beside it, checked, and stored by their content."""

import shutil
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from conftest import SHORT

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.intake.files import keep, locate, look

DATA = Path(str(files("tvb_data")))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Return a user's directory with a connectivity, a surface and a mapping."""
    shutil.copy(DATA / "connectivity" / "connectivity_66.zip", tmp_path / "c66.zip")
    shutil.copy(DATA / "surfaceData" / "scalp_1082.zip", tmp_path / "surface.zip")
    np.savetxt(tmp_path / "mapping.txt", np.arange(1082) % 66, fmt="%d")
    return tmp_path


def surface(mapping: str) -> dict:
    return {"region_mapping_data": {"from_file": mapping, "surface": "./surface.zip"}}


def test_every_file_becomes_absolute_and_then_content(folder, settings) -> None:
    spec = sweep({**SHORT, "connectivity": "./c66.zip", "surface": surface("./mapping.txt")})

    located = locate(spec, folder)
    kept = keep(located, settings.storage)

    assert sorted(located.base.files()) == sorted(
        str(folder / name) for name in ("c66.zip", "surface.zip", "mapping.txt")
    )
    assert all(name.startswith("inputs/") for name in kept.base.files())
    assert len(list(settings.storage.inputs.iterdir())) == 3
    assert keep(kept, settings.storage) == kept


def test_swept_files_are_kept_too(folder, settings) -> None:
    spec = sweep({**SHORT, "sweep": {"connectivity": ["./c66.zip", "connectivity_76.zip"]}})

    kept = keep(locate(spec, folder), settings.storage)

    own, known = kept.plan["grid"]["connectivity"]
    assert own["from_file"].startswith("inputs/")
    assert known["from_file"] == "connectivity_76.zip"


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"connectivity": "./none.zip"}, "connectivity.from_file", "a file that is there"),
        ({"connectivity": "./broken.zip"}, "connectivity.from_file", "not a complete zip"),
        ({"connectivity": "./surface.zip"}, "connectivity.from_file", "no member 'weights'"),
        (
            {"connectivity": "./c66.zip", "model": {"class": "Generic2dOscillator", "a": [1.0] * 76}},
            "model.a",
            "66 regions",
        ),
        (
            {"connectivity": "./c66.zip", "surface": surface("./absent.txt")},
            "surface.region_mapping_data.from_file",
            "region 66",
        ),
        (
            {"connectivity": "./c66.zip", "surface": surface("./words.txt")},
            "surface.region_mapping_data.from_file",
            "words.txt",
        ),
        (
            {"connectivity": "connectivity_66.zip", "surface": surface("regionMapping_16k_76.txt")},
            "surface.region_mapping_data.from_file",
            "region 75; expected 0 to 65",
        ),
        ({"sweep": {"connectivity": ["./none.zip"]}}, "sweep.grid.connectivity[0].from_file", "a file that is there"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_queued(folder, changes, path, words) -> None:
    (folder / "broken.zip").write_bytes(b"PK")
    (folder / "absent.txt").write_text("0\n66\n")
    (folder / "words.txt").write_text("one\ntwo\n")

    with pytest.raises(SpecError) as caught:
        look(locate(sweep({**SHORT, **changes}), folder))

    assert caught.value.path == path
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_any_name_are_counted(folder, tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.writestr("folder/my_weights_5.txt", "# comment\n" + "0 1 2 3 4\n" * 5 + "\n")
        archive.writestr("folder/tract_lengths.txt", "0 1 2 3 4\n" * 5)
        archive.writestr("folder/centres.txt", "".join(f"R{index} 1 2 3\n" for index in range(5)))
    spec = sweep({**SHORT, "connectivity": "./own.zip", "model": {"class": "Generic2dOscillator", "a": [1.0] * 4}})

    with pytest.raises(SpecError, match="5 regions"):
        look(locate(spec, tmp_path))


# ------------------------------------------------------------------------------------------------------- whole sweeps

ORIENTATIONS = "average_orientations.txt"


def text(array) -> str:
    return "".join(" ".join(f"{value:g}" for value in row) + "\n" for row in np.atleast_2d(array))


def write_zip(path: Path, regions: int = 4, **members: str | None) -> Path:
    weights = np.random.default_rng(regions).random((regions, regions))
    content: dict[str, str | None] = {
        "weights": text(weights), "tract_lengths": text(weights * 10),
        "centres": "".join(f"R{index} 1 2 {index}\n" for index in range(regions)), **members,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, item in content.items():
            if item is not None:
                archive.writestr(f"{name}.txt", item)
    return path


def looked(folder: Path, **changes: object) -> list[str]:
    return look(locate(sweep({**SHORT, **changes}), folder))


def test_a_warning_of_many_subjects_is_printed_once(tmp_path) -> None:
    names = [f"./sub-{number:02}.zip" for number in range(30)]
    for name in names:
        write_zip(tmp_path / name, hemisphere="1\n1\n0\n0\n")
    write_zip(tmp_path / "other.zip", cortical="1.0\n" * 4)

    lines = looked(tmp_path, sweep={"connectivity": [*names, "./other.zip"], "coupling.a": [0.1, 0.2]})

    assert lines == [
        "./sub-00.zip, ./sub-01.zip, ./sub-02.zip and 27 more: TVB ignores hemisphere.txt (it reads hemispheres.txt)",
        "./other.zip: cortical.txt holds '1.0'; TVB reads only 0 and 1 there, without a decimal point, and leaves "
        "cortical out",
    ]


def test_the_faulty_subjects_of_a_sweep_are_named(tmp_path) -> None:
    for name in ("a", "b", "c", "d"):
        write_zip(tmp_path / f"{name}.zip", weights=None if name == "c" else "nan 1\n1 0\n" if name == "b" else text(
            np.ones((4, 4))))  # fmt: skip

    with pytest.raises(SpecError) as caught:
        looked(tmp_path, sweep={"coupling.a": [0.1, 0.2], "connectivity": [f"./{name}.zip" for name in "abcd"]})

    assert caught.value.path == "sweep.connectivity[1]"
    assert "./b.zip: weights.txt: NaN in row 1, column 1" in caught.value.found
    assert "faulty too: " in caught.value.hint
    assert "./c.zip" in caught.value.hint


def test_files_that_are_missing_or_damaged_are_named_as_they_were_given(tmp_path) -> None:
    write_zip(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:300])
    (tmp_path / "c.zip").mkdir()
    write_zip(tmp_path / "d.zip")
    content = bytearray((tmp_path / "d.zip").read_bytes())
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.find(mark) + flags] |= 1
    (tmp_path / "d.zip").write_bytes(content)
    names = [f"./{name}.zip" for name in "abcde"]

    with pytest.raises(SpecError) as caught:
        looked(tmp_path, sweep={"connectivity": names})

    assert caught.value.path == "sweep.grid.connectivity[1].from_file"
    assert caught.value.found.startswith("./b.zip: not a complete zip")
    assert caught.value.hint == "faulty too: ./c.zip; ./d.zip; './e.zip'"
    for name, words in (("c", "a directory"), ("d", "encrypted; make it without a password")):
        with pytest.raises(SpecError, match=rf"from_file: \./{name}\.zip: {words}"):
            looked(tmp_path, connectivity=f"./{name}.zip")


def test_a_member_that_tvb_takes_for_another_is_named_in_the_error(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in (("weights", text(np.ones((4, 4)))), ("tract_lengths", text(np.ones((4, 4)))),
                              ("centres", "a 1 2 3\nb 1 2 3\nc 1 2 3\nd 1 2 3\n")):  # fmt: skip
            archive.writestr(f"areas_study/{name}.txt", content)

    with pytest.raises(SpecError) as caught:
        looked(tmp_path, connectivity="./a.zip")

    assert "areas_study/weights.txt: 16 values" in caught.value.found
    assert "TVB takes areas_study/weights.txt for areas" in caught.value.hint


def test_an_error_of_the_base_is_not_reported_for_a_point(tmp_path) -> None:
    write_zip(tmp_path / "bad.zip", weights="nan 1\n1 0\n")

    with pytest.raises(SpecError) as caught:
        looked(tmp_path, connectivity="./bad.zip", sweep={"model": ["JansenRit", "Kuramoto"]})

    assert caught.value.path == "connectivity.from_file"


def test_points_with_matching_parts_are_not_compared_with_the_base(tmp_path) -> None:
    write_zip(tmp_path / "five.zip", regions=5)
    points = [{"connectivity": "./five.zip", "model.a": [0.1] * 5}, {"connectivity": "connectivity_76.zip"}]

    assert looked(tmp_path, model={"class": "Generic2dOscillator"}, sweep={"list": points}) == []
    points[0]["model.a"] = [0.1] * 4
    with pytest.raises(SpecError, match="4 values; expected one value, or one for each of the 5 regions"):
        looked(tmp_path, model={"class": "Generic2dOscillator"}, sweep={"list": points})


@pytest.fixture
def arrays(tmp_path) -> Path:
    """Write a connectivity of four regions, and arrays of several shapes."""
    write_zip(tmp_path / "four.zip")
    write_zip(tmp_path / "oriented.zip", average_orientations=text(np.eye(4, 3)), cortical="1\n" * 4)
    write_zip(tmp_path / "twice.zip", centres="A 1 2 3\n" * 4)
    np.save(tmp_path / "three.npy", np.ones(3))
    np.save(tmp_path / "four.npy", np.ones(4))
    np.save(tmp_path / "nan.npy", np.array([np.nan, 1.0, 1.0, 1.0]))
    np.save(tmp_path / "words.npy", np.array(["a"]))
    np.save(tmp_path / "start.npy", np.zeros((1, 2, 4, 1)))
    np.save(tmp_path / "start5.npy", np.zeros((1, 2, 5, 1)))
    np.save(tmp_path / "gain.npy", np.ones((64, 4)))
    (tmp_path / "mapping.txt").write_text("0\n1\n2\n3\n" * 10)
    (tmp_path / "short.txt").write_text("0\n1\n2\n" * 10)
    (tmp_path / "beyond.txt").write_text("0\n1\n2\n4\n" * 10)
    return tmp_path


def eeg(projection: str = "projection_eeg_65_surface_16k.npy", mapping: str = "./mapping.txt") -> dict:
    return {
        "class": "EEG", "sensors": "eeg_brainstorm_65.txt", "projection": projection, "region_mapping": mapping,
        "period": 1.0,
    }  # fmt: skip


MODEL = {"class": "Generic2dOscillator"}
WEIGHT = {"class": "StimuliRegion", "temporal": "PulseTrain"}


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"model": {**MODEL, "a": {"from_file": "./three.npy"}}}, "model.a", "3 values; expected one value"),
        ({"model": {**MODEL, "a": {"from_file": "./nan.npy"}}}, "model.a.from_file", "./nan.npy: NaN in row 1"),
        ({"model": {**MODEL, "a": {"from_file": "./words.npy"}}}, "model.a.from_file", "values of type <U1"),
        ({"initial_conditions": {"from_file": "./start5.npy"}}, "initial_conditions", "shape (1, 2, 5, 1)"),
        ({"initial_conditions": {"from_file": "./three.npy"}}, "initial_conditions", "shape (3,)"),
        ({"stimulus": {**WEIGHT, "weight": {"from_file": "./three.npy"}}}, "stimulus.weight", "4 regions"),
        ({"monitors": [eeg()]}, "monitors[0]", "./four.zip has no orientations; expected orientations of the regions"),
        ({"connectivity": "./oriented.zip", "monitors": [eeg("./gain.npy")]},
         "monitors[0].projection.from_file", "./gain.npy: 64 rows; expected 65"),
        ({"connectivity": "./oriented.zip", "monitors": [eeg(mapping="./beyond.txt")]},
         "monitors[0].region_mapping.from_file", "./beyond.txt: region 4; expected 0 to 3"),
        (
            {"connectivity": "./oriented.zip", "monitors": [eeg(mapping="./short.txt")]},
            "monitors[0].region_mapping.from_file",
            "./short.txt: no region above 2; expected all of 0 to 3",
        ),
        (
            {
                "connectivity": {
                    "weights": [[0.0] * 4] * 4, "tract_lengths": [[0.0] * 4] * 4, "centres": [[1.0] * 3] * 4,
                    "region_labels": list("ABCD"), "orientations": [[1.0, 0.0, 0.0]] * 4,
                },
                "monitors": [eeg()],
            },
            "monitors[0]",
            "the connectivity has no cortical",
        ),
        ({"monitors": [{"class": "SpatialAverage", "default_mask": "CORTICAL"}]},
         "monitors[0].default_mask", "no cortical"),
        ({"monitors": [{"class": "SpatialAverage", "spatial_mask": [0, 0, 1]}]},
         "monitors[0].spatial_mask", "3 values; expected one for each of the 4 regions"),
        ({"surface": surface("./mapping.txt")}, "surface.region_mapping_data.from_file", "40 vertices; expected 1082"),
        ({"connectivity": {"weights": [[0.0, 1.0]], "tract_lengths": [[0.0, 1.0]], "centres": [[1.0, 2.0, 3.0]] * 2,
                           "region_labels": ["A", "B"]}}, "connectivity", "weights: 1 x 2"),
        ({"connectivity": {"weights": [[0.0, 1.0]] * 2, "tract_lengths": [[0.0, -1.0]] * 2,
                           "centres": [[1.0, 2.0, 3.0]] * 2, "region_labels": ["A", "B"]}},
         "connectivity", "tract_lengths: -1 in row 1, column 2"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused_with_the_persons_own_names(arrays, changes, path, words) -> None:
    shutil.copy(DATA / "surfaceData" / "scalp_1082.zip", arrays / "surface.zip")

    with pytest.raises(SpecError) as caught:
        looked(arrays, **{"connectivity": "./four.zip", "model": MODEL, **changes})

    assert caught.value.path == path
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**MODEL, "a": {"from_file": "./four.npy"}}},
        {"initial_conditions": {"from_file": "./start.npy"}},
        {"stimulus": {**WEIGHT, "weight": {"from_file": "./four.npy"}}},
        {"monitors": [{"class": "SpatialAverage", "spatial_mask": [0, 0, 1, 1]}]},
        {"monitors": [{"class": "SpatialAverage", "default_mask": "HEMISPHERES"}]},
        {"connectivity": "./oriented.zip", "monitors": [eeg()]},
    ],
)
def test_arrays_that_fit_pass(arrays, changes) -> None:
    assert looked(arrays, **{"connectivity": "./four.zip", "model": MODEL, **changes}) == []


# -------------------------------------------------------------------------------------------------------- names


def test_a_files_name_is_kept_and_decides_nothing(tmp_path, settings) -> None:
    write_zip(tmp_path / "sub-01.zip")
    shutil.copy(tmp_path / "sub-01.zip", tmp_path / "copy.zip")
    plans = [{"connectivity": [f"./{name}.zip"], "coupling.a": [0.1]} for name in ("sub-01", "copy")]

    first, second = (keep(locate(sweep({**SHORT, "sweep": plan}), tmp_path), settings.storage) for plan in plans)

    [one], [two] = first.points(), second.points()
    assert one.parameters["connectivity"]["file_name"] == "./sub-01.zip"
    assert two.parameters["connectivity"]["file_name"] == "./copy.zip"
    assert one.seed == two.seed
    assert first.parameters_hash(one) == second.parameters_hash(two)
    alone = [
        keep(locate(sweep({**SHORT, "connectivity": f"./{name}.zip"}), tmp_path), settings.storage)
        for name in ("sub-01", "copy")
    ]
    assert alone[0].base.parameters_hash() == alone[1].base.parameters_hash()
    assert alone[0].base != alone[1].base


def test_a_condition_names_files_as_the_spec_does(tmp_path, settings) -> None:
    for name in ("a", "b"):
        write_zip(tmp_path / f"{name}.zip", regions=4 if name == "a" else 5)
    plan = {"connectivity": ["./a.zip", "./b.zip"], "where": "connectivity != './a.zip'"}

    kept = keep(locate(sweep({**SHORT, "sweep": plan}), tmp_path), settings.storage)

    assert [point.parameters["connectivity"]["file_name"] for point in kept.points()] == ["./b.zip"]


def test_filters_find_a_subject_by_its_file(tmp_path, settings, catalogue) -> None:
    for name in ("a", "b"):
        write_zip(tmp_path / "subjects" / f"{name}.zip", regions=4 if name == "a" else 5)
    swept = {"sweep": {"connectivity": ["./subjects/a.zip", "./subjects/b.zip", "connectivity_68.zip"]}}
    for changes in (swept, {"connectivity": "./subjects/a.zip"}):
        catalogue.add_sweep(keep(locate(sweep({**SHORT, **changes}), tmp_path), settings.storage))

    def found(name: str) -> int:
        return catalogue.count(where=f'connectivity = "{name}"')

    assert [found(name) for name in ("subjects/a.zip", "subjects/b.zip", "connectivity_68.zip", "c.zip")] == [
        2,
        1,
        1,
        0,
    ]


@pytest.mark.parametrize("name", ["UPPER.ZIP", "Mixed.Zip"])
def test_suffixes_in_capitals_are_files_too(tmp_path, settings, name) -> None:
    write_zip(tmp_path / name)

    kept = keep(locate(sweep({**SHORT, "connectivity": f"./{name}"}), tmp_path), settings.storage)

    assert kept.base.connectivity["from_file"].endswith(".zip")
    assert look(kept, settings.storage) == []

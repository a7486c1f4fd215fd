"""Short labels of objects, files and long arrays: equal ones have equal labels, and others differ."""

import pytest
from conftest import SHORT

from tvb_batch.models.spec.labels import label, whole_label
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.models.spec.titles import fill

KEPT = f"inputs/{'3f2a1b' + '0' * 58}.zip"


def connectivity(weight: float, regions: int = 6) -> dict:
    return {
        "class": "Connectivity", "weights": [[weight] * regions] * regions, "centres": [[0.0, 0.0, 0.0]] * regions,
        "tract_lengths": [[1.0] * regions] * regions, "region_labels": [f"R{index}" for index in range(regions)],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        ([0.1, 0.2], "[0.1, 0.2]"),
        ({"class": "Connectivity", "from_file": "connectivity_76.zip"}, "connectivity_76.zip"),
        ({"class": "Connectivity", "from_file": KEPT, "file_name": "./sub-01.zip"}, "sub-01.zip"),
        ({"class": "Connectivity", "from_file": KEPT, "file_name": "../a/sub-01.zip"}, "../a/sub-01.zip"),
        ({"from_file": KEPT}, "array 3f2a1b"),
        ({"class": "Linear", "a": [0.5]}, "Linear(a=0.5)"),
        ([{"class": "Raw"}, {"class": "Bold"}], "Raw+Bold"),
    ],
)
def test_a_value_has_a_label(value, expected) -> None:
    assert label(value) == expected


def test_objects_are_distinguished_by_their_content() -> None:
    one, same, other = label(connectivity(0.1)), label(connectivity(0.1)), label(connectivity(0.2))

    assert one == same != other
    assert one.startswith("Connectivity 6 regions ")
    assert len(one) == len("Connectivity 6 regions 3f2a1b")


def test_long_arrays_are_shown_by_their_shape_and_content() -> None:
    one, other = label([float(index) for index in range(76)]), label([float(index + 1) for index in range(76)])

    assert one.startswith("76 values ")
    assert one != other
    assert label([[[[0.0] * 1] * 76] * 2]).startswith("1 x 2 x 76 x 1 values ")
    assert label({"class": "Generic2dOscillator", "a": [0.5] * 76}).startswith("Generic2dOscillator(a=76 values ")


def test_a_long_path_is_cut_where_it_is_shown_and_whole_where_it_is_compared() -> None:
    section = {"class": "Connectivity", "from_file": KEPT, "file_name": f"/data/{'long/' * 30}sub-01.zip"}

    assert label(section).endswith("long/sub-01.zip")
    assert len(label(section)) == 60
    assert whole_label(section) == section["file_name"]


def test_rows_and_titles_have_labels() -> None:
    plan = {"connectivity": [connectivity(0.1), connectivity(0.2)], "model.a": [[0.1] * 6, [0.2] * 6]}

    spec = sweep({**SHORT, "title": "{connectivity}", "sweep": plan})

    for point in spec.points():
        rows = spec.indexed(point)
        assert rows["connectivity"] == label(point.parameters["connectivity"])
        assert max(len(str(value)) for value in rows.values()) < 60
        made = spec.simulation(point)
        assert fill(made.title, made.words()) == rows["connectivity"]
    assert spec.shared().get("connectivity") is None
    assert sweep(SHORT).shared()["connectivity"] == "connectivity_76.zip"

"""Runs and bundles of format tvb1: the same numbers, in files for TVB 1.4 to 1.5, from the spec to the ZIP."""

import shutil
import zipfile
from datetime import timedelta
from uuid import uuid4

import h5py
import numpy as np
import pytest
from commands import assert_refused, spec_file
from conftest import SHORT

from tvb_batch.models.errors import OutputError, SpecError
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.sweep import sweep
from tvb_batch.submit.api.results import TimeSeries
from tvb_batch.submit.bundles.tvb1_bundle import make_tvb1_bundle
from tvb_batch.submit.bundles.tvb2_bundle import make_bundles
from tvb_batch.worker.h5.tvb1.tvb1_convert import convert, write_source
from tvb_batch.worker.job.run import run_job
from tvb_batch.worker.tools.gui_check import faults
from tvb_batch.worker.tools.rerun import rerun

MONITORS = [{"class": "TemporalAverage", "period": 1.0}, {"class": "GlobalAverage", "period": 2.0}]


def ran(settings, catalogue, name: str = "t", **changes):
    """Return a sweep of finished jobs, and their outputs."""
    made = catalogue.add_sweep(sweep({**SHORT, "name": name, "monitors": MONITORS, **changes}), reuse=False)
    for job in catalogue.jobs(sweep=made.gid):
        run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    return made, catalogue.outputs([job.gid for job in catalogue.jobs(sweep=made.gid)])


def test_the_numbers_are_those_of_a_tvb2_run(settings, catalogue) -> None:
    one, tvb2 = ran(settings, catalogue)
    other, tvb1 = ran(settings, catalogue, format="tvb1")
    [first], [second] = catalogue.jobs(sweep=one.gid), catalogue.jobs(sweep=other.gid)

    assert first.parameters_hash == second.parameters_hash
    assert catalogue.metrics([first.gid])[first.gid] == catalogue.metrics([second.gid])[second.gid]
    assert [output.format for output in tvb1] == ["tvb1", "tvb1"]
    for a, b in zip(tvb2, tvb1, strict=True):
        assert (a.datatype, a.shape, a.is_nan) == (b.datatype, b.shape, b.is_nan)
        with h5py.File(settings.storage.absolute(a.path)) as x, h5py.File(settings.storage.absolute(b.path)) as y:
            np.testing.assert_array_equal(x["data"][()], y["data"][()])
            np.testing.assert_array_equal(x["time"][()], y["time"][()])


def test_every_file_is_readable_by_tvb_1_and_no_other_file_is_left(settings, catalogue) -> None:
    _, outputs = ran(settings, catalogue, format="tvb1", title="a title: ä", subject="S 1")
    paths = [settings.storage.absolute(output.path) for output in outputs]
    [connectivity] = {settings.storage.absolute(path) for output in outputs for path in output.refers_to}

    assert [fault for path in [*paths, connectivity] for fault in faults(path)] == []
    assert sorted(paths[0].parent.iterdir()) == sorted(paths)
    with h5py.File(connectivity) as file, h5py.File(paths[0]) as series:
        assert series.attrs["TVB_Connectivity"] == file.attrs["TVB_Gid"]
        assert series.attrs["TVB_Type"] == "TimeSeriesRegion"
    for output, path in zip(outputs, paths, strict=True):
        assert output.bytes == path.stat().st_size


def test_a_result_runs_again_from_its_file(settings, catalogue, tmp_path) -> None:
    _, outputs = ran(settings, catalogue, format="tvb1")

    for output in outputs:
        found = rerun(settings.storage.absolute(output.path), load_settings(data_dir=tmp_path / "elsewhere"))

        assert (found.samples, found.different) == (output.shape[0], 0)


def test_a_notebook_reads_a_tvb1_file_like_a_tvb2_file(settings, catalogue) -> None:
    _, [output, _] = ran(settings, catalogue, format="tvb1", title="a title")

    with TimeSeries(settings.storage.absolute(output.path)) as series:
        assert series.attributes["title"] == "a title"
        assert series.attributes["sample_period"] == 1.0
        assert series.attributes["labels_ordering"] == ["Time", "State Variable", "Region", "Mode"]
        assert series.spec["format"] == "tvb1"


def test_results_of_the_other_format_are_not_reused(settings, catalogue) -> None:
    ran(settings, catalogue)
    tvb1 = {**SHORT, "name": "t", "monitors": MONITORS, "format": "tvb1"}
    first = catalogue.add_sweep(sweep(tvb1))
    [job] = catalogue.jobs(sweep=first.gid)
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))

    second = catalogue.add_sweep(sweep(tvb1))

    assert job.status == "PENDING"
    assert catalogue.jobs(sweep=second.gid)[0].status == "FINISHED"
    assert {output.format for output in catalogue.outputs([catalogue.jobs(sweep=second.gid)[0].gid])} == {"tvb1"}


def test_a_conversion_that_fails_leaves_no_file(settings, catalogue, monkeypatch) -> None:
    def half(source, target) -> None:
        write_source(source, target)
        raise OutputError(f"{target}: the disk is full")

    monkeypatch.setattr("tvb_batch.worker.h5.tvb1.tvb1_convert.write_source", half)

    with pytest.raises(OutputError, match="the disk is full"):
        ran(settings, catalogue, format="tvb1")

    left = [path for path in (settings.data_dir / "outputs").rglob("*") if path.is_file()]
    assert left == []


EEG = {
    "class": "EEG",
    "period": 1.0,
    "sensors": "eeg_brainstorm_65.txt",
    "projection": "projection_eeg_65_surface_16k.npy",
}
CORTEX = {"region_mapping_data": {"from_file": "regionMapping_16k_76.txt", "surface": "cortex_16384.zip"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "tvb3"}, "format: 'tvb3'"),
        ({"monitors": [MONITORS[0], EEG]}, r"monitors\[1\].class: EEG, whose TimeSeriesEEG"),
        ({"surface": CORTEX}, r"monitors\[0\].class: TemporalAverage, whose TimeSeriesSurface"),
    ],
    ids=["unknown", "sensors", "surface"],
)
def test_a_spec_without_a_tvb1_file_is_refused(changes, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        sweep({**SHORT, "format": "tvb1", **changes})


def test_the_average_of_a_surface_has_a_tvb1_file() -> None:
    assert sweep({**SHORT, "format": "tvb1", "surface": CORTEX, "monitors": [MONITORS[1]]}).size == 1


# -------------------------------------------------------------------------------------------------------------- bundles


@pytest.mark.parametrize("written", ["tvb1", "tvb2"])
def test_a_sweep_of_either_format_becomes_one_zip(settings, catalogue, tmp_path, written: str) -> None:
    made, outputs = ran(settings, catalogue, format=written, sweep={"coupling.a": [0.01, 0.02]})

    path = make_tvb1_bundle(catalogue, [made], settings, tmp_path / "x.zip")

    assert faults(path) == []
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    assert sorted(name.partition("_")[0] for name in names) == [
        "Connectivity", "CorticalSurface", "Operation.xml", "RegionMapping", "TimeSeries", "TimeSeries", "TimeSeriesRegion", "TimeSeriesRegion",
    ]  # fmt: skip
    assert {f"{output.datatype}_{output.gid}.h5" for output in outputs} < set(names)


@pytest.mark.parametrize("written", ["tvb1", "tvb2"])
def test_a_bundle_refers_to_datatypes_of_the_project(settings, catalogue, tmp_path, written: str) -> None:
    made, _ = ran(settings, catalogue, format=written)
    connectivity, mapping = uuid4(), uuid4()

    path = make_tvb1_bundle(
        catalogue, [made], settings, tmp_path / "x.zip", connectivity_gid=connectivity, region_mapping_gid=mapping
    )

    with zipfile.ZipFile(path) as archive:
        [name] = [name for name in archive.namelist() if "TimeSeriesRegion_" in name]
        assert not any("Connectivity_" in name for name in archive.namelist())
        archive.extract(name, tmp_path)
    with h5py.File(tmp_path / name) as file:
        assert file.attrs["TVB_Connectivity"] == str(connectivity)
        assert file.attrs["TVB_Region_mapping"] == str(mapping)
        assert file.attrs["TVB_Has_surface_mapping"] == "true"


def test_a_tvb1_file_gets_other_references_and_keeps_the_rest(settings, catalogue, tmp_path) -> None:
    _, [output, _] = ran(settings, catalogue, format="tvb1")
    source, connectivity = settings.storage.absolute(output.path), uuid4()

    convert(source, tmp_path / "x.h5", connectivity_gid=connectivity)

    assert faults(tmp_path / "x.h5") == []
    with h5py.File(source) as one, h5py.File(tmp_path / "x.h5") as other:
        assert other.attrs["TVB_Connectivity"] == str(connectivity)
        changed = {name for name in one.attrs if one.attrs[name] != other.attrs[name]}
        assert changed == {"TVB_Connectivity"}
        np.testing.assert_array_equal(one["data"][()], other["data"][()])


def test_a_damaged_tvb1_file_is_not_bundled(settings, catalogue, tmp_path) -> None:
    made, [output, _] = ran(settings, catalogue, format="tvb1")
    with h5py.File(settings.storage.absolute(output.path), "r+") as file:
        del file.attrs["TVB_Title"]

    with pytest.raises(Exception, match="TVB_Title: missing"):
        make_tvb1_bundle(catalogue, [made], settings, tmp_path / "x.zip")

    assert list(tmp_path.glob("x.zip*")) == []


def test_files_for_tvb_1_are_not_bundled_for_tvb_2(settings, catalogue, tmp_path) -> None:
    made, _ = ran(settings, catalogue, format="tvb1")

    with pytest.raises(OutputError, match="bundle it with --format tvb1"):
        make_bundles(catalogue, [made], settings, tmp_path / "x.zip")


def test_the_command_line_runs_and_bundles_for_tvb_1(tvb_batch, settings, catalogue, tmp_path) -> None:
    spec = spec_file(tmp_path, name="c")

    submitted = tvb_batch("submit", spec, "--format", "tvb1")
    assert submitted.exit_code == 0, submitted.output
    [job] = catalogue.jobs()
    run_job(catalogue, settings, catalogue.claim(job.gid, "w", timedelta(seconds=60)))
    bundled = tvb_batch("bundle", "c", "--format", "tvb1", "-o", str(tmp_path / "c.zip"))

    assert bundled.exit_code == 0, bundled.output
    assert tvb_batch("verify", str(tmp_path / "c.zip")).stdout == "1 file OK\n"
    assert_refused(tvb_batch("bundle", "c", "-o", str(tmp_path / "d.zip")), "--format tvb1")
    wrong = tvb_batch("bundle", "c", "--format", "tvb1", "--as", "pse", "-o", str(tmp_path / "d.zip"))
    assert (wrong.exit_code, "bundles only time series" in wrong.stderr) == (2, True)
    wrong = tvb_batch("bundle", "c", "--connectivity-gid", str(uuid4()), "-o", str(tmp_path / "d.zip"))
    assert (wrong.exit_code, "--format tvb1" in wrong.stderr) == (2, True)
    shutil.rmtree(settings.data_dir / "outputs")
    assert_refused(tvb_batch("bundle", "c", "--format", "tvb1", "-o", str(tmp_path / "d.zip")), "no such file")
    waiting = tvb_batch("run", "--format", "tvb1")
    assert (waiting.exit_code, "give a SPEC" in waiting.stderr) == (2, True)


@pytest.mark.parametrize("name", ["connectivity_66.zip", "connectivity_68.zip"])
def test_a_connectivity_without_areas_and_orientations_is_converted(settings, catalogue, tmp_path, name: str) -> None:
    made, outputs = ran(settings, catalogue, connectivity=name)
    [source] = {settings.storage.absolute(path) for output in outputs for path in output.refers_to}
    with h5py.File(source) as file:
        # As TVB writes what is not known, and h5py divides it into chunks.
        assert {name: (file[name].size, bool(file[name].chunks)) for name in ("areas", "cortical")} == {
            "areas": (0, True), "cortical": (0, True),
        }  # fmt: skip

    target = make_tvb1_bundle(catalogue, [made], settings, tmp_path / "t.zip")

    assert faults(target) == []
    convert(source, tmp_path / "new.h5")
    with h5py.File(tmp_path / "new.h5") as file:
        assert not {"areas", "cortical"} & set(file)
        assert "weights" in file
    assert faults(tmp_path / "new.h5") == []


@pytest.mark.parametrize("file_format", ["tvb2", "tvb1"])
def test_the_zip_has_the_region_mapping_of_a_known_connectivity(settings, catalogue, tmp_path, file_format) -> None:
    made, _ = ran(settings, catalogue, format=file_format)

    target = make_tvb1_bundle(catalogue, [made], settings, tmp_path / "t.zip")

    assert faults(target) == []
    with zipfile.ZipFile(target) as archive:
        archive.extractall(tmp_path / "members")
    found = {path.stem.partition("_")[0]: path for path in (tmp_path / "members").rglob("*.h5")}
    with (
        h5py.File(found["TimeSeriesRegion"]) as series,
        h5py.File(found["RegionMapping"]) as mapping,
        h5py.File(found["CorticalSurface"]) as surface,
        h5py.File(found["Connectivity"]) as connectivity,
    ):
        assert series.attrs["TVB_Region_mapping"] == mapping.attrs["TVB_Gid"]
        assert series.attrs["TVB_Has_surface_mapping"] == "true"
        assert mapping.attrs["TVB_Connectivity"] == connectivity.attrs["TVB_Gid"] == series.attrs["TVB_Connectivity"]
        assert mapping.attrs["TVB_Surface"] == surface.attrs["TVB_Gid"]
        assert mapping["array_data"].shape == surface["vertices"].shape[:1] == (16384,)
        assert len(np.unique(mapping["array_data"])) == connectivity["weights"].shape[0]

"""Converts tvb2 files to format tvb1, for TVB 1.4 to 1.5.x.

One block of a series is in memory at a time. A file appears complete or not at all, and is checked first. TVB 1 has no
urn, no Unicode and fewer datatypes: see `worker.h5.tvb1.tvb1_format`. `worker.h5.tvb1.tvb1_zip` writes the ZIP.
"""

import contextlib
import json
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

import h5py
import numpy as np

from tvb_batch.models.errors import InputError, OutputError
from tvb_batch.models.paths import part
from tvb_batch.models.tvb.array_rules import as_ascii
from tvb_batch.models.tvb.h5_guard import open_h5
from tvb_batch.models.worker_protocol import ConvertToTvb1
from tvb_batch.worker.h5 import tvb2
from tvb_batch.worker.h5.formats import FORMATS
from tvb_batch.worker.h5.seal import is_as_sealed, is_right_once, seal
from tvb_batch.worker.h5.tvb1.tvb1_faults import tvb1_faults
from tvb_batch.worker.h5.tvb1.tvb1_format import (
    DATA_VERSION,
    DATASETS,
    MODULES,
    OPTIONAL_DATASETS,
    STATISTICS,
    as_json,
    write_attributes,
)
from tvb_batch.worker.h5.tvb1.tvb1_sources import SourceFile, linked, read_tvb1, write_again
from tvb_batch.worker.h5.validation.file_faults import DAMAGE, reason
from tvb_batch.worker.h5.verify import as_output_error, portions, publish
from tvb_batch.worker.program import run_program

#: Datatypes that have another name in `worker.h5.validation.formats`.
_TVB2_NAMES = {"CorticalSurface": "Surface"}
#: The type of the surfaces that TVB 1 gets.
_CORTEX = "Cortical Surface"


def convert(
    source: Path, target: Path, *, connectivity_gid: UUID | None = None, region_mapping_gid: UUID | None = None
) -> Path:
    """Write the file `source` as tvb1; return `target`. A source in tvb1 gets new references.

    Parameters
    ----------
    connectivity_gid : for a TimeSeriesRegion, a Connectivity in the TVB 1 project; by default the one that `source`
        names, which must then be imported first
    region_mapping_gid : for a TimeSeriesRegion, a RegionMapping in the project; by default none, because TVB 1 refuses
        one that is not in the project

    Raises
    ------
    InputError
        TVB 1 has no such datatype, or this program does not write it.
    OutputError
        The source is damaged, or the target cannot be written.
    """
    _convert(linked(read_source(source), connectivity_gid, region_mapping_gid), target)
    return target


def _convert(found: SourceFile, target: Path, *, is_sealed: bool = False) -> None:
    # Several workers may do this at once: each writes its own file, and the last rename wins with the same content.
    unfinished = target.with_name(f"{target.name}.{uuid4().hex}.part")
    try:
        with as_output_error(target, ""):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_source(found, unfinished)
        if is_sealed:
            with as_output_error(unfinished, ""):
                seal(unfinished, target)
        publish(unfinished, target)
    finally:
        # Ignore errors here, so that the first error is raised.
        with contextlib.suppress(OSError):
            unfinished.unlink()


def as_tvb1(unfinished: Path) -> Path:
    """Write the unfinished series of a job as tvb1 beside it; return the path of the new, unfinished file.

    Raises
    ------
    OutputError
        The source is damaged, or the target cannot be written.
    """
    target = part(unfinished)
    write_source(read_source(unfinished), target)
    return target


def write_connectivity(source: Path, target: Path) -> Path:
    """Write the tvb2 file of a Connectivity as tvb1, unless it exists and is right; return `target`.

    Raises
    ------
    OutputError
        The source is damaged, or the target cannot be written.
    """
    if not is_right_once(target, lambda path: bool(is_as_sealed(path))):
        _convert(read_source(source), target, is_sealed=True)
    return target


# ------------------------------------------------------------------------------------------------------- what is asked


def read_source(path: Path) -> SourceFile:
    """Read the header of the file at `path`, tvb2 or tvb1.

    Raises
    ------
    InputError
        TVB 1 has no such datatype, or this program does not write it.
    OutputError
        It is damaged.
    """
    with _opened(path) as file:
        if "TVB_Type" in file.attrs:
            return read_tvb1(path, file)
        written_by = _text(path, file, "written_by")
        known = {FORMATS[_TVB2_NAMES.get(name, name)].written_by: name for name in MODULES}
        if written_by not in known:
            raise InputError(
                f"{path}: cannot convert {written_by.rpartition('.')[2].removesuffix('H5')} to TVB 1; "
                f"expected one of {', '.join(MODULES)}"
            )
        datatype = known[written_by]
        surface = _text(path, file, "surface_type") if datatype == "CorticalSurface" else _CORTEX
        if surface != _CORTEX:
            raise InputError(f"{path}: cannot convert a surface of type {surface!r} to TVB 1; expected {_CORTEX!r}")
        refers = datatype in ("TimeSeriesRegion", "RegionMapping")
        connectivity = _gid(path, file, "connectivity") if refers else None
        created = _parsed(path, file, "create_date", lambda text: datetime.strptime(text, tvb2.DATE_FORMAT))
        return SourceFile(path, datatype, _gid(path, file, "gid"), created, connectivity)


# ------------------------------------------------------------------------------------------------------ what is written


def write_source(source: SourceFile, target: Path) -> None:
    """Write the tvb1 file of one source under an unfinished name, and check it.

    Raises
    ------
    OutputError
        The source is damaged, or the target cannot be written.
    """
    if source.is_tvb1:
        write_again(source, target)
    else:
        _write_converted(source, target)
    with _opened(target) as new:
        for fault in tvb1_faults(new):
            raise OutputError(f"{target}::{fault}")


def _write_converted(source: SourceFile, target: Path) -> None:
    # Only features that the HDF5 library of TVB 1 can read.
    with (
        _opened(source.path) as file,
        as_output_error(target, ""),
        h5py.File(target, "w", libver=("earliest", "v110")) as new,
    ):
        write_attributes(new, _common(source, file))
        writers = {
            "Connectivity": _write_connectivity,
            "CorticalSurface": _write_surface,
            "RegionMapping": _write_mapping,
        }
        writers.get(source.datatype, _write_series)(source, file, new)
        with _reading(source.path, tvb2.PROVENANCE):
            if tvb2.PROVENANCE in file:
                file.copy(tvb2.PROVENANCE, new)


def _common(source: SourceFile, file: h5py.File) -> dict[str, object]:
    tags = {f"User_tag_{number}": _text(source.path, file, f"user_tag_{number}") for number in range(1, 6)}
    flags = {name.capitalize(): _text(source.path, file, name) for name in ("visible", "invalid", "is_nan")}
    return {
        "Type": source.datatype,
        "Module": MODULES[source.datatype],
        "Data_version": DATA_VERSION,
        "Gid": source.gid,
        "State": _text(source.path, file, "state"),
        "Subject": _text(source.path, file, "subject"),
        "Create_date": source.created,
        **flags,
        **tags,
    }


def _write_series(source: SourceFile, file: h5py.File, new: h5py.File) -> None:
    path = source.path
    for name in DATASETS[source.datatype]:
        _stream(path, _dataset(path, file, name), new)
    shape = new["data"].shape
    period = _parsed(path, file, "sample_period", float)
    values = {
        "Title": _text(path, file, "title"),
        "Sample_period": period,
        # TVB 1 counts samples in the unit of the period.
        "Sample_rate": 1.0 / period,
        "Sample_period_unit": _text(path, file, "sample_period_unit"),
        "Start_time": _parsed(path, file, "start_time", float),
        "Nr_dimensions": len(shape),
        **{f"Length_{number}d": int(length) for number, length in enumerate(shape[:4], start=1)},
        "Has_surface_mapping": source.region_mapping is not None,
        "Has_volume_mapping": False,
    }
    write_attributes(new, {name: as_json(value) for name, value in values.items()})
    # Already JSON, but maybe not ASCII.
    names = ("labels_ordering", "labels_dimensions")
    labels = {name.capitalize(): as_json(_parsed(path, file, name, json.loads)) for name in names}
    links = {"Connectivity": source.connectivity, "Region_mapping": source.region_mapping}
    write_attributes(new, {**labels, **links})


def _write_connectivity(source: SourceFile, file: h5py.File, new: h5py.File) -> None:
    path = source.path
    for name, dataset in _datasets(source, file):
        if dataset.dtype.kind == "O":
            with _reading(path, name):
                texts = [as_ascii(str(text)) for text in dataset.asstr()[()]]
            new.create_dataset(name, data=np.array(texts, dtype="S"))
        else:
            _stream(path, dataset, new)
    values = {
        "Number_of_regions": _parsed(path, file, "number_of_regions", int),
        "Number_of_connections": _parsed(path, file, "number_of_connections", int),
        "Undirected": int(_text(path, file, "undirected", "bool:False") == "bool:True"),
    }
    write_attributes(new, {name: as_json(value) for name, value in values.items()})
    write_attributes(new, {"Saved_selection": _text(path, file, "saved_selection", "[]")})


def _write_surface(source: SourceFile, file: h5py.File, new: h5py.File) -> None:
    path = source.path
    for _, dataset in _datasets(source, file):
        _stream(path, dataset, new)
    counts = ("number_of_vertices", "number_of_triangles", "number_of_split_slices")
    flags = ("bi_hemispheric", "zero_based_triangles", "valid_for_simulations")
    values = {
        **{name: _parsed(path, file, name, int) for name in counts},
        **{
            name: _parsed(path, file, name, float)
            for name in ("edge_mean_length", "edge_min_length", "edge_max_length")
        },
        **{name: _text(path, file, name) == "bool:True" for name in flags},
        "split_slices": _parsed(path, file, "split_slices", json.loads),
        "surface_type": _text(path, file, "surface_type"),
    }
    write_attributes(new, {name.capitalize(): as_json(value) for name, value in values.items()})


def _write_mapping(source: SourceFile, file: h5py.File, new: h5py.File) -> None:
    path = source.path
    [(_, mapping)] = _datasets(source, file)
    _stream(path, mapping, new)
    unused = dict.fromkeys(("Length_2d", "Length_3d", "Length_4d"), 0)
    values = {
        "Title": "",
        "Label_x": "",
        "Label_y": "",
        "Nr_dimensions": mapping.ndim,
        "Length_1d": len(mapping),
        **unused,
    }
    write_attributes(new, {name: as_json(value) for name, value in values.items()})
    write_attributes(new, {"Connectivity": source.connectivity, "Surface": _gid(path, file, "surface")})


def _datasets(source: SourceFile, file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the datasets that TVB 1 gets. It gets no empty ones: TVB writes them for what is not known."""
    for name in DATASETS[source.datatype]:
        yield name, _dataset(source.path, file, name)
    for name in OPTIONAL_DATASETS.get(source.datatype, ()):
        if name in file and (dataset := _dataset(source.path, file, name)).size:
            yield name, dataset


def _stream(path: Path, dataset: h5py.Dataset, new: h5py.File) -> None:
    """Copy a dataset of numbers block by block, and add its statistics."""
    copy = new.create_dataset(
        dataset.name, dataset.shape, dataset.dtype, maxshape=dataset.maxshape,
        chunks=dataset.chunks if dataset.size else None,  # A chunk must not be larger than the data.
    )  # fmt: skip
    statistics = tvb2.ArrayStatistics()
    for rows in portions(dataset):
        with _reading(path, dataset.name[1:]):
            block = dataset[rows]
        copy[rows] = block
        statistics.add(block)
    if dataset.size:
        found = statistics.attributes()
        copy.attrs.update({name: found[name] for name in STATISTICS})


# ------------------------------------------------------------------------------------------------------ what is read


def _opened(path: Path) -> h5py.File:
    try:
        return open_h5(path)
    except DAMAGE as exc:
        raise OutputError(f"{path}: not a readable H5 file ({reason(exc)})") from exc


@contextlib.contextmanager
def _reading(path: Path, key: str) -> Iterator[None]:
    """Raise h5py's errors of damaged files as OutputError."""
    try:
        yield
    except DAMAGE as exc:
        raise OutputError(f"{path}::{key}: cannot be read ({reason(exc)})") from exc


def _dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    with _reading(path, name):
        dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise OutputError(f"{path}::{name}: missing")
    return dataset


def _text(path: Path, file: h5py.File, name: str, default: str | None = None) -> str:
    with _reading(path, f"TVB_{name}"):
        found = file.attrs.get(f"TVB_{name}", default)
    if found is None:
        raise OutputError(f"{path}::TVB_{name}: missing")
    return str(found)


def _gid(path: Path, file: h5py.File, name: str) -> UUID:
    found: UUID = _parsed(path, file, name, UUID)
    return found


def _parsed(path: Path, file: h5py.File, name: str, parse: Any) -> Any:
    text = _text(path, file, name)
    try:
        return parse(text)
    except ValueError as exc:
        raise OutputError(f"{path}::TVB_{name}: {text!r} cannot be read") from exc


def answer(request: ConvertToTvb1, _: TextIO) -> None:
    """Convert the file that a client names."""
    convert(
        request.source, request.target,
        connectivity_gid=request.connectivity_gid, region_mapping_gid=request.region_mapping_gid,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(run_program(ConvertToTvb1, answer))

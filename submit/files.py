"""The files that a spec names: found beside the spec, looked into, and copied to where the workers read them.

Called by `submit.spec_file` and `submit.enqueue`. Looks into files only as far as that costs nothing: what TVB makes of
them is seen when the first simulation is built.
"""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from models.components import connectivities
from models.errors import InputError, SpecError
from models.fit import check_shapes, count_regions
from models.input_files import check_file
from models.inputs import Inputs
from models.paths import Storage
from models.spec import SimulationSpec
from models.sweep import SweepSpec

#: How often looking for numbers in a mapping is worth it. Bytes.
_MOST_LOOKED_INTO = 64 * 2**20


def locate(spec: SweepSpec, directory: Path) -> SweepSpec:
    """The same sweep with absolute paths, each of a file that is there and opens as what its name says.

    Parameters
    ----------
    directory : what paths of the spec are relative to

    Raises
    ------
    SpecError
        A file is missing or damaged, or does not fit the rest of the spec.
    """

    def place(path: str, file: str) -> str:
        found = (directory / _home(file)).absolute()
        if not found.is_file():
            raise SpecError(path, repr(file), "a file that is there", f"looked for {str(found)!r}")
        try:
            check_file(found)
        except InputError as exc:
            raise SpecError(path, str(exc).split("; expected")[0], "a whole file of TVB's formats") from exc
        except OSError as exc:
            raise SpecError(path, f"{file}: {exc.strerror}", "a file that can be read") from exc
        return str(found)

    located = spec.with_files(place)
    _check_fit(located.base)
    return located


def keep(spec: SweepSpec, storage: Storage) -> SweepSpec:
    """The same sweep, its files copied to the shared storage under the names of their content.

    Raises
    ------
    InputError
        A file cannot be read, or was kept and is gone.
    OutputError
        The data directory cannot be written.
    """
    inputs = Inputs(storage)

    def place(_: str, file: str) -> str:
        if Path(file).is_absolute():
            return inputs.keep(Path(file))
        # It is kept already, and named relative to the storage.
        if not inputs.reserve(file):
            raise InputError(f"{file}: no such file in {storage.root} any more; make the spec again")
        return file

    return spec.with_files(place)


def _check_fit(spec: SimulationSpec) -> None:
    """What is known only once the files are there: how many regions, and which ones a mapping names."""
    regions = count_regions(spec.connectivity) or _regions_of(spec.connectivity)
    if regions is None:
        return
    check_shapes(spec, regions)
    mapping = spec.surface["region_mapping_data"] if spec.surface is not None else {}
    absent = [index for index in _indices_of(mapping) if not 0 <= index < regions]
    if absent:
        raise SpecError(
            "surface.region_mapping_data.from_file", f"region {absent[0]}", f"0 to {regions - 1}, the connectivity's"
        )


def _regions_of(connectivity: dict[str, Any]) -> int | None:
    """How many lines the weights of a TVB zip have."""
    path = Path(connectivity.get("from_file", ""))
    if path.suffix != ".zip":
        return None
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if re.search(r"(^|/)[^/]*weights[^/]*\.txt$", name)]
        if not any("weights" in name for name in archive.namelist()):
            raise SpecError(
                "connectivity.from_file", f"{path.name}, without weights", "a TVB connectivity zip: weights, centres, "
                "tract_lengths",
            )  # fmt: skip
        if not names or archive.getinfo(names[0]).file_size > _MOST_LOOKED_INTO:
            return None
        lines = archive.read(names[0]).splitlines()
    return sum(1 for line in lines if line.strip() and not line.lstrip().startswith(b"#"))


def _indices_of(mapping: dict[str, Any]) -> list[int]:
    """The lowest and the highest region that a mapping written as text names."""
    given = mapping.get("array_data")
    if isinstance(given, list):
        return [min(given), max(given)] if given else []
    file = mapping.get("from_file", "")
    if file.startswith("regionMapping_"):
        regions = int(file.rsplit("_", 1)[1].removesuffix(".txt"))  # tvb-data names them so.
        return [regions - 1] if f"connectivity_{regions}.zip" in connectivities() else []
    path = Path(file)
    if path.suffix != ".txt" or path.stat().st_size > _MOST_LOOKED_INTO:
        return []
    import numpy as np

    try:
        with warnings.catch_warnings(action="ignore"):
            indices = np.loadtxt(path, dtype=int)
    except ValueError as exc:
        reason = f"{path.name}: {str(exc).splitlines()[0]}"
        raise SpecError("surface.region_mapping_data.from_file", reason, "one region's index for each vertex") from exc
    return [int(indices.min()), int(indices.max())] if indices.size else []


def _home(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:  # There is no such user.
        return Path(given)

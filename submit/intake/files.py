"""The files of a spec: located beside the spec, checked, and copied to the shared storage."""

from pathlib import Path

from tvb_batch.models.errors import InputError, SpecError
from tvb_batch.models.paths import Storage
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.models.tvb.input_files import check_file
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.intake.file_consistency import check_files
from tvb_batch.submit.intake.file_facts import KEPT, Looked

#: Maximum number of faulty files named besides the first.
_FEW = 5


def locate(spec: SweepSpec, directory: Path, storage: Storage | None = None) -> SweepSpec:
    """Return the sweep with absolute paths of existing files that have the format of their suffix.

    Parameters
    ----------
    directory : the directory for relative paths of the spec
    storage : the storage of files that are already stored

    Raises
    ------
    SpecError
        A file is missing or damaged.
    """
    faults: list[SpecError] = []

    def place(path: str, file: str) -> str:
        if storage is not None and KEPT.fullmatch(file) and (storage.root / file).is_file():
            return file
        found = (directory / _home(file)).absolute()
        try:
            _check_whole(found, path, file)
        except SpecError as exc:
            faults.append(exc)
        return str(found)

    located = spec.with_files(place)
    if faults:
        raise _first(faults)
    return located


def _check_whole(found: Path, path: str, file: str) -> None:
    """Check that a file exists and can be opened; errors name it as in the spec."""
    if found.is_dir():
        raise SpecError(path, f"{file}: a directory", "a file", "make a zip of the files in it")
    if not found.is_file():
        raise SpecError(path, repr(file), "a file that is there", f"looked for {str(found)!r}")
    try:
        check_file(found)
    except InputError as exc:
        fault = str(exc).removeprefix(str(InputError(f"{found}: "))).split("; expected")[0]
        raise SpecError(path, f"{file}: {fault}", "a complete file in one of TVB's formats") from exc
    except OSError as exc:
        raise SpecError(path, f"{file}: {exc.strerror}", "a file that can be read") from exc


def keep(spec: SweepSpec, storage: Storage) -> SweepSpec:
    """Return the sweep with its files copied to the shared storage, named by their content.

    Raises
    ------
    InputError
        A file cannot be read, or a stored file is missing.
    OutputError
        The data directory cannot be written.
    """
    inputs = Inputs(storage)

    def place(_: str, file: str) -> str:
        if Path(file).is_absolute():
            return inputs.keep(Path(file))
        # It is already stored, and its name is relative to the storage.
        if not inputs.reserve(file):
            raise InputError(f"{file}: no such file in {storage.root} any more; make the spec again")
        return file

    return spec.with_files(place)


def look(spec: SweepSpec, storage: Storage | None = None) -> list[str]:
    """Read every file of a sweep once; return a line for each warning.

    Parameters
    ----------
    spec : a sweep whose files are absolute paths or stored files

    Raises
    ------
    SpecError
        TVB would fail on a file or compute nonsense; the message has the first fault and the number of others.
    """
    looked = Looked(storage)
    faults: list[SpecError] = []
    of_base = _fault(spec.base, looked)
    for point, simulation in spec.distinct():
        fault = _fault(simulation, looked)
        if fault is not None:
            # Faults of the base are not reported for a point.
            faults.append(fault if str(fault) == str(of_base) else spec.at_point(fault, point))
    if faults:
        raise _first(faults)
    return looked.warnings()


def _fault(simulation: SimulationSpec, looked: Looked) -> SpecError | None:
    try:
        check_files(simulation, looked)
    except SpecError as exc:
        return exc
    return None


def _first(faults: list[SpecError]) -> SpecError:
    first, *rest = list({str(fault): fault for fault in faults}.values())
    if not rest:
        return first
    names = list(dict.fromkeys(fault.found.split(": ")[0] for fault in rest))
    more = f"; and {len(names) - _FEW} more" if len(names) > _FEW else ""
    also = f"faulty too: {'; '.join(names[:_FEW])}{more}"
    return SpecError(first.path, first.found, first.expected, f"{first.hint}; {also}" if first.hint else also)


def _home(given: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError:  # No such user.
        return Path(given)

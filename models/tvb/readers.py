"""Reads TVB datatypes and sparse matrices from files, as a worker does. Imports TVB inside its functions.

`models.tvb.input_store` calls it with files that it has checked. The client reads files with
`models.tvb.datatype_files`, which shares `h5_values` and imports no TVB.
"""

import copy
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from tvb_batch.models.errors import InputError
from tvb_batch.models.tvb.components import Component
from tvb_batch.models.tvb.h5_guard import open_h5

T = TypeVar("T")


def read_datatype(cls: Any, component: Component, path: Path, from_file: str) -> Any:
    """Return a TVB datatype from a file in one of TVB's formats.

    Parameters
    ----------
    from_file : the file's name in the spec, for messages

    Raises
    ------
    InputError
        The file is damaged, or holds something else.
    """

    def read() -> Any:
        if path.suffix == ".h5":
            return cls(**h5_values(component, path))
        if path.suffix == ".npz" and "matrix" in component.attributes:
            return cls(matrix=read_sparse(path, from_file))
        if path.suffix == ".mat" and component.role == "projection":
            return _from_matlab(cls, path)
        return cls.from_file(str(path))

    return reading(from_file, _expected(component), read)


def read_sparse(path: Path, from_file: str) -> Any:
    """Return the sparse matrix of a .npz file of SciPy.

    Raises
    ------
    InputError
        There is none in it.
    """
    from scipy import sparse

    def read() -> Any:
        with path.open("rb") as file:
            return sparse.load_npz(file)

    return reading(from_file, "a sparse matrix of scipy.sparse.save_npz", read)


#: Connectivities of tvb-data as they were read, by class and file: the package does not change while a process runs.
_READ: dict[tuple[type, str], Any] = {}


def read_shipped(cls: Any, component: Component, from_file: str) -> Any:
    """Return a datatype of tvb-data, a new copy; reading a connectivity takes as long as a short simulation.

    Raises
    ------
    InputError
        tvb-data is damaged.
    """

    def read() -> Any:
        return reading(from_file, _expected(component), lambda: cls.from_file(from_file))

    if component.role != "connectivity":
        return read()
    if (cls, from_file) not in _READ:
        _READ[cls, from_file] = read()
    # Copy each array with its memory order, on which the last bit can depend.
    instance = copy.deepcopy(_READ[cls, from_file])
    instance.gid = uuid4()
    return instance


def _expected(component: Component) -> str:
    return f"a TVB {component.role.replace('_', ' ')}"


def reading(from_file: str, what: str, read: Callable[[], T]) -> T:
    """Return what `read` returns.

    Raises
    ------
    InputError
        The file cannot be read; the message names `from_file` and says that `what` was expected.
    """
    from scipy.io.matlab import MatReadError
    from tvb.basic.readers import ReaderException

    faults = (
        OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError, NotImplementedError,
        zipfile.BadZipFile, zlib.error, ReaderException, MatReadError,
    )  # fmt: skip
    try:
        return read()
    except faults as exc:
        reason = " ".join(str(exc).split())[:200] or type(exc).__name__
        raise InputError(f"{from_file}: TVB cannot read it ({reason}); expected {what}") from exc


def _from_matlab(cls: Any, path: Path) -> Any:
    from scipy.io import whosmat

    names = {name for name, _, _ in whosmat(path)}
    return cls.from_file(str(path), is_brainstorm={"Gain", "GridLoc", "GridOrient"} <= names)


def h5_values(component: Component, path: Path) -> dict[str, Any]:
    """Return the attributes of a datatype in an H5 file of TVB 2 or tvb-batch, without references.

    Raises
    ------
    KeyError
        An attribute that the datatype needs is missing.
    OSError
        It is damaged.
    """
    import h5py

    values: dict[str, Any] = {}
    with open_h5(path) as file:
        for name, attribute in component.attributes.items():
            if attribute.type == "array" and isinstance(file.get(name), h5py.Dataset):
                dataset = file[name]
                if dataset.shape is None:
                    raise ValueError(f"{name}: a dataset without values")
                values[name] = _texts(dataset) if attribute.dtype == "U" else dataset[()]
            elif attribute.type == "bool" and f"TVB_{name}" in file.attrs:
                values[name] = str(file.attrs[f"TVB_{name}"]) == "bool:True"
            elif attribute.type == "float" and f"TVB_{name}" in file.attrs:
                values[name] = float(file.attrs[f"TVB_{name}"])
            elif attribute.type == "sparse" and f"{name}data" in file:
                values[name] = _sparse(file, name)
            elif attribute.type == "array" and attribute.required and attribute.default is None:
                raise KeyError(f"no dataset {name}")
    return values


def _texts(dataset: Any) -> Any:
    """Labels. A file can say one long text many times, and an array gives each of its texts the room of the longest."""
    longest = count = 0
    for start in range(0, len(dataset), _TEXTS):
        texts = dataset.asstr()[start : start + _TEXTS]
        longest, count = max([longest, *map(len, texts)]), count + len(texts)
        if longest * count > _MOST_LETTERS:
            raise ValueError(f"{count} labels of up to {longest} characters")
    return dataset.asstr()[()].astype(str)


#: Rows read at once, and maximum characters of all labels: 16,000 sensors can have names of 1,000.
_TEXTS = 100
_MOST_LETTERS = 2**24


def _sparse(file: Any, name: str) -> Any:
    from scipy import sparse

    parts = tuple(file[f"{name}{part}"][()] for part in ("data", "indices", "indptr"))
    kind = sparse.csr_matrix if file[name].attrs.get("TVB_format") == "csr" else sparse.csc_matrix
    return kind(parts, shape=(len(parts[2]) - 1,) * 2)

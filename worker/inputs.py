"""What a simulation is fed with: connectivities from tvb-data by name, or from the shared storage's `inputs/`.

Called by `worker.run`. Never reads a path that a spec names outside `inputs/`.
"""

import hashlib
import zipfile
from typing import Any
from uuid import UUID, uuid5

import numpy as np

from models.errors import InputError
from models.paths import Storage

#: Connectivities get their gid from their content, so that all jobs on one connectivity refer to one datatype.
CONTENT_NAMESPACE = UUID("6ba2c4a4-8f2a-5f6e-9f61-6d0a5d3c7a11")

_ARRAYS = ("weights", "tract_lengths", "centres", "region_labels", "hemispheres", "cortical", "orientations", "areas")


def load_connectivity(from_file: str, storage: Storage) -> Any:
    """A fresh, configured TVB Connectivity whose `gid` is derived from its content.

    Parameters
    ----------
    from_file : a file name of tvb-data (`connectivity_76.zip`), or `inputs/<sha256>.zip` in the shared storage

    Raises
    ------
    InputError
        The file is missing, damaged, or lies outside `inputs/`.
    """
    from tvb.datatypes.connectivity import Connectivity

    name = from_file
    if "/" in from_file:
        path = storage.absolute(from_file)
        if not path.is_relative_to(storage.inputs.resolve()):
            raise InputError(f"connectivity {from_file}: outside the storage's inputs; submit the spec again")
        if not path.is_file():
            raise InputError(
                f"connectivity {path}: no such file; submit the spec again where the data directory is mounted"
            )
        name = str(path)
    try:
        connectivity = Connectivity.from_file(name)
        connectivity.configure()
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, zipfile.BadZipFile) as exc:
        raise InputError(
            f"connectivity {from_file}: TVB cannot read it ({exc}); expected a TVB connectivity zip"
        ) from exc
    connectivity.gid = content_gid(connectivity)
    return connectivity


def content_gid(connectivity: Any) -> UUID:
    """The same gid for the same arrays, whatever file they came from."""
    digest = hashlib.sha256()
    for name in _ARRAYS:
        array = getattr(connectivity, name)
        if array is None:
            continue
        array = np.ascontiguousarray(array)
        digest.update(f"{name} {array.shape} {array.dtype.kind}".encode())
        digest.update("\0".join(array.ravel().tolist()).encode() if array.dtype.kind in "US" else array.tobytes())
    return uuid5(CONTENT_NAMESPACE, digest.hexdigest())

"""Writes one H5 file for each of `tvb_objects.OBJECTS` with tvb-framework's own writers. A separate program.

    python tvb_writer.py HOME DIRECTORY

writes DIRECTORY/<name>.h5 for each name and prints one JSON object: why a name could not be written ("" if it could).
"""

import json
import os
import sys
from pathlib import Path

home, directory = Path(sys.argv[1]), Path(sys.argv[2])
os.environ["HOME"] = os.environ["TVB_USER_HOME"] = str(home)
# The atlas library asks the network for its atlases while it is imported.
sys.modules["siibra"] = None  # type: ignore[assignment]

from tvb.basic.profile import TvbProfile  # noqa: E402

TvbProfile.set_profile(TvbProfile.TEST_SQLITE_PROFILE)

import tvb.adapters.datatypes.db  # noqa: E402, F401 - registers the classes
from tvb.core.entities.generic_attributes import GenericAttributes  # noqa: E402
from tvb.core.neocom import h5  # noqa: E402
from tvb_objects import OBJECTS  # noqa: E402


class Numbers(json.JSONEncoder):
    """JSON encoder for NumPy integers: TVB counts the vertices of halves with them, and its own JSON refuses them."""

    def default(self, number):
        return int(number)


def write(name: str) -> str:
    instance = OBJECTS[name]()
    path = directory / f"{name}.h5"
    attributes = GenericAttributes()
    attributes.subject, attributes.state, attributes.operation_tag = "John Doe", "RAW_DATA", ""
    try:
        with h5.REGISTRY.get_h5file_for_datatype(type(instance))(str(path)) as file:
            if hasattr(file, "split_slices"):
                file.split_slices.json_encoder = Numbers
            file.store(instance)
            file.store_generic_attributes(attributes)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return ""


if __name__ == "__main__":
    print("VERDICT " + json.dumps({name: write(name) for name in OBJECTS}))

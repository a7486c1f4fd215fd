"""Writes models/tvb/components.json: the declarations of tvb-library's classes, for programs that do not import TVB.

python scripts/make_components.py            write it
python scripts/make_components.py --check    exit with 1 if it is stale
"""

import json
import re
import sys
import warnings
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import tvb_batch.models.tvb.introspect as introspect

TARGET = Path(__file__).parent.parent / "models" / "tvb" / "components.json"

#: Where tvb-data keeps what a role can be read from.
_FOLDERS = {
    "connectivity": ("connectivity", r"connectivity_\d+\.zip"),
    "surface": ("surfaceData", r".*\.zip"),
    "region_mapping": ("regionMapping", r".*\.txt"),
    "local_connectivity": ("local_connectivity", r".*\.mat"),
    "sensors": ("sensors", r".*\.txt(\.bz2)?"),
    "projection": ("projectionMatrix", r".*\.(npy|mat)"),
}


def components() -> dict[str, Any]:
    """Return the whole content of components.json."""
    warnings.simplefilter("ignore")
    return {
        "tvb-library": version("tvb-library"),
        "files": {role: _files(folder, form) for role, (folder, form) in _FOLDERS.items()},
        "regions": {name: _regions(name) for name in _files(*_FOLDERS["connectivity"])},
        "roles": {
            role: {cls.__name__: introspect.describe_class(cls) for cls in introspect.tvb_classes(role)}
            for role in introspect.bases()
        },
    }


def _files(folder: str, form: str) -> list[str]:
    return sorted(path.name for path in (files("tvb_data") / folder).iterdir() if re.fullmatch(form, path.name))


def _regions(name: str) -> int:
    from tvb.datatypes.connectivity import Connectivity

    return len(Connectivity.from_file(name).weights)


def main() -> int:
    """Write or check the file; return the exit code."""
    text = json.dumps(components(), indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False) + "\n"
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") == text:
        return 0
    print(f"{TARGET.name} is stale: run python scripts/make_components.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())

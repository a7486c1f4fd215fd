"""Compares files with their rows in the catalogue: existence, size, sha256 and validity.

`python -m tvb_batch.worker.tools.file_check` answers one `CompareFile` per line and exits with 1 if there was a fault;
`tvb-batch verify` starts it. It imports no TVB and writes nothing.
"""

import sys
from collections.abc import Iterator

from tvb_batch.models.worker_protocol import NOTE, CompareFile
from tvb_batch.worker.h5.seal import is_as_sealed
from tvb_batch.worker.h5.verify import sha256
from tvb_batch.worker.tools import gui_check


def record_faults(expected: CompareFile) -> Iterator[str]:
    """Yield each fault of the file as `name: what was found, what was expected`; nothing if the row is right."""
    path, name = expected.path, expected.name
    try:
        found = path.stat().st_size
        if expected.bytes is not None and found != expected.bytes:
            yield f"{name}: {found} bytes, expected {expected.bytes}"
            return
        # HDF5 may crash on a file with a flipped bit.
        if expected.sha256 is not None:
            if (digest := sha256(path)) != expected.sha256:
                yield f"{name}: sha256 {digest[:12]}..., expected {expected.sha256[:12]}...: its content has changed"
                return
        elif (is_right := is_as_sealed(path)) is None:
            yield f"{NOTE}{name}: its content is not checked: the file does not say its sha256, as older ones do not"
        elif not is_right:
            yield f"{name}: its content has changed since it was written under this name"
            return
    except FileNotFoundError:
        yield f"{name}: missing{', and a spec names it' if expected.is_input else ''}"
        return
    except OSError as exc:
        yield f"{name}: cannot be read ({exc.strerror or exc})"
        return
    if expected.is_input:
        return
    yield from (fault.replace(str(path), name) for fault in gui_check.faults(path))


def main() -> int:
    """Compare the files named on standard input; return the exit code."""
    code = 0
    for line in sys.stdin:
        for fault in record_faults(CompareFile.from_json(line)):
            print(fault)
            code = code if fault.startswith(NOTE) else 1
    return code


if __name__ == "__main__":
    sys.exit(main())

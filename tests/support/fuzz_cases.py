"""Damaged specs, messages, H5 files and ZIPs by plain mutation; the same number gives the same case.

Each case must pass or end in one of this program's errors; anything else is a bug. A case runs in this process, so its
caller sees a crash or a hang.
"""

import base64
import io
import json
import random
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import h5py
import numpy as np

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.queue import RUN_JOB
from tvb_batch.models.tvb.input_store import check_file
from tvb_batch.submit.intake.spec_file import load_spec_file
from tvb_batch.worker.h5.verify import verify
from tvb_batch.worker.tools.gui_check import faults
from tvb_batch.worker.transport import gid_of

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
GID = UUID("5345bcfe-ae86-44f1-be56-e7c7f0f3120b")
WORDS = [
    b"", b"\0", b"\xff", b"nan", b"-1", b"1e999", b"9" * 40, b"null", b"[]", b"{}", b"[" * 50, b"!!python/object:os.system",
    b"&a [*a]", b"../../etc/passwd", b"\n", b"\t", b": ", b"- ", b"\xe2\x80\xae", b"inf", b"true", b"<<: *x", b"0x10",
]  # fmt: skip


def mutated(data: bytes, chance: random.Random, most: int = 6) -> bytes:
    """Return `data` with up to `most` places changed, repeated, cut out or replaced by an awkward word."""
    found = bytearray(data)
    for _ in range(chance.randint(1, most)):
        place = chance.randrange(len(found) + 1)
        end = min(len(found), place + chance.choice([1, 1, 4, 16, 64]))
        kind = chance.randrange(5)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[place:end]
        elif kind == 2:
            found[place:place] = found[place:end]
        elif kind == 3:
            found[place:end] = chance.choice(WORDS)
        elif chance.random() < 0.1:
            del found[place:]
    return bytes(found)


def spec_case(directory: Path, chance: random.Random) -> None:
    """Run a spec file of one of the three kinds."""
    source = chance.choice(sorted(EXAMPLES.glob("*.yaml")))
    path = directory / f"spec{chance.choice(['.yaml', '.yaml', '.json', '.toml'])}"
    text = source.read_bytes()
    if path.suffix == ".json":
        text = b'{"name": "a", "model": {"class": "JansenRit", "mu": 0.1}, "sweep": {"model.mu": [1, 2]}}'
    elif path.suffix == ".toml":
        text = b'name = "a"\n[model]\nclass = "JansenRit"\n[sweep]\n"model.mu" = {start = 0, stop = 1, num = 3}\n'
    path.write_bytes(mutated(text, chance))
    load_spec_file(str(path))


def message_case(directory: Path, chance: random.Random) -> str:
    """Run a message in the queue, damaged inside or outside its body."""
    body = json.dumps([[str(GID)], {}, {"callbacks": None}]).encode()
    whole = {"body": base64.b64encode(body).decode(), "headers": {"task": RUN_JOB, "id": "x"}, "properties": {}}
    if chance.random() < 0.5:
        whole["body"] = base64.b64encode(mutated(body, chance)).decode()
        text = json.dumps(whole).encode()
    else:
        text = mutated(json.dumps(whole).encode(), chance)
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return "refused"  # `worker.transport.Channel` refuses it with the same message.
    try:
        UUID(gid_of(message))
    except ValueError as exc:
        # Its own errors are short; an error of Python would show a bug.
        if not str(exc).startswith(("not a Celery message", "unknown task", "it has no job gid")):
            raise
        return "refused"
    return "passed"


def h5_case(directory: Path, chance: random.Random) -> None:
    """Run a result or an input in HDF5."""
    path = directory / f"TimeSeriesRegion_{GID.hex}.h5"
    path.write_bytes(mutated(_h5(), chance))
    chance.choice([check_file, lambda each: verify(each, GID), faults])(path)


def zip_case(directory: Path, chance: random.Random) -> None:
    """Run a connectivity or a bundle."""
    path = directory / "connectivity.zip"
    path.write_bytes(mutated(_zip(), chance))
    chance.choice([check_file, faults])(path)


def _h5() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["data"] = np.arange(24.0).reshape(3, 2, 4, 1)
        file["time"] = np.arange(3.0)
        file.attrs["TVB_gid"] = GID.urn
        file.attrs["TVB_Data_version"] = 5
    return buffer.getvalue()


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("weights.txt", "0 1\n1 0\n" * 20)
        file.writestr("tract_lengths.txt", "0 1\n1 0\n")
        file.writestr("centres.txt", "a 0 0 0\nb 1 1 1\n")
        file.writestr(f"TimeSeriesRegion_{GID.hex}.h5", _h5())
    return buffer.getvalue()


KINDS: dict[str, Callable[[Path, random.Random], str | None]] = {
    "spec": spec_case, "message": message_case, "h5": h5_case, "zip": zip_case,
}  # fmt: skip


def run(kind: str, number: int) -> str:
    """Return `passed` or `refused`.

    Raises
    ------
    Exception
        Anything except this program's one-line errors: a bug.
    """
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory:
        try:
            said = KINDS[kind](Path(directory), random.Random(f"{kind}/{number}"))
        except TvbBatchError as exc:
            if "\n" in str(exc):
                raise
            return "refused"
    return said or "passed"

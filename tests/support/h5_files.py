"""Time series files that tests write and damage."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np

from tvb_batch.worker.h5.tvb2 import Header
from tvb_batch.worker.h5.writer import TimeSeriesWriter

CREATED = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


def header(**changes) -> Header:
    values = {
        "gid": uuid4(), "datatype": "TimeSeriesRegion", "title": "t", "sample_period": 0.25, "start_time": 0.0,
        "labels_ordering": ("Time", "State Variable", "Region", "Mode"), "labels_dimensions": {"State Variable": ["y0", "y1"]},
        "connectivity": UUID(int=5), "subject": "John Doe", "created": CREATED,
    }  # fmt: skip
    return Header(**{**values, **changes})


def write(path, data, *, chunks=1, **changes) -> Header:
    head = header(**changes)
    writer = TimeSeriesWriter(path, head, data.shape[1:], {"spec": "{}"})
    time = 0.25 * np.arange(len(data)) + 0.125
    for part in np.array_split(np.arange(len(data)), chunks):
        writer.append(time[part], data[part])
    writer.close()
    return head


def damage(path, first: int, length: int) -> None:
    """Change the length of the free space of the heap."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while content[place : place + 2] != b"\0\0":
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    content[place + first : place + 16] = length.to_bytes(16 - first, "little")
    path.write_bytes(content)

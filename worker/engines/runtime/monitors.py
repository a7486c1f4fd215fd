"""TVB's monitors on many steps at once. Called by `worker.engines.compiled`.

A monitor whose way of sampling is known is done for all steps in one go, with TVB's bits; any other has TVB's own
`record` called for every step. What a monitor remembers between samples is kept in the monitor itself.
"""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.worker.engines.reference import Samples

#: Takes the number of the first step and n states, (n, variables of interest, nodes, modes); returns the samples.
Recorder = Callable[[int, NDArray[np.float64]], Samples | None]


def make_recorder(monitor: Any, primitives: ModuleType) -> Recorder:
    """Return what the monitor does with steps."""
    from tvb.simulator import monitors as tvb

    ways: dict[Any, Callable[[Any, ModuleType], Recorder]] = {
        tvb.Raw.sample: _every_step,
        tvb.RawVoi.sample: _every_step,
        tvb.AfferentCoupling.sample: _every_step,
        tvb.SubSample.sample: _some_steps,
        tvb.GlobalAverage.sample: _global_average,
        tvb.SpatialAverage.sample: _sample_some_steps,
        tvb.TemporalAverage.sample: _temporal_average,
        tvb.AfferentCouplingTemporalAverage.sample: _temporal_average,
        tvb.Bold.sample: _bold,
    }
    way = ways.get(type(monitor).sample, _record_every_step)
    if type(monitor).record is not tvb.Monitor.record or _is_tiny(monitor):
        way = _record_every_step
    return way(monitor, primitives)


def _is_tiny(monitor: Any) -> bool:
    """Return whether a step of the averaging buffer has one number: NumPy then adds in another order."""
    buffer = getattr(monitor, "_stock", None)
    return buffer is not None and np.ndim(buffer) == 4 and buffer[0].size < 2


def join(parts: Sequence[Samples | None]) -> Samples | None:
    """Return the samples of consecutive steps together, or None if there are none."""
    present = [part for part in parts if part is not None and len(part.time)]
    if len(present) < 2:
        return present[0] if present else None
    return Samples(np.concatenate([part.time for part in present]), np.concatenate([part.data for part in present]))


def _flat(buffer: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the memory of (steps, variables, nodes, modes) as (steps, variables, nodes x modes)."""
    return buffer.reshape(*buffer.shape[:2], buffer.shape[2] * buffer.shape[3])


def _every_step(monitor: Any, primitives: ModuleType) -> Recorder:
    whole = type(monitor).sample.__qualname__ == "Raw.sample"

    def record(first: int, rows: NDArray[np.float64]) -> Samples:
        time = np.arange(first, first + len(rows)) * monitor.dt
        data = rows.copy() if whole else rows[:, monitor.voi]
        return Samples(time, data)

    return record


def _due(first: int, n: int, period: int) -> NDArray[np.int64]:
    """Return which of n steps are multiples of the period."""
    return np.arange(-first % period, n, period)


def _some_steps(monitor: Any, primitives: ModuleType) -> Recorder:
    def record(first: int, rows: NDArray[np.float64]) -> Samples:
        due = _due(first, len(rows), monitor.istep)
        return Samples((first + due) * monitor.dt, rows[due][:, monitor.voi])

    return record


def _global_average(monitor: Any, primitives: ModuleType) -> Recorder:
    def record(first: int, rows: NDArray[np.float64]) -> Samples:
        due = _due(first, len(rows), monitor.istep)
        mean = np.mean(rows[due][:, monitor.voi], axis=2)
        return Samples((first + due) * monitor.dt, mean[:, :, np.newaxis, :])

    return record


def _sample_some_steps(monitor: Any, primitives: ModuleType) -> Recorder:
    def record(first: int, rows: NDArray[np.float64]) -> Samples | None:
        due = _due(first, len(rows), monitor.istep)
        return _gather([monitor.sample(first + int(s), rows[s]) for s in due])

    return record


def _record_every_step(monitor: Any, primitives: ModuleType) -> Recorder:
    def record(first: int, rows: NDArray[np.float64]) -> Samples | None:
        return _gather([monitor.record(first + s, row.copy()) for s, row in enumerate(rows)])

    return record


def _gather(records: list[Any]) -> Samples | None:
    records = [record for record in records if record is not None]
    if not records:
        return None
    times, data = zip(*records, strict=True)
    return Samples(np.array(times, dtype=np.float64), np.array(data))


def _temporal_average(monitor: Any, primitives: ModuleType) -> Recorder:
    period, buffer = int(monitor.istep), _flat(monitor._stock)
    wanted = np.asarray(monitor.voi, dtype=np.int64)

    def record(first: int, rows: NDArray[np.float64]) -> Samples:
        due = _due(first, len(rows), period)
        out = np.empty((len(due), *buffer.shape[1:]))
        primitives.add_to_buffer(buffer, first, _flat(rows), wanted, out, period)
        return Samples((first + due - period / 2.0) * monitor.dt, out.reshape(len(due), *monitor._stock.shape[1:]))

    return record


def _bold(monitor: Any, primitives: ModuleType) -> Recorder:
    """Fill the averaging buffer for all steps at once; TVB itself convolves it when a sample is due."""
    period, interim, buffer = int(monitor._interim_istep), _flat(monitor._interim_stock), monitor._stock
    wanted = np.asarray(monitor.voi, dtype=np.int64)

    def keep(first: int, rows: NDArray[np.float64]) -> None:
        due = _due(first, len(rows), period)
        out = np.empty((len(due), *interim.shape[1:]))
        primitives.add_to_buffer(interim, first, _flat(rows), wanted, out, period)
        for s, row in zip(due, out, strict=True):
            buffer[((first + int(s)) // period % monitor._stock_steps) - 1] = row.reshape(buffer.shape[1:])

    def record(first: int, rows: NDArray[np.float64]) -> Samples | None:
        done, records = 0, []
        for s in _due(first, len(rows), monitor.istep):
            keep(first + done, rows[done : s + 1])
            done = s + 1
            records.append(monitor.sample(first + int(s), rows[s]))
        keep(first + done, rows[done:])
        return _gather(records)

    return record

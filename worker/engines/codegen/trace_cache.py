"""A cache of traced steps and their source: simulators of one kind differ only in numbers. Called by `program`."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.spec.random_streams import is_mt19937
from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines.codegen.capabilities import Capabilities
from tvb_batch.worker.engines.codegen.kernel_source import KernelSource, make_source
from tvb_batch.worker.engines.codegen.ufunc_loops import address
from tvb_batch.worker.engines.frontend.coupling import records_afferents
from tvb_batch.worker.engines.frontend.noise import equation_parts
from tvb_batch.worker.engines.frontend.step import Step, trace_step
from tvb_batch.worker.engines.passes.verify import verify
from tvb_batch.worker.engines.tracing.recording import NoRecording, Parameter, Recording, UnrecordableError


@dataclass(frozen=True)
class SlotValues:
    """The numbers of one simulator for the slots of a step."""

    scalars: NDArray[np.float64]
    #: (slots, nodes)
    fields: NDArray[np.float64]


@dataclass(frozen=True)
class Trace:
    """A step, and the kernel's source for it."""

    step: Step
    source: KernelSource
    #: Addresses of the inner loops that the kernel calls.
    loops: NDArray[np.int64]
    recording: Recording | NoRecording

    def numbers(self, simulator: Any) -> SlotValues | None:
        """Return the numbers of a simulator of this kind, or None if its own trace would differ."""
        graph, nodes = self.step.graph, simulator.number_of_nodes
        values = self.recording.values(_parts(simulator)) if isinstance(self.recording, Recording) else []
        if values is None:
            return None

        def of(slot: Any) -> NDArray[np.float64]:
            value = values[slot.entry] if isinstance(slot, Parameter) else slot
            return np.asarray(value, dtype=np.float64).reshape(-1)

        scalars, fields = map(of, graph.scalars), map(of, graph.fields)
        return SlotValues(np.array([value[0] for value in scalars]), np.array([*fields]).reshape(-1, nodes))


_TRACES: BoundedCache[Hashable, Trace] = BoundedCache(64)


def find_trace(simulator: Any, allowed: Capabilities) -> tuple[Trace, SlotValues]:
    """Return a configured simulator's trace, an earlier one if it would be the same, and the simulator's numbers.

    Raises
    ------
    UntraceableError
        A part of the simulator cannot be traced.
    """
    key = (allowed, *_kind_of(simulator))
    known = _TRACES.get(key)
    numbers = known.numbers(simulator) if known is not None else None
    if known is None or numbers is None:
        known = _trace(simulator, allowed)
        numbers = known.numbers(simulator)
        assert numbers is not None, "a trace fits what it was traced for"
        if isinstance(known.recording, Recording):
            _TRACES.put(key, known)
    return known, numbers


def _trace(simulator: Any, allowed: Capabilities) -> Trace:
    recording: Recording | NoRecording = Recording() if simulator.surface is None else NoRecording()
    try:
        step = trace_step(simulator, recording)
    except UnrecordableError:
        recording = NoRecording()
        step = trace_step(simulator, recording)
    verify(step.graph, step.outputs)
    source = make_source(step, allowed)
    loops = np.array([address(loop) for loop in step.graph.loops], dtype=np.int64).ravel()
    return Trace(step, source, loops, recording)


def _parts(simulator: Any) -> dict[str, Any]:
    integrator = simulator.integrator
    noise = getattr(integrator, "noise", None)
    parts = {"model": simulator.model, "coupling": simulator.coupling, "integrator": integrator, "noise": noise}
    bound = getattr(noise, "b", None)
    return {**parts, "b": None if bound is None else equation_parts(bound)}


def _kind_of(simulator: Any) -> tuple[Hashable, ...]:
    """Return what tracing depends on, apart from what it reads of the parts."""
    model, integrator, network = simulator.model, simulator.integrator, simulator.connectivity
    noise = getattr(integrator, "noise", None)
    shapes = (simulator.number_of_nodes, network.number_of_regions, int(np.count_nonzero(network.weights)))
    return (
        *map(type, _parts(simulator).values()),
        *(model.dfun.__func__, simulator.integrate_next_step == integrator.integrate),
        *(shapes, model.number_of_modes, model.nvar, tuple(model.state_variables), tuple(model.variables_of_interest)),
        *(tuple(map(int, model.cvar)), tuple(map(int, model.stvar)), np.asarray(model.state_variable_mask).tobytes()),
        *(simulator.stimulus is None, any(map(records_afferents, simulator.monitors))),
        None if noise is None else (is_mt19937(noise.random_stream), bool(noise.ntau > 0.0)),
    )

"""A cache of traced steps and their source: simulators of one kind differ only in numbers. Called by `program`."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tvb_batch.models.spec.random_streams import is_mt19937
from tvb_batch.worker.bounded_cache import BoundedCache
from tvb_batch.worker.engines.codegen.capabilities import Capabilities
from tvb_batch.worker.engines.codegen.kernel_source import KernelSource, make_source
from tvb_batch.worker.engines.codegen.ufunc_loops import loop_addresses
from tvb_batch.worker.engines.frontend.coupling import records_afferents
from tvb_batch.worker.engines.frontend.noise import equation_parts
from tvb_batch.worker.engines.frontend.step import Step, trace_step
from tvb_batch.worker.engines.passes.verify_graph import verify_graph
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


class _Kind(NamedTuple):
    """What tracing depends on, apart from what a recording notes."""

    capabilities: Capabilities
    #: The classes of the model, the coupling, the integrator, the noise and the noise's equation.
    classes: tuple[type, ...]
    #: The function of the model that is traced.
    dfun: Hashable
    #: Whether TVB integrates all state variables.
    integrates: bool
    nodes: int
    regions: int
    #: How many weights of the network are not zero.
    edges: int
    modes: int
    nvar: int
    state_variables: tuple[str, ...]
    variables_of_interest: tuple[str, ...]
    #: Numbers of coupled and of stimulated variables, and the mask of those that are integrated.
    cvar: bytes
    stvar: bytes
    state_variable_mask: bytes
    has_stimulus: bool
    records_afferents: bool
    #: Whether the noise is drawn from a Mersenne Twister, and whether it is coloured; None without noise.
    noise: tuple[bool, bool] | None


_TRACES: BoundedCache[_Kind, Trace] = BoundedCache(64)


def find_trace(simulator: Any, allowed: Capabilities) -> tuple[Trace, SlotValues]:
    """Return a configured simulator's trace, an earlier one if it would be the same, and the simulator's numbers.

    Raises
    ------
    UntraceableError
        A part of the simulator cannot be traced.
    """
    key = _kind_of(simulator, allowed)
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
    verify_graph(step.graph, step.outputs)
    source = make_source(step, allowed)
    loops = np.array([loop_addresses(loop) for loop in step.graph.loops], dtype=np.int64).ravel()
    return Trace(step, source, loops, recording)


def _parts(simulator: Any) -> dict[str, Any]:
    integrator = simulator.integrator
    noise = getattr(integrator, "noise", None)
    parts = {"model": simulator.model, "coupling": simulator.coupling, "integrator": integrator, "noise": noise}
    bound = getattr(noise, "b", None)
    return {**parts, "b": None if bound is None else equation_parts(bound)}


def _kind_of(simulator: Any, capabilities: Capabilities) -> _Kind:
    model, integrator, network = simulator.model, simulator.integrator, simulator.connectivity
    noise = getattr(integrator, "noise", None)
    return _Kind(
        capabilities=capabilities,
        classes=tuple(map(type, _parts(simulator).values())),
        dfun=model.dfun.__func__,
        integrates=simulator.integrate_next_step == integrator.integrate,
        nodes=simulator.number_of_nodes,
        regions=network.number_of_regions,
        edges=int(np.count_nonzero(network.weights)),
        modes=model.number_of_modes,
        nvar=model.nvar,
        state_variables=tuple(model.state_variables),
        variables_of_interest=tuple(model.variables_of_interest),
        cvar=np.asarray(model.cvar, dtype=np.int64).tobytes(),
        stvar=np.asarray(model.stvar, dtype=np.int64).tobytes(),
        state_variable_mask=np.asarray(model.state_variable_mask).tobytes(),
        has_stimulus=simulator.stimulus is not None,
        records_afferents=any(map(records_afferents, simulator.monitors)),
        noise=None if noise is None else (is_mt19937(noise.random_stream), bool(noise.ntau > 0.0)),
    )

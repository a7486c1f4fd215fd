"""Prints what the compiled engine makes of a simulation: the graph of one step, and the source of its kernel.

`python -m tvb_batch.worker.tools.dump_kernel` answers a `DumpKernel`; the command line's `submit --dump-kernel` starts
it. Nothing is compiled but the primitives.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

from tvb_batch.models.errors import ConfigureError
from tvb_batch.models.paths import Storage
from tvb_batch.models.settings import load_settings
from tvb_batch.models.spec.simulation import SimulationSpec, simulation
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.models.worker_protocol import DumpKernel
from tvb_batch.worker.engines.codegen.capabilities import find_capabilities
from tvb_batch.worker.engines.codegen.kernel_cache import load_primitives
from tvb_batch.worker.engines.codegen.trace_cache import find_trace
from tvb_batch.worker.engines.graph import UntraceableError
from tvb_batch.worker.job.simulator import build_simulator
from tvb_batch.worker.program import run_program
from tvb_batch.worker.tvb_import import import_tvb


def dump_kernel(simulator: Any, kernels: Path) -> str:
    """Return the graph of one step of a configured simulator and the source of its kernel, as text.

    Parameters
    ----------
    kernels : the directory of compiled kernels

    Raises
    ------
    UntraceableError
        The compiled engine does not run it.
    """
    trace, _ = find_trace(simulator, find_capabilities(load_primitives(kernels)))
    graph = trace.step.pretty()
    requires = ", ".join(trace.source.requires)
    return f"{graph}\n\n# Primitives: {requires}\n\n{trace.source.text}"


def _dump(spec: SimulationSpec, kernels: Path) -> str:
    with tempfile.TemporaryDirectory() as directory:
        inputs = Inputs(Storage(Path(directory)))
        simulator = build_simulator(spec.with_files(lambda _, file: inputs.keep(Path(file))), inputs)
        try:
            return dump_kernel(simulator, kernels)
        except UntraceableError as exc:
            raise ConfigureError(f"spec: it has no kernel, TVB's own loop runs it: cannot compile {exc}") from exc


def answer(request: DumpKernel, results: TextIO) -> None:
    """Print the kernel of the spec of a request."""
    import_tvb()
    print(_dump(simulation(request.spec), load_settings().cache_dir / "kernels"), file=results)


if __name__ == "__main__":
    load_settings()
    sys.exit(run_program(DumpKernel, answer))

"""Which random numbers a script's simulator would be run with: the seed, or the state, that a job begins with.

Called by `submit.api.from_simulator`. TVB seeds a noise's stream when the noise is made, and never again; without noise
it draws initial conditions from NumPy's global stream. Where the stream is that of a seed, the seed goes into the spec;
where it is not, its state does. A configured simulator has its initial conditions drawn already: how it came by them is
found out, and tried.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvb_batch.models.errors import SpecError
from tvb_batch.models.spec.random_streams import as_array, descends, is_mt19937, origin, rewound, seed_of
from tvb_batch.models.tvb.input_store import Inputs
from tvb_batch.submit.api.twin_check import is_equal

#: How far back to search the start of a stream, in twists of 624 words; each takes 30 us.
_MOST = 1_000

Start = dict[str, Any]


@dataclass(frozen=True)
class Seeds:
    """The seed options of a submission."""

    #: The `seed` given to `submit`.
    given: int | None = None
    #: Whether each job has its own seed, derived from the spec's.
    are_own: bool = False


def is_configured(simulator: Any) -> bool:
    """Return whether TVB has drawn the initial conditions."""
    return simulator.history is not None


def has_run(simulator: Any) -> bool:
    """Return whether the simulator has moved on from its initial conditions."""
    return bool(simulator.calls)


def starts(simulator: Any, inputs: Inputs, seeds: Seeds) -> Iterator[Start]:
    """Return `seed` and, if necessary, `random_state` for a spec; of several, the first one that fits `begin_alike`.

    Raises
    ------
    SpecError
        The noise's stream cannot be sent, or its start is unknown.
    """
    noise = getattr(simulator.integrator, "noise", None)
    if noise is not None and not is_mt19937(noise.random_stream):
        found = f"a {type(noise.random_stream).__name__} that is not NumPy's Mersenne Twister"
        hint = "give noise_seed=7 when you make the noise"
        raise SpecError("integrator.noise.random_stream", found, "numpy.random.RandomState(7)", hint)
    if seeds.given is not None:
        yield {"seed": seeds.given}
    elif noise is not None:
        yield from _of_noise(simulator, noise, inputs, seeds)
    elif seeds.are_own or not is_mt19937(np.random.mtrand._rand):
        yield {}
    else:
        # A copy, because the following attempts seed the global stream.
        stream = np.random.RandomState(0)
        stream.set_state(np.random.mtrand._rand.get_state())
        yield from _of_global(simulator, stream, inputs)


def begin_alike(simulator: Any, twin: Any) -> bool:
    """Return whether two configured simulators have the same state, history, delays and random numbers."""
    parts = [(simulator.current_state, twin.current_state), (simulator.current_step, twin.current_step)]
    for name in ("buffer", "nnz_weights", "nnz_idelays"):
        parts.append((getattr(simulator.history, name, None), getattr(twin.history, name, None)))
    noise, other = (getattr(one.integrator, "noise", None) for one in (simulator, twin))
    if noise is not None and other is not None:
        parts += [(as_array(noise.random_stream), as_array(other.random_stream)), (noise._eta, other._eta)]
    return all(is_equal(one, other) for one, other in parts)


def _of_noise(simulator: Any, noise: Any, inputs: Inputs, seeds: Seeds) -> Iterator[Start]:
    stream = noise.random_stream
    begun = seed_of(stream)
    if begun is None and (is_configured(simulator) or seeds.are_own):
        begun = _beginning(stream, [int(noise.noise_seed), 42], _words(simulator, noise))
    if begun is not None:
        yield {"seed": begun}
    if seeds.are_own or has_run(simulator):
        if begun is None:
            found = "a stream from which numbers were drawn"
            expected = "a seeded stream, because jobs start from a seed"
            hint = "call noise.reset_random_stream(), or give submit(seed=...)"
            raise SpecError("integrator.noise.random_stream", found, expected, hint)
        return
    state = rewound(stream, _words(simulator)) if is_configured(simulator) else as_array(stream)
    yield {"seed": int(noise.noise_seed), "random_state": {"from_file": inputs.keep_array(state)}}


def _of_global(simulator: Any, stream: Any, inputs: Inputs) -> Iterator[Start]:
    begun = origin(stream, _MOST if is_configured(simulator) else 0)
    if begun is not None:
        yield {"seed": begun}
    yield {}
    if not is_configured(simulator):
        return
    if not has_run(simulator):
        kept = inputs.keep_array(rewound(stream, _words(simulator)))
        yield {"random_state": {"from_file": kept}}


def _beginning(stream: Any, guesses: list[int], words: int) -> int | None:
    for guess in dict.fromkeys(guesses):
        if 0 <= guess < 2**32 and descends(stream, guess, words):
            return guess
    return origin(stream, _MOST)


def _words(simulator: Any, noise: Any = None) -> int:
    """Return how many words TVB drew to configure it; with noise, the maximum since the noise was made."""
    if not is_configured(simulator):
        return _MOST * 624
    given = simulator.initial_conditions
    times, variables, _, modes = simulator.good_history_shape
    is_drawn = given is None or len(given) < times
    drawn = 2 * times * variables * simulator.number_of_nodes * modes if is_drawn else 0
    # A pair of normal numbers takes 5.1 words on average; coloured noise starts with one number for each state.
    steps = simulator.current_step + 1
    return drawn if noise is None else drawn + 3 * steps * variables * simulator.number_of_nodes * modes + 10_000


def is_drawn_from(stream: Any) -> bool:
    """Return whether the stream started from an integer seed and was used a little."""
    return is_mt19937(stream) and seed_of(stream) is None and origin(stream, _MOST) is not None

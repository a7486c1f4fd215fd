"""The numbers of a simulator as traced code reads them, and how each is computed from the simulator's attributes.

So a step that was traced for one simulator serves the next one of its kind, which differs only in numbers: they are
read and computed again, without tracing. Called by `worker.engines.tracing.context`, and kept by
`worker.engines.codegen.trace_cache`.
"""

import types
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class UnrecordableError(Exception):
    """Traced code uses a parameter in a way that cannot be repeated for another simulator."""


class _Result(NamedTuple):
    """The result of an entry."""

    entry: int


class _Read(NamedTuple):
    """An attribute of a part of the simulator, such as `model` and `a`."""

    owner: str
    name: str


class _Call(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]


#: Stands for an attribute that is not there.
ABSENT = object()


@dataclass
class Recording:
    """What a trace has read of a simulator's parts, and what it has computed of that."""

    _entries: list[_Read | _Call] = field(default_factory=list)
    #: What was read: of numbers their type and shape, of everything else all that traced code can see.
    _kinds: dict[_Read, Hashable] = field(default_factory=dict)
    #: Which way traced code went, where it asked a parameter.
    _truths: dict[int, bool] = field(default_factory=dict)
    #: One parameter for all who ask for the same.
    _known: dict[Hashable, "Parameter"] = field(default_factory=dict)

    def read(self, owner: str, name: str, value: Any) -> Any:
        """Return an attribute that traced code reads; floating-point numbers may differ for the next simulator.

        Raises
        ------
        UnrecordableError
            It is an object that may hold anything.
        """
        place = _Read(owner, name)
        self._kinds[place] = _kind_of(value)
        return self._parameter(place, _as_numpy(value)) if _is_number(value) else value

    def call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> "Parameter":
        """Return what `function` makes of arguments; some of them are parameters."""
        given = tuple(_Result(one.entry) if isinstance(one, Parameter) else one for one in arguments)
        call = _Call(function, given, tuple(keywords.items()))
        return self._parameter(call, function(*map(value_of, arguments), **keywords))

    def _parameter(self, entry: _Read | _Call, value: Any) -> "Parameter":
        try:
            known = self._known.get(entry)
        except TypeError:  # An array is among the arguments.
            known = None
        if known is None:
            self._entries.append(entry)
            known = Parameter(self, len(self._entries) - 1, value)
            with suppress(TypeError):
                self._known[entry] = known
        return known

    def ask(self, entry: int, value: Any) -> bool:
        """Return whether an entry is true; from here on, traced code depends on it."""
        self._truths[entry] = bool(value)
        return self._truths[entry]

    def values(self, parts: Mapping[str, Any]) -> list[Any] | None:
        """Return the value of each entry for other parts; None if traced code would not do the same with them."""
        try:
            if any(kind != _kind_of(_get(parts, place)) for place, kind in self._kinds.items()):
                return None
        except UnrecordableError:
            return None
        found: list[Any] = []
        for entry in self._entries:
            if isinstance(entry, _Read):
                found.append(_as_numpy(_get(parts, entry)))
            else:
                given = (found[one.entry] if isinstance(one, _Result) else one for one in entry.arguments)
                found.append(entry.function(*given, **dict(entry.keywords)))
        return found if all(bool(found[entry]) == truth for entry, truth in self._truths.items()) else None


class NoRecording:
    """For what is traced for one simulator alone."""

    def read(self, owner: str, name: str, value: Any) -> Any:
        """Return the attribute, as NumPy takes it."""
        return _as_numpy(value)


class Parameter(NDArrayOperatorsMixin):
    """A floating-point number, or an array of them, that is the value of an entry; it has NumPy's interface."""

    def __init__(self, recording: Recording, entry: int, value: Any) -> None:
        self.recording, self.entry, self.value = recording, entry, value

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return np.ndim(self.value)

    @property
    def size(self) -> int:
        """Return the number of elements."""
        return int(np.size(self.value))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return NumPy's dtype."""
        return np.asarray(self.value).dtype

    @property
    def T(self) -> "Parameter":  # noqa: N802 - NumPy's name
        """Return the transpose."""
        return self.recording.call(np.transpose, self)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator["Parameter"]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, index: Any) -> "Parameter":
        if isinstance(index, Parameter):
            raise UnrecordableError
        return self.recording.call(_get_item, self, index)

    def take(self, which: int, axis: int) -> "Parameter":
        """Return one element along an axis."""
        return self.recording.call(np.take, self, which, axis=axis)

    def reshape(self, *shape: Any) -> "Parameter":
        """Return the elements in another shape."""
        return self.recording.call(np.reshape, self, shape[0] if len(shape) == 1 else shape)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # NumPy asks for these to see what it got.
        raise UnrecordableError

    def __bool__(self) -> bool:
        return self.recording.ask(self.entry, self.value)

    def __float__(self) -> float:
        raise UnrecordableError

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UnrecordableError

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        if not all(isinstance(one, Parameter | np.ndarray | np.generic | int | float) for one in inputs):
            return NotImplemented
        if method != "__call__" or keywords or ufunc.nout != 1:
            raise UnrecordableError
        return self.recording.call(ufunc, *inputs)

    def __array_function__(self, function: Callable[..., Any], kinds: Any, arguments: Any, keywords: Any) -> Any:
        if not all(issubclass(kind, Parameter | np.ndarray) for kind in kinds):
            return NotImplemented
        if any(isinstance(one, list | tuple) for one in arguments) or any(map(_is_parameter, keywords.values())):
            raise UnrecordableError
        return self.recording.call(function, *arguments, **keywords)


def value_of(one: Any) -> Any:
    """Return the value of a parameter; anything else as it is."""
    return one.value if isinstance(one, Parameter) else one


def _is_parameter(one: Any) -> bool:
    return isinstance(one, Parameter)


def _get_item(value: Any, index: Any) -> Any:
    return value[index]


def _get(parts: Mapping[str, Any], place: _Read) -> Any:
    return getattr(parts[place.owner], place.name, ABSENT)


def _as_numpy(value: Any) -> Any:
    """Return a number of the simulator with a dtype: unlike a literal, it takes part in NumPy's choice of a dtype."""
    return np.float64(value) if type(value) is float else value


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray | np.generic) and value.dtype.kind == "f")


def _kind_of(value: Any) -> Hashable:
    """Return what must be equal if traced code is to do the same."""
    if _is_number(value):
        return type(value), np.shape(value), np.asarray(value).dtype
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype, value.tobytes()
    if isinstance(value, types.MethodType):
        return value.__func__
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_kind_of, value))
    if (
        value is None
        or value is ABSENT
        or isinstance(value, str | int | np.generic | types.FunctionType)
        or hasattr(value, "py_func")
    ):
        return type(value), value
    raise UnrecordableError

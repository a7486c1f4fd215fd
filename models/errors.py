"""All errors that a user or a worker can meet. The message says what was found, where, and what to do next.

`retryable` alone decides whether a job returns to PENDING or ends in ERROR. The command line prints the message of a
`TvbBatchError` as one line and exits with 2.
"""

import difflib
from collections.abc import Iterable, Sequence

from tvb_batch.models.masking import masked


class TvbBatchError(Exception):
    """Base class of errors with a message for a user."""

    #: True if the same job may succeed when it runs again.
    retryable = False

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(masked(message)))


def one_line(message: str) -> str:
    """Return the message in one line, without line breaks from file names or values."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known name, or with all names."""
    names = sorted(known)
    return nearest(found, names) or (f"known: {', '.join(names)}" if 0 < len(names) <= 30 else "")


def nearest(found: str, names: Sequence[str]) -> str:
    """Return a hint with the nearest known name, or an empty text."""
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(found, names, n=1) or difflib.get_close_matches(found.lower(), by_lower, n=1)
    return f"did you mean {by_lower.get(near[0], near[0])!r}?" if near else ""


class SettingsError(TvbBatchError, ValueError):
    """A setting (environment variable or option) has an unusable value."""


class SpecError(TvbBatchError, ValueError):
    """The spec asks for something that TVB cannot run.

    Parameters
    ----------
    path : the place in the spec, dotted, such as `monitors[0].period`; empty for the whole spec
    found : the value there
    expected : a description of valid values
    hint : what to do next, such as `did you mean 'JansenRit'?`
    source : file, or `file:line` once known
    """

    def __init__(self, path: str, found: str, expected: str, hint: str = "", source: str = "") -> None:
        self.path, self.found, self.expected, self.hint, self.source = path, found, expected, hint, source
        place = " ".join(part for part in (source, path) if part) or "spec"
        message = f"{place}: {found}; expected {expected}" + (f"; {hint}" if hint else "")
        super().__init__(message)

    def at(self, source: str) -> "SpecError":
        """Return the same error with its file and line."""
        return type(self)(self.path, self.found, self.expected, self.hint, source)


class InputError(TvbBatchError):
    """An input file of the simulation (connectivity ...) is missing or damaged."""


class SourceError(TvbBatchError):
    """A user module cannot be imported on this host, or differs from the submitted one."""

    #: Another host may have the right source, and this one after an update.
    retryable = True


class ConfigureError(TvbBatchError):
    """TVB cannot configure the simulation; the message names the part of the spec."""


class OutputError(TvbBatchError):
    """A result file could not be written, or differs from what was written."""

    #: A full or missing disk may be available at the next attempt.
    retryable = True


class StorageError(OutputError):
    """The storage is full, over quota, read-only or missing: jobs wait, and no attempt is counted."""


class TimeLimitError(TvbBatchError):
    """The job took longer than its `time_limit`."""


class NotFiniteError(TvbBatchError):
    """NaN or infinity in a simulation with `stop_on_nan`."""


#: Why a series that is_nan lacks a metric.
NOT_FINITE = "the series holds NaN or infinity"


class MissingMetricError(TvbBatchError):
    """A series has no such metric; the message is the reason shown to the user."""


class BrokerError(TvbBatchError, ConnectionError):
    """Redis cannot be reached, or refuses."""

    retryable = True


class CatalogueError(TvbBatchError):
    """The database cannot be reached, or refuses."""

    retryable = True


class UnclearError(CatalogueError):
    """The database went away during a COMMIT: the change may have been made or not."""


class DatabaseRevisionError(CatalogueError):
    """The database has another revision than this program."""

    retryable = False


class NotFoundError(CatalogueError, LookupError):
    """There is no such job or sweep."""

    retryable = False


class BusyError(TvbBatchError):
    """A running job cannot be deleted."""


class LeaseLostError(TvbBatchError):
    """The job was given to another worker or canceled: stop and leave no file behind."""


class CanceledError(TvbBatchError):
    """A user canceled the running job. This is not an error of the job."""

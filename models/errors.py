"""Every fault a person or a worker can meet, as one tree; the message says what, where and what to do next.

`retryable` alone decides whether a job goes back to PENDING or ends in ERROR. The command line prints the message of
any `TvbBatchError` as one line and exits with 2.
"""

from tvb_batch.models.masking import masked


class TvbBatchError(Exception):
    """A fault with a message for a person."""

    #: True when running the same job again may well succeed.
    retryable = False

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(masked(message)))


def one_line(message: str) -> str:
    """The message, whatever names and values of files it holds: a line break in one of them must not break the line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)


class SettingsError(TvbBatchError, ValueError):
    """A setting (environment variable or option) has an unusable value."""


class SpecError(TvbBatchError, ValueError):
    """The spec asks for something that TVB cannot run.

    Parameters
    ----------
    path : where in the spec, dotted, such as `monitors[0].period`; empty for the spec as a whole
    found : what stands there
    expected : what would have been right
    hint : what to do next, such as `did you mean 'JansenRit'?`
    source : file, or `file:line` once known
    """

    def __init__(self, path: str, found: str, expected: str, hint: str = "", source: str = "") -> None:
        self.path, self.found, self.expected, self.hint, self.source = path, found, expected, hint, source
        place = " ".join(part for part in (source, path) if part) or "spec"
        message = f"{place}: {found}; expected {expected}" + (f"; {hint}" if hint else "")
        super().__init__(message)

    def at(self, source: str) -> "SpecError":
        """The same fault with the file and line it was found at."""
        return type(self)(self.path, self.found, self.expected, self.hint, source)


class InputError(TvbBatchError):
    """A file the simulation needs (connectivity ...) is missing or damaged."""


class SourceError(TvbBatchError):
    """A module of the operator's cannot be imported on this host, or is not the one that was submitted."""

    #: Another host may have the right one, and so may this one once it was brought up to date.
    retryable = True


class ConfigureError(TvbBatchError):
    """TVB cannot make a simulation of the spec; the message names the part of the spec that it refused."""


class OutputError(TvbBatchError):
    """A result file could not be written, or is not what was written."""

    #: A full or vanished disk may be back at the next attempt.
    retryable = True


class StorageError(OutputError):
    """The storage is full, over quota, read-only or gone: jobs wait for it, and nothing is held against them."""


class TimeLimitError(TvbBatchError):
    """The job took longer than its `time_limit`."""


class NotFiniteError(TvbBatchError):
    """NaN or infinity in a simulation that was to stop there."""


#: Why a series that is_nan lacks a metric.
NOT_FINITE = "the series holds NaN or infinity"


class MissingMetricError(TvbBatchError):
    """A series has no such metric; the message is the reason, which a person reads."""


class BrokerError(TvbBatchError, ConnectionError):
    """Redis cannot be reached or refuses us."""

    retryable = True


class CatalogueError(TvbBatchError):
    """The database cannot be reached, or refuses us."""

    retryable = True


class UnclearError(CatalogueError):
    """The database went away while it committed: what was to be done may be done, or not."""


class DatabaseRevisionError(CatalogueError):
    """The database has another revision than this program."""

    retryable = False


class NotFoundError(CatalogueError, LookupError):
    """No such job or sweep."""

    retryable = False


class BusyError(TvbBatchError):
    """What is running is not removed."""


class LeaseLostError(TvbBatchError):
    """The job was given to another worker, or was canceled and taken away: stop and leave no file behind."""


class CanceledError(TvbBatchError):
    """A person canceled the job while it ran. Not a fault."""

"""How a worker speaks: one line an event, for a person in a terminal and as JSON everywhere else.

Called once by `worker.app`, before the pool is forked, and by the programs that answer on standard output.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import structlog

from tvb_batch.models.masking import masked


def configure() -> None:
    """Set structlog up for this process and the ones it forks."""
    is_terminal = sys.stderr.isatty()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderers = [plain] if is_terminal else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
            # Whatever a library has put into its message.
            lambda _, __, line: masked(str(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # A line is one write: those of two processes never mix.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@contextlib.contextmanager
def results_only() -> Iterator[TextIO]:
    """Standard output for what a program answers; whatever else is printed meanwhile goes to standard error.

    TVB logs to standard output.
    """
    sys.stdout.flush()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as results:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        yield results

"""The log of a worker: one line for each event, as text in a terminal and as JSON everywhere else.

`worker.app` configures it before the pool is forked. The programs that print answers to standard output use it too.
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
    """Configure structlog for this process and for the processes that it forks."""
    is_terminal = sys.stderr.isatty()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderers = [plain] if is_terminal else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
            # A library may have put a password into its message.
            lambda _, __, line: masked(str(line)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Write each line at once, so that lines of two processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@contextlib.contextmanager
def results_only() -> Iterator[TextIO]:
    """Yield standard output for the answer of a program; redirect other output to standard error meanwhile.

    TVB logs to standard output.
    """
    sys.stdout.flush()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as results:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        yield results

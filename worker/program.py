"""Runs a program of the worker: reads a request from standard input, answers it and returns the exit code.

The client starts these programs. Their requests and answers are in `models.worker_protocol`.
"""

import sys
from collections.abc import Callable
from typing import TextIO, TypeVar

from tvb_batch.models.errors import TvbBatchError
from tvb_batch.models.worker_protocol import Request
from tvb_batch.worker.log import results_only

AnyRequest = TypeVar("AnyRequest", bound=Request)


def run_program(request: type[AnyRequest], answer: Callable[[AnyRequest, TextIO], object]) -> int:
    """Answer the one request on standard input; return 0, or 2 after one line on standard error for a known fault.

    Parameters
    ----------
    answer : called with the request and the stream of the answer; whatever else is printed goes to standard error
    """
    wanted = request.from_json(sys.stdin.read())
    with results_only() as results:
        try:
            answer(wanted, results)
        except TvbBatchError as exc:
            print(exc, file=sys.stderr)
            return 2
    return 0

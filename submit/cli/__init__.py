"""`tvb-batch`: parse, call, print. Every command body is one call of a Python twin and one print.

Nothing here imports TVB, and each command imports what it needs itself: `--help` answers at once.
"""

from tvb_batch.submit.cli import (
    file_commands,
    job_commands,
    list_commands,
    plot_commands,
    run_commands,
    spec_commands,
    web_commands,
    worker_commands,
)
from tvb_batch.submit.cli.group import main

__all__ = [
    "file_commands",
    "job_commands",
    "list_commands",
    "main",
    "plot_commands",
    "run_commands",
    "spec_commands",
    "web_commands",
    "worker_commands",
]

"""The command `tvb-batch`. Each command parses its arguments, calls one Python function and prints.

No module here imports TVB, and each command imports what it needs itself, so `--help` is fast.
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

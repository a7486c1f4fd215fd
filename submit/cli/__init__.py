"""`tvb-batch`: parse, call, print. Every command body is one call of a Python twin and one print.

Nothing here imports TVB, and each command imports what it needs itself: `--help` answers at once.
"""

from submit.cli import control, files, looking, measuring, operating, reference, running, serving
from submit.cli.group import main

__all__ = ["control", "files", "looking", "main", "measuring", "operating", "reference", "running", "serving"]

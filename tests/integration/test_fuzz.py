"""A thousand damaged specs, messages, H5 files and ZIPs: no traceback, crash or hang. scripts/fuzz.py runs more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("kind", ["spec", "message", "h5", "zip"])
def test_damaged_things_are_refused_in_one_line(kind: str) -> None:
    command = [sys.executable, "scripts/fuzz.py", "--kind", kind, "--cases", "250", "--json"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    counts = json.loads(done.stdout)[kind]
    assert counts["refused"] > 10
    assert sum(counts.values()) == 250

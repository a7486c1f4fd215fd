"""Specs and commands for tests, run in a separate process or in this one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import SHORT

from tvb_batch.models.settings import Settings
from tvb_batch.models.spec.simulation import SimulationSpec
from tvb_batch.models.spec.sweep import SweepSpec
from tvb_batch.submit.operate.local_workers import environment


def sweep_spec(name: str, jobs: int, **changes: object) -> SweepSpec:
    base = SimulationSpec.model_validate({**SHORT, **changes})
    return SweepSpec(name=name, base=base, plan={"coupling.a": [0.001 * (n + 1) for n in range(jobs)]})


def run_tvb_batch(*arguments: str, settings: Settings, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tvb_batch.submit", *arguments]
    env = {**os.environ, **environment(settings), "COLUMNS": "200"}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, **options)  # type: ignore[call-overload]


def spec_file(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps({"name": "bad", **SHORT, **changes}, indent=1))
    return str(path)


def assert_refused(result, *words: str) -> None:
    """Check for one line on stderr, exit code 2 and no traceback."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]

"""The tutorial works as written: its spec, its commands and its Python, in order."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text()


def test_the_tutorial_works_as_it_is_written(tmp_path) -> None:
    steps = re.findall(r"```(yaml|console|python)\n(.*?)```", PAGE, re.DOTALL)
    # The command beside this Python, as in a user's shell.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "TVB_BATCH_DATA_DIR": str(tmp_path / "data"), "PATH": path}
    said = ""

    for language, text in steps:
        if language == "yaml":
            (tmp_path / "first.yaml").write_text(text)
        elif language == "python":
            said += run([sys.executable, "-c", text], tmp_path, env)
        else:
            for line in text.splitlines():
                if line.startswith("tvb-batch serve"):
                    serves(tmp_path, env)
                elif line.startswith("tvb-batch"):
                    said += run(words(line), tmp_path, env)

    assert "first: 9 jobs" in said
    assert "): 9 finished" in said
    assert "GlobalVariance" in said
    assert "1 file OK" in said
    assert (tmp_path / "first.zip").stat().st_size > 100_000


def words(line: str) -> list[str]:
    """Split a line as a shell does."""
    return shlex.split(line.partition(" #")[0])


def run(command: list[str], directory: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def serves(directory: Path, env: dict[str, str]) -> None:
    """Check that it prints its address, answers, and ends when it is stopped."""
    command = [sys.executable, "-m", "tvb_batch.submit", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=directory, env={**env, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        deadline = time.monotonic() + 30
        while True:
            try:
                answer = httpx.get(address, follow_redirects=False)
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        assert answer.status_code == 303
    finally:
        process.terminate()
        process.stdout.close()
        assert process.wait(30) in (0, -15)

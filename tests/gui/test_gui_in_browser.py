"""The start of the visit to the real GUI, without a browser: missing parts give one line. The visit is run by hand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "gui_in_browser.py"


def run(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("arguments", [(), ("none.zip", "shots"), (str(SCRIPT),)])
def test_a_wrong_call_prints_the_usage(arguments, tmp_path) -> None:
    done = run(*arguments, path=str(tmp_path))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: gui_in_browser.py BUNDLE DIRECTORY")


def test_without_chromium_a_message_says_what_to_install(tmp_path) -> None:
    done = run(str(SCRIPT), str(tmp_path / "shots"), path=str(tmp_path))

    assert done.returncode == 2
    assert "chromium-driver" in done.stderr
    assert not (tmp_path / "shots").exists()

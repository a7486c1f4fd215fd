"""Kernels are compiled once for a host, and wherever their directory lets them be kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tvb_batch.worker.engines.codegen import kernel_cache

KERNEL = """
@entry(types.CPointer(types.float64))
def advance(n, numbers):
    outside = 0
    for i in range(n):
        outside += compute(\"\"\"
x = get(numbers, 0, n, i, 0, 0)
y = -x * (0.5) + math.sqrt(x) if x > (0.0) else abs(x)
put(numbers, 1, n, i, y, 1, 0)
outside += 0 if abs(x) < EXP_RANGE else 1
\"\"\", "numbers", 2, n, i, numbers)
    return outside
"""

SCRIPT = """
import ctypes, sys
from pathlib import Path
import numpy as np
from tvb_batch.worker.engines.codegen.kernel_cache import load_kernel
kernel = load_kernel(Path(sys.argv[2]).read_text(), ["compute"], Path(sys.argv[1]))
numbers = np.array([4.0, -3.0, 600.0, 0.0, 0.0, 0.0])
advance = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(kernel.address("advance"))
outside = advance(3, numbers.ctypes.data)
print(outside, numbers[3:].tolist(), kernel.functions.advance._cache_hits, kernel.address(""), kernel.functions.__file__)
"""


def run(directory: Path, tmp_path: Path) -> str:
    (tmp_path / "kernel.txt").write_text(KERNEL)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent.parent)}
    command = [sys.executable, "-c", SCRIPT, str(directory), str(tmp_path / "kernel.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_a_kernel_computes_and_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    wanted = f"1 [{4 * -0.5 + 2.0}, 3.0, {-300.0 + 600.0**0.5}]"

    first, second = run(tmp_path / "kernels", tmp_path), run(tmp_path / "kernels", tmp_path)

    assert first.startswith(f"{wanted} 0 0 {tmp_path}")
    assert second.startswith(f"{wanted} 1 0 {tmp_path}")


def test_a_directory_that_cannot_be_made_is_replaced_by_one_of_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")

    found = run(tmp_path / "file" / "kernels", tmp_path)

    place = Path(found.split(" ")[-1]).parent
    assert (found.startswith("1 [0.0, 3.0"), tmp_path in place.parents, place.exists()) == (True, False, False)


@pytest.mark.parametrize("change", ["version", "processor"])
def test_another_version_or_processor_has_kernels_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    before = kernel_cache._write("text", "kernel", tmp_path)
    stamp = kernel_cache._stamp()
    old = "numba 0" if change == "version" else "+sse2"
    assert old in stamp
    monkeypatch.setattr(kernel_cache, "_stamp", lambda: stamp.replace(old, "other"))

    after = kernel_cache._write("text", "kernel", tmp_path)

    assert before != after
    assert before.read_text() == after.read_text() == "text"

"""What Numba compiled is kept for other processes, whatever happens to the files."""

import errno
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import wait_until

SOURCE = """
from numba import types

from tvb_batch.worker.engines.jit_cache import entry, jit


@jit
def twice(x):
    return 2 * x


@entry(types.CPointer(types.float64))
def count(n, numbers):
    return n
"""


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "source_1.py"
    path.write_text(SOURCE)
    yield path
    sys.modules.pop(path.stem, None)


def load(path: Path) -> ModuleType:
    """As a new process would; Numba looks the module up by its name."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def kept(directory: Path) -> list[Path]:
    return sorted(directory.rglob("*.kept"))


def times_loaded(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def test_what_was_compiled_is_loaded_the_next_time(source: Path) -> None:
    assert load(source).twice(4) == 8

    again = load(source)

    assert (again.twice(5), times_loaded(again.twice), again.count._cache_hits) == (10, 1, 1)
    assert len(kept(source.parent)) == 2


def test_each_kind_of_argument_has_a_file_of_its_own(source: Path) -> None:
    module = load(source)

    assert (module.twice(4), module.twice(1.25)) == (8, 2.5)
    again = load(source)

    assert (again.twice(1.25), again.twice(4), times_loaded(again.twice)) == (2.5, 8, 2)


def _shorten(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def _pretend(content: bytes) -> bytes:
    other = pickle.dumps("something else")
    return sha256(other).digest() + other


@pytest.mark.parametrize("damage", [_shorten, _flip, _pretend, lambda content: b""])
def test_a_damaged_file_is_compiled_again(source: Path, damage: Callable[[bytes], bytes]) -> None:
    load(source).twice(4)
    whole = kept(source.parent)
    for path in whole:
        path.write_bytes(damage(path.read_bytes()))

    again = load(source)

    assert (again.twice(4), times_loaded(again.twice)) == (8, 0)
    third = load(source)
    assert (third.twice(4), times_loaded(third.twice), kept(source.parent)) == (8, 1, whole)


def test_a_full_disk_costs_only_the_time_to_compile(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)

    assert load(source).twice(4) == 8
    assert [path for path in source.parent.rglob("*") if path.suffix in (".kept", ".part")] == []


def start(source: Path) -> "subprocess.Popen[str]":
    text = (
        "import sys; sys.path.insert(0, sys.argv[1]); print('begin', flush=True)\n"
        "import source_1; print(source_1.twice(4), source_1.twice(0.5), source_1.twice.stats.cache_hits.total())"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent.parent)}
    command = [sys.executable, "-c", text, str(source.parent)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_may_compile_the_same_at_once(source: Path) -> None:
    processes = [start(source) for _ in range(3)]

    outputs = [process.communicate(timeout=120)[0].split("\n")[1] for process in processes]

    assert [output.rsplit(" ", 1)[0] for output in outputs] == ["8 1.0"] * 3
    assert start(source).communicate(timeout=120)[0].split("\n")[1] == "8 1.0 2"
    again = load(source)
    assert (again.twice(4), again.twice(0.5), times_loaded(again.twice)) == (8, 1.0, 2)


def test_a_process_killed_while_it_compiles_leaves_nothing_broken(source: Path) -> None:
    process = start(source)
    assert process.stdout is not None
    assert process.stdout.readline() == "begin\n"
    wait_until(lambda: kept(source.parent), seconds=60, every=0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert (load(source).twice(4), load(source).twice(0.5)) == (8, 1.0)

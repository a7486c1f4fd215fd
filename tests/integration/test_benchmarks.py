"""The table of all benchmarks, with real rows of the fastest ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import catalogue
from benchmarks.__main__ import NAMES

ROOT = Path(__file__).parent.parent.parent


def test_every_row_has_figures_and_a_named_baseline() -> None:
    rows = list(catalogue.rows(jobs=1_000, sizes=(100, 200), turns=2))

    assert len({row.measured for row in rows}) == len(rows) > 10
    for row in rows:
        assert row.benchmark == "catalogue"
        assert row.baseline not in ("", row.measured), row
        assert len(row.turns) == len(row.baseline_turns) == 2, row
        assert min(*row.turns, *row.baseline_turns, row.ratio) > 0, row


def test_rows_are_printed_as_one_table_without_missing_baselines() -> None:
    program = (
        "from benchmarks import catalogue, table\n"
        "catalogue.binaries = lambda: None\n"
        "table.show(catalogue.rows(1_000, (100,), 1))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stderr == "PostgreSQL is not installed: its rows are left out\n"
    head, rule, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines())
    assert head == ["Benchmark", "Measured", "Figure", "Baseline", "Its figure", "Ratio", "Note"]
    assert {cell.strip("-") for cell in rule} == {""}
    assert {len(cells) for cells in lines} == {len(head)}
    for _, measured, figure, _, its_figure, ratio, _ in lines:
        assert measured.startswith("SQLite: ")
        # The same unit.
        assert figure.split()[1:] == its_figure.split()[1:], measured
        assert ratio.split(maxsplit=1)[1] in ("times as fast", "times the time"), measured


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_documented(name: str) -> None:
    assert (ROOT / "benchmarks" / f"{name}.py").exists()
    assert f"| `{name}" in (ROOT / "docs" / "benchmarks.md").read_text()

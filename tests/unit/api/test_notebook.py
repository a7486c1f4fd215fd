"""The example notebook: its cells run, and its outputs are their results."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import EXAMPLES

from tvb_batch.submit.api.results import Sweep, TimeSeries
from tvb_batch.submit.operate.local_workers import environment

NOTEBOOK = EXAMPLES / "notebook.ipynb"


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text())["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def value_of(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; return the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_notebook_was_executed_from_top_to_bottom_without_a_fault() -> None:
    for number, cell in enumerate(cells(), start=1):
        assert cell["execution_count"] == number
        assert all(output["output_type"] != "error" for output in cell["outputs"])
    pictures = [output for cell in cells() for output in cell["outputs"] if "image/png" in output.get("data", {})]
    assert len(pictures) == 3
    assert "/home" not in NOTEBOOK.read_text()


def test_its_cells_run_as_plain_python(settings, monkeypatch) -> None:
    pytest.importorskip("xarray")
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {}

    values = [value_of("".join(cell["source"]), names) for cell in cells()]

    assert isinstance(names["sweep"], Sweep)
    assert names["sweep"].counts() == {"FINISHED": 18}
    assert isinstance(names["series"], TimeSeries)
    assert names["last"].shape == (100, 76)
    # The shown numbers are equal on every machine: seeds are part of a sweep.
    shown = "".join(cells()[2]["outputs"][0]["data"]["text/plain"])
    assert f"{values[2]['KuramotoIndex'].iloc[0]:.6f}" in shown
    assert Path(names["series"].path).is_file()

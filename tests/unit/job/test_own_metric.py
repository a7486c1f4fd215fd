"""A user's metric: one function in a module named in TVB_BATCH_MODULES, from the docs to the catalogue."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from conftest import SHORT

from tvb_batch.models.catalogue import Catalogue
from tvb_batch.models.settings import Settings

DOCS = Path(__file__).parent.parent.parent.parent / "docs" / "spec.md"


def of_the_docs() -> str:
    """Write the example of the docs as a user copies it."""
    [example] = [code for code in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S) if "@metric" in code]
    return example


def run(tmp_path: Path, module: str, command: str = "run") -> subprocess.CompletedProcess[str]:
    (tmp_path / "my_metrics.py").write_text(module)
    (tmp_path / "spec.json").write_text(json.dumps({"name": "m", **SHORT}))
    own = {
        "TVB_BATCH_MODULES": "my_metrics", "TVB_BATCH_MODULES_DIR": ".",
        "TVB_BATCH_DATA_DIR": str(tmp_path / "data"), "TVB_BATCH_CACHE_DIR": str(tmp_path / "cache"),
    }  # fmt: skip
    words = [sys.executable, "-m", "tvb_batch.submit", command, str(tmp_path / "spec.json"), "-w", "1"]
    return subprocess.run(words, env={**os.environ, **own}, cwd=tmp_path, capture_output=True, text=True, timeout=300)


def test_the_example_of_the_docs_is_in_the_catalogue(tmp_path) -> None:
    done = run(tmp_path, of_the_docs())

    assert done.returncode == 0, done.stderr
    settings = Settings(data_dir=tmp_path / "data")
    catalogue = Catalogue.open(settings.database)
    [job] = catalogue.jobs()
    [output] = catalogue.outputs([job.gid])
    with h5py.File(settings.storage.absolute(output.path)) as file:
        data = file["data"][()]
    found = catalogue.metrics([job.gid])[job.gid]
    assert found["highest"] == found["monitors[0].highest"] == data[15:].max()
    assert [one.gid for one in catalogue.jobs(where="highest > -1e9")] == [job.gid]
    assert catalogue.jobs(where="highest > 1e9") == []
    catalogue.dispose()


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("def broken(:", "SyntaxError"),
        ("from tvb_batch.worker.job.metrics import metric\nmetric('mean')(lambda series: 0.0)", "choose another name"),
        ("1 / 0", "ZeroDivisionError"),
    ],
    ids=["syntax", "taken", "raises"],
)
def test_a_module_that_cannot_be_imported_stops_the_worker_with_the_reason(tmp_path, module: str, words: str) -> None:
    done = run(tmp_path, module)

    logs = "".join(path.read_text() for path in (tmp_path / "data" / "logs").iterdir())
    assert done.returncode != 0
    assert "module_import_failed" in logs
    assert words in logs

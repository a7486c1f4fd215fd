"""The worker's programs, started as by the client: their imports, and how their errors reach the client."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tvb_batch.models.worker_protocol import (
    CheckFiles,
    CompareFile,
    ConvertToTvb1,
    DumpKernel,
    EstimateCost,
    Request,
    Rerun,
    WorkerModule,
    WriteBundle,
    WriteTvb1Bundle,
)
from tvb_batch.submit.operate.processes import WorkerProcessError, run_worker

#: Modules that the programs import; a user may have files with the same names.
HOSTILE = ("models", "worker", "submit", "numpy", "redis", "celery", "h5py", "json", "tvb", "tvb_batch")

GONE = Path("/nowhere/gone.h5")
REQUESTS = {
    request.module: request
    for request in (
        WriteBundle("data", "b", Path("b.zip"), files=(GONE,)),
        WriteTvb1Bundle((GONE,), Path("b.zip")),
        ConvertToTvb1(GONE, Path("b.h5")),
        CheckFiles((GONE,)),
        CompareFile(GONE, "gone.h5"),
        DumpKernel({"model": {"class": "Nothing"}}),
        EstimateCost({"model": {"class": "Nothing"}}),
        Rerun(GONE),
    )
}


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Use a working folder with modules that create a file when imported; return the imported ones."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(
            f"from pathlib import Path\nPath({str(folder)!r}, '{name}.imported').touch()\nraise ImportError\n"
        )
    monkeypatch.chdir(folder)
    return lambda: sorted(path.stem for path in folder.glob("*.imported"))


@pytest.mark.slow
@pytest.mark.parametrize("module", WorkerModule)
def test_a_program_imports_nothing_from_the_working_folder(settings, hostile, module: WorkerModule) -> None:
    request: Request = REQUESTS[module]

    try:
        answer = run_worker(settings, request, may_fail=True)
    except WorkerProcessError as exc:
        answer = str(exc)

    assert hostile() == []
    # The program has read the request.
    assert ("gone.h5" in answer) or ("Nothing" in answer), answer


@pytest.mark.slow
def test_each_request_has_a_line_of_its_own(settings, tmp_path: Path) -> None:
    requests = [CompareFile(tmp_path / f"{number}.h5", f"{number}.h5") for number in range(3)]

    answer = run_worker(settings, *requests, may_fail=True)

    assert answer.splitlines() == ["0.h5: missing", "1.h5: missing", "2.h5: missing"]

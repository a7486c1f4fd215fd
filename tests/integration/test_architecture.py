"""The rules for imports between packages; a client never imports TVB."""

import ast
import os
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import EXAMPLES

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("models", "submit", "worker")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path, *, top_level_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def users_of(*libraries: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if any(name.split(".")[0] in libraries for name in imported(path))
    }


@pytest.mark.parametrize(
    ("package", "forbidden"), [("models", {"submit", "worker"}), ("submit", {"worker"}), ("worker", {"submit"})]
)
def test_imports_go_one_way(package: str, forbidden: set[str]) -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name.removeprefix("tvb_batch.").split(".")[0] in forbidden
    }

    assert found == set()


#: The engine's rooms, from the ground up; `*` are the modules beside them that no room needs.
FLOORS = (
    {"jit_cache", "graph", "reference"},
    {"primitives"},
    {"tracing"},
    {"passes"},
    {"frontend"},
    {"codegen"},
    {"runtime"},
    {"*"},
)


def test_the_rooms_of_the_engine_import_only_lower_floors() -> None:
    engines = ROOT / "worker" / "engines"
    floors = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    found = {
        (path.relative_to(engines).as_posix(), name)
        for path in engines.rglob("*.py")
        for name in imported(path)
        if name.startswith("tvb_batch.worker.engines.")
        and (own := path.relative_to(engines).with_suffix("").parts[0]) != (other := name.split(".")[3])
        and floors.get(other, floors["*"]) >= floors.get(own, floors["*"]) < floors["*"]
    }

    assert found == set()


def imports_of_modules() -> dict[str, set[str]]:
    """Return the modules that each module imports, inside functions too."""
    names = {f"tvb_batch.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}": path for path in MODULES}
    found: dict[str, set[str]] = {}
    for name, path in names.items():
        nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        targets = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        targets |= {str(node.module) for node in nodes}
        found[name] = (targets & names.keys()) - {name}
    return found


def test_imports_form_no_circle_between_modules_or_rooms() -> None:
    modules = imports_of_modules()
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, targets in modules.items():
        # Files at the top of a package are not a room: some are below all rooms, such as errors, others above. The
        # rooms of the engine have floors of their own.
        room = name.rpartition(".")[0]
        if room.count(".") > 1 and ".engines" not in room:
            rooms[room] |= {target.rpartition(".")[0] for target in targets} - {room}

    assert len(modules) > 100
    list(TopologicalSorter(modules).static_order())
    list(
        TopologicalSorter({room: {one for one in used if one in rooms} for room, used in rooms.items()}).static_order()
    )


def test_no_module_imports_the_package_models_by_its_bare_name() -> None:
    assert [path for path in MODULES if "models" in imported(path)] == []


def test_only_the_worker_imports_tvb_and_no_module_at_import_time() -> None:
    at_import = {path for path in MODULES if any(n.split(".")[0] == "tvb" for n in imported(path, top_level_only=True))}

    assert at_import == set()
    rooms = {"models/spec/assembly.py", "models/tvb/introspect.py", "models/tvb/readers.py", "models/tvb/traits.py"}
    assert {path for path in users_of("tvb") if not path.startswith("worker/")} <= rooms


def test_each_library_is_imported_only_in_its_rooms() -> None:
    rooms = {"models/queue.py", "submit/intake/enqueue.py", "worker/app.py", "worker/pool.py", "worker/tasks.py"} | {
        "worker/reconciler.py",
        "worker/remote_control.py",
    }
    assert users_of("celery") <= rooms
    # Other rooms only read: `inputs/` and a user's time series.
    assert {path for path in users_of("h5py") if not path.startswith("worker/")} <= {
        "models/tvb/h5_guard.py", "models/tvb/readers.py", "submit/api/time_series.py",
    }  # fmt: skip
    assert all(path.startswith("models/") for path in users_of("sqlalchemy", "alembic"))


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if any(word in path.read_text() for word in ("os.getenv", "os.environ.get", "os.environ["))
    }

    # The working folder is taken off the path before the settings can be imported.
    assert readers == {"worker/celery.py"}


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["sweeps"], ["submit", "--dry-run", str(EXAMPLES / "sweep.yaml")]],
    ids=lambda a: a[0],
)
def test_a_client_command_does_not_import_tvb(tmp_path: Path, arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from tvb_batch.submit.cli import main\n"
        "try:\n    main(prog_name='tvb-batch')\n"
        "finally:\n    heavy = {'tvb', 'h5py', 'numba', 'scipy', 'matplotlib'} & set(sys.modules)\n"
        "    print('HEAVY', sorted(heavy), file=sys.stderr)\n"
    )
    env = {**os.environ, "TVB_BATCH_DATA_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=env, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stderr

"""The source files that decide a result, and those that a process has imported."""

import importlib
import os
import py_compile
import shutil
import subprocess
import sys
import textwrap
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from specs import NO_INPUTS

from tvb_batch.models.errors import SpecError
from tvb_batch.models.own_code.allowed import allow
from tvb_batch.models.own_code.imports import changed, check_unchanged, load_module
from tvb_batch.models.own_code.sources import MISSING, Here, closure, tvb_version
from tvb_batch.models.tvb.components import find_component


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder for modules."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    """Write modules by name, with `__` for a dot."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


#: A source, and the module that must be found in it.
IMPORTS = {
    "import helper_beside": "helper_beside",
    "import helper_beside as h, os": "helper_beside",
    "from helper_beside import gain": "helper_beside",
    "from helper_beside import *": "helper_beside",
    "def f():\n    import helper_beside": "helper_beside",
    "try:\n    import helper_beside\nexcept ImportError:\n    pass": "helper_beside",
    "import importlib\nimportlib.import_module('helper_beside')": "helper_beside",
    "h = __import__('helper_beside')": "helper_beside",
    "from . import inner": "lab.inner",
    "from .inner import gain": "lab.inner",
    "from lab import inner": "lab.inner",
    "import lab.deep.most": "lab.deep.most",
    "from .deep import most": "lab.deep.most",
    "from lab.deep import *": "lab.deep.most",
    "from importlib import import_module\nimport_module('.inner', __package__)": "lab.inner",
    "import through": "helper_beside",
    "import lab.bare.deep.far": "lab.bare.deep.far",
    "import importlib\nimportlib.import_module(name='helper_beside')": "helper_beside",
    "import importlib\nimportlib.import_module('.deep.most', package='lab')": "lab.deep.most",
}


@pytest.mark.parametrize("text", IMPORTS, ids=lambda text: text.splitlines()[-1].strip())
def test_the_imports_of_a_module_belong_to_its_source(folder, text) -> None:
    write(folder, lab__models=f"raise SystemExit('executed')\n{text}\n", lab__inner="gain = 1",
          lab__deep__most="gain = 1", lab__bare__deep__far="gain = 1", helper_beside="gain = 1", through="import helper_beside",
          unused="gain = 1", lab__unused="gain = 1")  # fmt: skip
    for package in ("lab", "lab/deep"):
        (folder / package / "__init__.py").touch()
    allow(["lab.models"])

    before = Here().of_data(["lab.models"])

    wanted = IMPORTS[text]
    assert {"source lab", "source lab.models", f"source {wanted}"} <= before.keys()
    assert not {name for name in before if "unused" in name}
    path = folder / f"{wanted.replace('.', '/')}.py"
    path.write_text("gain = 2")
    after = Here().of_data(["lab.models"])
    assert [name for name in before if before[name] != after[name]] == [f"source {wanted}"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), 'vendored'))\nimport far", "far"),
        ("import sys\nfrom pathlib import Path\nsys.path.append(str(Path(__file__).parent))\nimport near", "near"),
        ("import os, site\nsite.addsitedir(os.path.join(os.path.dirname(__file__), 'a', 'b'))\nimport low.most",
         "low.most"),
        ("import sys\nsys.path.append(HERE + '/../beside')\nimport outer", "outer"),
    ],
    ids=["a folder beside", "its own folder", "a folder below", "a folder of the parent"],
)  # fmt: skip
def test_a_folder_that_a_source_names_is_searched_for_what_it_imports(folder, text, wanted) -> None:
    write(folder, lab__models=text,
          lab____init__="", lab__vendored__far="", lab__near="", lab__a__b__low__most="", beside__outer="")  # fmt: skip
    allow(["lab.models"])

    assert f"source {wanted}" in Here().of_data(["lab.models"])


def test_installed_packages_and_this_program_are_not_followed_but_what_the_operator_names_is(folder) -> None:
    write(
        folder,
        mine="import numpy, json, yaml, tvb.simulator.models, tvb_batch.worker.job.metrics\nimport installed_lab.models",
    )
    site = folder / "site-packages"
    write(site, installed_lab__models="from . import inner", installed_lab__inner="")
    (site / "installed_lab" / "__init__.py").touch()
    sys.path.append(str(site))
    try:
        allow(["mine"])
        assert set(closure("mine").files) == {"mine"}
        allow(["installed_lab.models"])
        assert set(closure("mine").files) == {
            "mine", "installed_lab", "installed_lab.models", "installed_lab.inner",
        }  # fmt: skip
    finally:
        sys.path.remove(str(site))


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nfrom pathlib import Path\ngain = np.load(Path(__file__).with_name('gains.npy'))",
        "import os\ngain = open(os.path.join(os.path.dirname(__file__), 'data', 'gains.txt'))",
        "gain = open(__file__[:-7] + 'data/gains.txt')",
        "exec(open('part.inc').read())",
        "gain = open(f'{HERE}/gains.npy')",
        "gain = open(os.path.dirname(os.fsencode(__file__)) + b'/gains.npy')",
        "gain = open(Path(__file__).parent / 'data' / 'v1' / 'deep.txt')",
        "gain = open(os.path.join(HERE, 'data', '..', 'part.inc'))",
        "gain = open(Path(__file__).with_suffix('.json'))",
        "gain = glob(os.path.join(HERE, 'part_*.txt'))",
        "gain = importlib.resources.files('data.v1').joinpath('deep.txt')",
        "gain = pkgutil.get_data('data.v1', 'deep.txt')",
    ],
)
def test_files_that_a_source_names_decide_too(folder, text) -> None:
    write(folder, mine=text)
    (folder / "data" / "v1").mkdir(parents=True)
    names = ("gains.npy", "data/gains.txt", "part.inc", "data/v1/deep.txt", "mine.json", "part_1.txt", "other.npy")
    for name in names:
        (folder / name).write_text("1")
    before = Here().of_data(["mine"])
    for name in names:
        (folder / name).write_text("2")

    after = Here().of_data(["mine"])

    found = {closure("mine").files[name.removeprefix("source ")] for name in before if before[name] != after[name]}
    assert len({path.resolve() for path in found}) == 1
    assert not {name for name in before if "other" in name}


def test_a_broken_or_missing_source_has_a_digest_too(folder) -> None:
    write(folder, broken="def f(:")

    assert len(Here().of_data(["broken"])["source broken"]) == 16
    assert Here().of_data(["nowhere"]) == {"source nowhere": MISSING}


def test_only_modules_that_may_register_one_decide_the_metrics(folder) -> None:
    write(folder, models_only="import numpy", measuring="from helper_m import metric", helper_m="""
        from tvb_batch.worker.job.metrics import metric
    """)  # fmt: skip
    allow(["models_only", "measuring"])

    assert set(Here().of_metrics()) == {"metrics measuring", "metrics helper_m"}


# ------------------------------------------------------------------------------------------------- in one process

MODEL = """
import numpy as np
from tvb.basic.neotraits.api import NArray
from tvb.simulator.models import Generic2dOscillator
GAIN = 1.0

class Mine(Generic2dOscillator):
    own = NArray(default=np.array([0.5]))

    def dfun(self, state, coupling, local_coupling=0.0):
        return super().dfun(state, coupling, local_coupling) * 0.5
"""

EDITS = {
    "a function": ("* 0.5", "* 0.7"),
    "a number": ("GAIN = 1.0", "GAIN = 2.0"),
    "a default": ("[0.5]", "[0.7]"),
    "a comment": ("GAIN", "# a comment\nGAIN"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_class_that_was_edited_since_it_was_imported_is_refused(folder, edit) -> None:
    write(folder, edited_here=MODEL)
    allow(["edited_here"])
    load_module("edited_here")
    check_unchanged(["edited_here"])

    write(folder, edited_here=MODEL.replace(*EDITS[edit]))

    assert changed() == ["edited_here"]
    with pytest.raises(SpecError, match=r"edited_here.py differs from the module that this process imported"):
        check_unchanged(["edited_here"])
    importlib.reload(sys.modules["edited_here"])
    check_unchanged(["edited_here"])
    assert changed() == []


@pytest.mark.parametrize("edit", ["a function", "a number"])
def test_a_class_edited_before_its_import_was_recorded_is_refused(folder, edit) -> None:
    write(folder, edited_before=MODEL)
    importlib.import_module("edited_before")
    allow(["edited_before"])

    write(folder, edited_before=MODEL.replace(*EDITS[edit]))

    with pytest.raises(SpecError, match="edited, or a function or number of the module was replaced"):
        check_unchanged(["edited_before"])
    write(folder, edited_before=MODEL.replace("GAIN", "# only a comment\nGAIN"))
    importlib.reload(sys.modules["edited_before"])
    check_unchanged(["edited_before"])


def test_a_file_that_was_written_again_as_it_was_is_the_same(folder) -> None:
    write(folder, same=MODEL)
    load_module("same")

    write(folder, same=MODEL)
    os.utime(folder / "same.py", (1, 1))

    assert changed() == []


def test_a_reloaded_module_has_new_defaults_and_its_old_objects_are_refused(folder) -> None:
    from tvb_batch.models.tvb.traits import to_section

    write(folder, again=MODEL)
    allow(["again"])
    old = load_module("again").Mine()
    assert find_component("model", "again.Mine", "model").attributes["own"].default == [0.5]

    write(folder, again=MODEL.replace("[0.5]", "[0.7]"))
    importlib.reload(sys.modules["again"])

    assert find_component("model", "again.Mine", "model").attributes["own"].default == [0.7]
    assert to_section("model", sys.modules["again"].Mine(), NO_INPUTS)["own"] == [0.7]
    with pytest.raises(SpecError, match="the module was imported again: make the object again"):
        to_section("model", old, NO_INPUTS)


def test_stale_bytecode_does_not_replace_the_source(folder) -> None:
    path = folder / "compiled_before.py"
    path.write_text("GAIN = 1")
    py_compile.compile(str(path), cache_from_source(str(path)))
    times = path.stat().st_mtime_ns
    path.write_text("GAIN = 2")
    os.utime(path, ns=(times, times))
    shown = subprocess.run(
        [sys.executable, "-c", "import compiled_before; print(compiled_before.GAIN)"], cwd=folder, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert shown.stdout == "1\n", "Python itself takes the bytecode"

    assert load_module("compiled_before").GAIN == 2


# ---------------------------------------------------------------------------------------------------------------- TVB


def test_a_tvb_library_whose_source_was_edited_has_another_version(tmp_path) -> None:
    import tvb

    assert tvb_version() == importlib.metadata.version("tvb-library")
    for part in ("basic", "datatypes", "simulator"):
        shutil.copytree(Path(tvb.__path__[0], part), tmp_path / "tvb" / part)
    (tmp_path / "tvb" / "__init__.py").touch()

    def elsewhere() -> str:
        program = "from tvb_batch.models.own_code.sources import tvb_version; print(tvb_version())"
        paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent.parent.parent)])
        env = {**os.environ, "PYTHONPATH": paths}
        return subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert elsewhere() == tvb_version()
    edited = tmp_path / "tvb" / "simulator" / "coupling.py"
    edited.write_text(edited.read_text() + "\n# edited\n")
    assert elsewhere().startswith(f"{tvb_version()}+changed.")

"""Connectivities by name and by content."""

import shutil
from importlib.resources import files

import pytest

from models.errors import InputError, OutputError
from models.paths import Storage
from worker.inputs import load_connectivity


@pytest.fixture
def storage(tmp_path) -> Storage:
    storage = Storage(tmp_path)
    storage.inputs.mkdir()
    return storage


def test_the_same_content_has_the_same_gid_under_any_name(storage) -> None:
    source = files("tvb_data") / "connectivity" / "connectivity_76.zip"
    shutil.copy(str(source), storage.input("ab" * 32, ".zip"))

    by_name = load_connectivity("connectivity_76.zip", storage)
    by_content = load_connectivity(f"inputs/{'ab' * 32}.zip", storage)

    assert by_name.gid == by_content.gid
    assert load_connectivity("connectivity_68.zip", storage).gid != by_name.gid


@pytest.mark.parametrize("name", ["../x.zip", "/etc/passwd", "outputs/x.zip", "inputs/../../x.zip"])
def test_nothing_outside_the_inputs_is_read(storage, name: str) -> None:
    with pytest.raises((InputError, OutputError)):
        load_connectivity(name, storage)


def test_a_missing_input_says_what_to_do(storage) -> None:
    with pytest.raises(InputError, match="no such file; submit the spec again"):
        load_connectivity("inputs/gone.zip", storage)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"no zip at all"])
def test_a_damaged_zip_is_one_line(storage, content: bytes) -> None:
    (storage.inputs / "bad.zip").write_bytes(content)

    with pytest.raises(InputError, match=r"inputs/bad\.zip: TVB cannot read it") as caught:
        load_connectivity("inputs/bad.zip", storage)

    assert "\n" not in str(caught.value)

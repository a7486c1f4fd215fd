"""Names of files; no name leaves the data directory."""

from pathlib import Path
from uuid import UUID

import pytest

from tvb_batch.models.errors import OutputError
from tvb_batch.models.paths import Storage, part

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)


def test_a_row_names_its_file_relative_to_the_data_directory(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    path = storage.output(ONE, TWO, "TimeSeriesRegion", THREE)

    assert path.name == f"TimeSeriesRegion_{THREE.hex}.h5"
    assert storage.absolute(storage.relative(path)) == path


@pytest.mark.parametrize("relative", ["../x", "/etc/passwd", "outputs/../../x"])
def test_a_row_cannot_name_a_file_elsewhere(tmp_path: Path, relative: str) -> None:
    with pytest.raises(OutputError, match="leaves the data directory"):
        Storage(tmp_path).absolute(relative)


def test_a_link_out_of_the_data_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path)

    with pytest.raises(OutputError):
        Storage(tmp_path / "data").absolute("link/x")


def test_the_unfinished_file_is_in_the_same_directory() -> None:
    assert part(Path("/a/b.h5")) == Path("/a/b.h5.part")


def test_a_path_elsewhere_has_no_relative_name(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="outside"):
        Storage(tmp_path / "data").relative(tmp_path / "x")

"""Compression replaces a file with equal content, or leaves it unchanged."""

import h5py
import numpy as np
import pytest
from h5_files import write

from tvb_batch.models.errors import OutputError
from tvb_batch.worker.h5.compress import FILTERS, compress
from tvb_batch.worker.h5.verify import verify


@pytest.mark.parametrize("compression", FILTERS)
@pytest.mark.parametrize("samples", [1, 3, 4097, 20_000])
def test_everything_is_there_and_in_its_place(tmp_path, compression, samples: int) -> None:
    path = tmp_path / "x.h5"
    data = np.random.default_rng(1).normal(size=(samples, 2, 7, 1))
    head = write(path, data, chunks=min(samples, 3))
    with h5py.File(path) as file:
        before = {name: (dict(item.attrs), item.maxshape) for name, item in file.items() if name != "tvb_batch"}
        root, group = dict(file.attrs), dict(file["tvb_batch"].attrs)

    compress(path, compression)

    verify(path, head.gid)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["data"][()], data)
        assert {name: (dict(file[name].attrs), file[name].maxshape) for name in before} == before
        assert (dict(file.attrs), dict(file["tvb_batch"].attrs)) == (root, group)
    assert [one.name for one in tmp_path.iterdir()] == ["x.h5"]


def test_nothing_is_rewritten_without_compression(tmp_path) -> None:
    path = tmp_path / "x.h5"
    write(path, np.ones((4, 1, 2, 1)))
    before = path.stat()

    compress(path, "none")

    assert path.stat() == before


def test_a_damaged_file_stays_as_it_was(tmp_path) -> None:
    path = tmp_path / "x.h5"
    write(path, np.ones((4000, 1, 2, 1)))
    content = path.read_bytes()[:-3000]
    path.write_bytes(content)

    with pytest.raises(OutputError, match=r"x\.h5: cannot be written"):
        compress(path, "gzip")

    assert path.read_bytes() == content
    assert [one.name for one in tmp_path.iterdir()] == ["x.h5"]

"""Arrays in temporary files: the same values and files as arrays in memory."""

import numpy as np
import pytest

from hourglass.data import large_arrays
from hourglass.data.large_arrays import new_array, parts, save_array, take_rows
from hourglass.data.streaming import release_pages

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path):
    """Put every array into a file, copied in several parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(large_arrays, "MAX_BYTES_IN_MEMORY", 10)
    monkeypatch.setattr(large_arrays, "CHUNK_BYTES", 100)


@pytest.mark.parametrize(
    "values", [RNG.normal(size=(50, 3)), np.array([f"row {i}" for i in range(50)]), np.arange(50)]
)
def test_rows_and_files_are_those_of_an_array_in_memory(tmp_path, values):
    array = new_array(values.shape, values.dtype)
    assert isinstance(array, np.memmap)
    array[:] = values
    release_pages(array)
    rows = RNG.permutation(50)[:30]
    taken = take_rows(array, rows)
    np.testing.assert_array_equal(taken, values[rows])
    save_array(tmp_path / "file.npy", taken)
    np.save(tmp_path / "numpy.npy", values[rows])
    assert (tmp_path / "file.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_parts_cover_all_rows_once():
    array = np.zeros((57, 3))
    covered = np.concatenate([np.arange(57)[part] for part in parts(array)])
    assert covered.tolist() == list(range(57))
    assert len(list(parts(array))) > 1


def test_no_file_remains(tmp_path):
    array = new_array((100,), float)
    array[:] = 1
    assert list(tmp_path.iterdir()) == []

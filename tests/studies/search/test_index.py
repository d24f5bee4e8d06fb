"""The index of a data set: what is written is read, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.studies.search.index import CARD, CODES, SAMPLES, Index, Unusable

ORIGIN = {"weights": "ab" * 32, "data": "cd" * 32}
FILES = (CARD, CODES, SAMPLES)


@pytest.fixture
def index() -> Index:
    codes = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    samples = pd.DataFrame(
        {
            "id": [f"own/{i}" for i in range(20)],
            "split": ["train"] * 15 + ["test"] * 5,
            "label": ["good"] * 18 + ["bad, $\N{GREEK SMALL LETTER DELTA}$"] * 2,
            "anomaly": [False] * 18 + [True] * 2,
        }
    )
    return Index(codes, samples, ORIGIN)


@pytest.fixture
def folder(index, tmp_path) -> Path:
    index.write(tmp_path / "index")
    return tmp_path / "index"


def test_what_was_written_is_read(index, folder):
    found = Index.read(folder, ORIGIN)
    np.testing.assert_array_equal(found.codes, index.codes)
    pd.testing.assert_frame_equal(found.samples, index.samples)
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)


def test_the_same_index_is_the_same_bytes(index, folder, tmp_path):
    index.write(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("key", ORIGIN)
def test_an_index_of_other_weights_or_data_is_not_read(folder, key):
    with pytest.raises(Unusable, match="other weights or data"):
        Index.read(folder, ORIGIN | {key: "ef" * 32})


@pytest.mark.parametrize("name", FILES)
def test_an_index_without_one_of_its_files_is_not_read(folder, name):
    (folder / name).unlink()
    with pytest.raises(Unusable, match=f"{name} is missing"):
        Index.read(folder, ORIGIN)


@pytest.mark.parametrize("name", [CODES, SAMPLES])
def test_one_flipped_bit_is_damage(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-30] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(Unusable, match="damaged"):
        Index.read(folder, ORIGIN)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"origin": '])
def test_a_card_that_is_none_is_damage(folder, content):
    (folder / CARD).write_bytes(content)
    with pytest.raises(Unusable, match="damaged"):
        Index.read(folder, ORIGIN)


def test_a_sample_is_found_by_its_id(index):
    assert index.place("own/7") == 7
    assert index.place("own/77") is None


@pytest.mark.parametrize("top", [0, 21])
def test_more_neighbours_than_samples_are_refused(index, refusal, top):
    assert f"top is {top}" in refusal(index.search, index.codes[:1], top)

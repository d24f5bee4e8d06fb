"""The search index, its files, and exact nearest neighbours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.studies.search.index import CARD, CODES, SAMPLES, Index, UnusableIndexError

ORIGIN = {"weights": "ab" * 32, "data": "cd" * 32}
FILES = (CARD, CODES, SAMPLES)
RNG = np.random.default_rng(0)


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


def test_a_written_index_is_read_and_written_again_as_the_same_bytes(index, folder, tmp_path):
    read = Index.read(folder, ORIGIN)
    np.testing.assert_array_equal(read.codes, index.codes)
    pd.testing.assert_frame_equal(read.samples, index.samples)
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    read.write(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def unusable(folder: Path, message: str, **origin: str) -> None:
    with pytest.raises(UnusableIndexError, match=message):
        Index.read(folder, ORIGIN | origin)


@pytest.mark.parametrize("key", ORIGIN)
def test_an_index_of_other_weights_or_data_is_unusable(folder, key):
    unusable(folder, "other weights or data", **{key: "ef" * 32})


@pytest.mark.parametrize("name", FILES)
def test_an_index_with_a_missing_file_is_unusable(folder, name):
    (folder / name).unlink()
    unusable(folder, f"{name} is missing")


def flipped(content: bytes) -> bytes:
    return content[:-30] + bytes([content[-30] ^ 1]) + content[-29:]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (CODES, flipped),
        (SAMPLES, flipped),
        *((CARD, lambda _, new=new: new) for new in (b"", b"[]", b"{}", b'{"origin": ')),
    ],
)
def test_a_damaged_index_is_unusable(folder, name, damage):
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    unusable(folder, "damaged")


def test_a_sample_is_found_by_its_id(index):
    assert index.find("own/7") == 7
    assert index.find("own/77") is None


@pytest.mark.parametrize("top", [0, 21])
def test_more_neighbours_than_samples_are_refused(index, refusal, top):
    assert f"top is {top}" in refusal(index.search, index.codes[:1], top)


# Exact nearest neighbours


def nearest(codes: np.ndarray, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
    return Index(codes, pd.DataFrame(), ORIGIN).search(queries, top)


@pytest.mark.parametrize("latent_dim", [1, 2, 32])
@pytest.mark.parametrize("offset", [0, 1000], ids=["around 0", "far from 0"])
def test_neighbours_equal_those_of_all_distances(latent_dim, offset):
    codes, queries = (
        (offset + RNG.normal(size=(n, latent_dim))).astype(np.float32) for n in (700, 100)
    )
    expected = np.linalg.norm(codes[None].astype(float) - queries[:, None], axis=2)
    order = np.argsort(expected, axis=1, kind="stable")[:, :10]
    distances, indices = nearest(codes, queries, 10)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(distances, np.take_along_axis(expected, order, 1), rtol=1e-9)
    _, everything = nearest(codes[:12], queries[:4], 12)
    assert (np.sort(everything, 1) == np.arange(12)).all()
    own, _ = nearest(codes, codes[:50], 1)
    assert (own == 0).all()


def test_equal_distances_are_in_the_order_of_indices():
    distinct = RNG.normal(size=(3, 5)).astype(np.float32)
    kind = RNG.integers(0, 3, 160)
    distances, indices = nearest(distinct[kind], distinct, 10)
    for i in range(3):
        np.testing.assert_array_equal(indices[i], np.flatnonzero(kind == i)[:10])
    assert (distances == 0).all()

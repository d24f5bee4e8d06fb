"""Metrics of sparse codes, compared with NumPy on hand-made codes."""

import numpy as np
import pytest

from hourglass.studies.sparse_codes.metrics import CodeSums
from hourglass.studies.sparse_codes.top_samples import TopSamples

Z = np.array([[2, 0, 0, 1], [0, 0, 0, 3], [1, 0, 0, 4], [0, 0, 0, 5]], np.float32)


def arrays(samples: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs, reconstructions and codes."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (samples, 5)).astype(np.float32)
    z = np.maximum(rng.normal(-1, 1, (samples, 7)), 0).astype(np.float32)
    return x, x + rng.normal(0, 0.5, x.shape).astype(np.float32), z


def sums(x: np.ndarray, reconstruction: np.ndarray, z: np.ndarray) -> CodeSums:
    return CodeSums.of(x, reconstruction, z, x.mean(0, dtype=np.float64))


def test_sparsity_and_units_of_hand_made_codes():
    x = np.arange(8.0).reshape(4, 2)
    metrics = sums(x, x, Z).metrics()
    assert metrics["L0"] == 1.5  # 2, 1, 2 and 1 active units
    assert metrics["dead_units"] == 0.5  # the second and the third
    assert metrics["dense_units"] == 0.5  # the others are active on half or all samples
    assert (metrics["FVU"], metrics["cosine_similarity"]) == (0, pytest.approx(1))
    assert sums(x, x, Z).mean_activations.tolist() == [1.5, 0, 0, 3.25]


def test_fvu_and_cosine_equal_their_definitions():
    x, r, z = arrays()
    metrics, x, r = sums(x, r, z).metrics(), x.astype(float), r.astype(float)
    error, variation = ((x - r) ** 2).sum(1), ((x - x.mean(0)) ** 2).sum(1)
    assert metrics["FVU"] == pytest.approx(error.sum() / variation.sum())
    assert metrics["FVU_mean_of_samples"] == pytest.approx((error / variation).mean())
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(x, r, strict=True)]
    assert metrics["cosine_similarity"] == pytest.approx(np.mean(cosine))


def test_the_mean_as_reconstruction_leaves_all_variance_unexplained():
    x, _, z = arrays()
    mean = np.repeat(x.mean(0, keepdims=True), len(x), 0)
    metrics = sums(x, mean, z).metrics()
    assert metrics["FVU"] == pytest.approx(1)
    assert metrics["FVU_mean_of_samples"] == pytest.approx(1)


def test_sums_of_blocks_are_those_of_all_samples():
    x, r, z = arrays()
    mean = x.mean(0, dtype=np.float64)
    first, second = (
        CodeSums.of(x[part], r[part], z[part], mean) for part in (slice(13), slice(13, None))
    )
    assert (first + second).metrics() == pytest.approx(sums(x, r, z).metrics())


def test_inputs_without_variation_have_no_fvu():
    x = np.ones((4, 2))
    assert "FVU" not in sums(x, 0 * x, Z).metrics()
    assert sums(x, 0 * x, Z).metrics()["cosine_similarity"] == 0


def test_top_samples_of_blocks_are_the_largest_codes():
    _, _, z = arrays(200)
    z = np.round(z, 1)  # with ties
    top, rows = TopSamples.none(4, z.shape[1]), np.arange(1000, 1200)
    for part in np.array_split(np.arange(200), 7):
        top = top.with_block(rows[part], z[part])
    for unit in range(z.shape[1]):
        order = np.argsort(-z[:, unit], kind="stable")[:4]
        indices, activations = top.of_unit(unit)
        np.testing.assert_array_equal(indices, rows[order])
        np.testing.assert_array_equal(activations, z[order, unit])


def test_a_unit_has_only_the_samples_on_which_it_is_active():
    top = TopSamples.none(3, 4).with_block(np.arange(4), Z)
    assert [array.tolist() for array in top.of_unit(0)] == [[0, 2], [2, 1]]
    assert len(top.of_unit(1)[0]) == 0

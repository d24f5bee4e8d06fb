"""Baselines of large images, and their pictures, shrunk."""

import numpy as np
import pytest

from hourglass.data.tiling import Tiles
from hourglass.evaluation.baselines import neighbors, on_inputs
from hourglass.evaluation.figures.samples import shrunk
from tests.data.test_tile_batches import prepared


@pytest.mark.parametrize("padded", [False, True])
def test_the_score_of_an_image_is_the_highest_of_its_tiles(padded):
    data = prepared(padded)
    x, tiling = data.x("train"), data.scaling.tiling
    vectors = (Tiles(x, tiling)[:] / np.float32(255)).reshape(-1, 3 * 8 * 12)
    by_tile = neighbors(vectors[::2], 0)
    score = on_inputs(lambda train: by_tile, data)
    image = Tiles(x, tiling).image
    expected = [by_tile(vectors[image == i]).max() for i in range(len(x))]
    np.testing.assert_allclose(score(x), expected)


def test_large_pictures_are_shrunk_by_squares():
    x = np.random.default_rng(0).random((2, 3, 12, 20))
    squares = x.reshape(2, 3, 3, 4, 5, 4)
    np.testing.assert_allclose(shrunk(x, most=5), squares.mean((3, 5)))
    np.testing.assert_array_equal(shrunk(x, np.max, most=5), squares.max((3, 5)))
    assert shrunk(x) is x
    assert shrunk(x[..., :19], most=5).shape == (2, 3, 3, 5)
    assert shrunk(x[..., :1, :], most=5).shape == (2, 3, 1, 5)

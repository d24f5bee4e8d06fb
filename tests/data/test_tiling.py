"""Tiles cover images, and merge to what they were cut from."""

import numpy as np
import pytest

from hourglass.core.errors import UserError
from hourglass.data.tiling import INSIDE, MergedImages, Tiles, Tiling, put_padded

GRIDS = pytest.mark.parametrize(
    ("size", "tile", "overlap"),
    [
        ((32, 48), (16, 16), 0.0),
        ((33, 50), (16, 12), 0.25),
        ((40, 31), (16, 31), 0.5),
        ((29, 29), (7, 5), 0.8),
        ((16, 16), (16, 16), 0.25),
        ((9, 30), (16, 8), 0.25),
    ],
)


def images(count, channels, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, channels, *size), dtype=np.uint8)


def stack_padded(parts):
    """Return images of different sizes, (C, H, W) each, as one padded array, (N, C + 1, H, W)."""
    channels, height, width = np.max([part.shape for part in parts], axis=0)
    stacked = np.zeros((len(parts), channels + 1, height, width), parts[0].dtype)
    for place, part in zip(stacked, parts, strict=True):
        put_padded(place, part)
    return stacked


def merge_tiles(values, tiles):
    """Return pictures of images from those of all their tiles, (n, ..., h, w)."""
    merged = MergedImages(tiles, values.shape[1:-2])
    merged.add(values)
    return merged.result


@GRIDS
def test_tiles_cover_every_pixel_and_are_cut_from_the_image(size, tile, overlap):
    x, tiling = images(2, 3, size), Tiling(3, *tile, overlap)
    tiles, covered = Tiles(x, tiling), np.zeros((2, *size), int)
    for i, top, left, pixels in zip(tiles.image, *tiles.corner.T, tiles[:], strict=True):
        area = x[i, :, top : top + tile[0], left : left + tile[1]]
        np.testing.assert_array_equal(pixels[:, : area.shape[1], : area.shape[2]], area)
        assert pixels.shape == (3, *tile)
        covered[i, top : top + tile[0], left : left + tile[1]] += 1
    assert covered.min() == 1 if overlap == 0 else covered.min() >= 1
    assert len(tiles) == tiling.input_count(x) == tiles.counts.sum()


@GRIDS
def test_neighbours_overlap_by_at_least_the_share(size, tile, overlap):
    tiling = Tiling(1, *tile, overlap)
    for length, side in zip(size, tile, strict=True):
        starts = tiling.starts(length, side)
        assert starts[0] == 0
        assert starts[-1] + side == max(length, side)
        assert (np.diff(starts) <= side - side * overlap).all()


@GRIDS
def test_merged_tiles_are_the_image(size, tile, overlap):
    x = images(3, 2, size)
    merged = merge_tiles(Tiles(x, tiling := Tiling(2, *tile, overlap))[:], Tiles(x, tiling))
    assert merged.shape == x.shape
    np.testing.assert_allclose(merged, x, rtol=1e-6)
    if size == tile:
        np.testing.assert_array_equal(merged, x)


def test_merging_is_the_weighted_mean_of_a_naive_loop():
    tiling, x = Tiling(1, 8, 8, 0.5), images(1, 1, (20, 27))
    tiles, rng = Tiles(x, tiling), np.random.default_rng(0)
    values = rng.random((len(tiles), 8, 8))
    window = np.outer(*[np.sin(np.pi * np.arange(1, 9) / 9) ** 2] * 2)
    total, weight = np.zeros((2, 20, 27))
    for (top, left), picture in zip(tiles.corner, values, strict=True):
        total[top : top + 8, left : left + 8] += window * picture
        weight[top : top + 8, left : left + 8] += window
    np.testing.assert_allclose(merge_tiles(values, tiles)[0], total / weight, rtol=1e-5)


def test_no_tile_lies_in_the_padding_of_an_image():
    parts = [images(1, 3, size, seed=i)[0] for i, size in enumerate([(20, 40), (32, 24), (5, 9)])]
    x = stack_padded(parts)
    assert x.shape == (3, 4, 32, 40)
    tiling = Tiling(3, 8, 8, 0.25, padded=True)
    np.testing.assert_array_equal(tiling.sizes(x), [(20, 40), (32, 24), (5, 9)])
    tiles = Tiles(x, tiling)
    alone = [Tiles(part[None], tiling)[:] for part in parts]
    np.testing.assert_array_equal(tiles[:], np.concatenate(alone))
    merged = merge_tiles(tiles[:], tiles)
    np.testing.assert_allclose(merged, x[:, :3] * (x[:, 3:] == INSIDE), rtol=1e-6)


def test_scores_of_tiles_are_combined_per_image():
    x = stack_padded([images(1, 1, (8, 8))[0], images(1, 1, (8, 16))[0]])
    tiles = Tiles(x, Tiling(1, 8, 8, 0, padded=True))
    values = np.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(tiles.combine(values, "max"), [3, 2])
    np.testing.assert_array_equal(tiles.combine(values, "mean"), [3, 1.5])


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="`overlap` is 1; give a share"):
        Tiling(1, 8, 8, 1)
    with pytest.raises(UserError, match="`combine` is 'sum'; give max or mean"):
        Tiling(1, 8, 8, combine="sum")

"""Corruptions against the distributions that they are documented to have."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from hourglass.models.corruption import (
    Corruption,
    block,
    downsampling,
    gaussian,
    grey,
    masking,
    salt_and_pepper,
)

X = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
ELEMENTWISE = [
    partial(gaussian, noise_factor=0.3),
    partial(masking, probability=0.3),
    partial(salt_and_pepper, probability=0.3),
]
RANDOM = pytest.mark.parametrize("corrupt", [*ELEMENTWISE, partial(block, side=0.3)])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@RANDOM
def test_the_seed_decides_the_corruption_and_the_input_is_not_modified(corrupt):
    before, first, second = X.clone(), corrupt(X), corrupt(X)
    torch.manual_seed(0)
    assert torch.equal(corrupt(X), first)
    assert not torch.equal(first, second)
    assert torch.equal(X, before)


@RANDOM
def test_draws_from_a_generator_do_not_depend_on_global_draws(corrupt):
    first = corrupt(X, generator=torch.Generator().manual_seed(3))
    corrupt(X)
    assert torch.equal(first, corrupt(X, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("corrupt", ELEMENTWISE)
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_shape_and_type_are_preserved(corrupt, shape):
    corrupted = corrupt(torch.ones(shape))
    assert (corrupted.shape, corrupted.dtype) == (shape, torch.float32)


@pytest.mark.parametrize("corrupt", [gaussian, masking, salt_and_pepper])
def test_a_corruption_of_amount_0_changes_nothing(corrupt):
    assert torch.equal(corrupt(X, 0.0), X)


@pytest.mark.parametrize("noise_factor", [0.1, 0.5, 2.0])
def test_gaussian_noise_is_normal_for_each_element_and_not_clipped(noise_factor):
    noise = (gaussian(X, noise_factor) - X).flatten().numpy() / noise_factor
    assert stats.kstest(noise, "norm").pvalue > 0.01
    assert len(np.unique(noise)) > 0.9 * noise.size


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.9])
def test_masking_sets_the_given_share_of_elements_to_0(probability):
    corrupted = masking(X, probability)
    masked = corrupted == 0
    assert stats.binomtest(int(masked.sum()), X.numel(), probability).pvalue > 0.01
    assert torch.equal(corrupted[~masked], X[~masked])
    assert masked.float().flatten(1).mean(1).unique().numel() > 1  # drawn for each element


@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_salt_is_as_frequent_as_pepper(probability):
    x = torch.full((500, 1, 8, 8), 0.5)
    corrupted = salt_and_pepper(x, probability)
    assert set(corrupted.unique().tolist()) == {0.0, 0.5, 1.0}
    for value in (0, 1):
        count = int((corrupted == value).sum())
        assert stats.binomtest(count, x.numel(), probability / 2).pvalue > 0.01


@pytest.mark.parametrize(("side", "pixels"), [(0.01, 1), (0.25, 2), (0.5, 4), (0.99, 8)])
def test_a_block_is_one_square_in_all_channels(side, pixels):
    holes = block(torch.ones(200, 3, 8, 10), side) == 0
    assert torch.equal(holes, holes[:, :1].expand_as(holes))
    for hole in holes[:, 0]:
        rows, columns = hole.any(1).nonzero(), hole.any(0).nonzero()
        assert len(rows) == len(columns) == pixels
        assert rows.max() - rows.min() == columns.max() - columns.min() == pixels - 1
        assert hole.sum() == pixels**2


def test_the_position_of_a_block_is_uniform():
    holes = block(torch.ones(2000, 1, 8, 10), 0.25) == 0
    first = holes[:, 0].flatten(1).float().argmax(1)
    counts = torch.bincount(first)
    counts = counts[counts > 0]
    assert len(counts) == 7 * 9
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 11), (3, 10)])
@pytest.mark.parametrize("factor", [2, 3])
def test_downsampling_is_the_mean_of_each_tile(height, width, factor):
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    shrunk = downsampling(x, factor)
    for top in range(0, height, factor):
        for left in range(0, width, factor):
            tile = (..., slice(top, top + factor), slice(left, left + factor))
            mean = x[tile].mean((2, 3), keepdim=True)
            torch.testing.assert_close(shrunk[tile], mean.expand_as(shrunk[tile]))


def test_grey_is_the_luma_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    channels = grey(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    assert channels.shape == (1, 3, 9, 7)
    np.testing.assert_allclose(channels[0].numpy(), np.stack([luma] * 3), atol=1)


def test_noise_and_masking_draw_like_torchs_functions():
    corrupted = Corruption(noise_factor=0.3, masking=0.2)(X)
    torch.manual_seed(0)
    noisy = X + 0.3 * torch.randn_like(X)
    assert torch.equal(corrupted, noisy * (torch.rand_like(X) >= 0.2))


def test_several_corruptions_are_applied_in_order():
    x = X[:12].reshape(4, 3, 8, 8)
    settings = {"noise_factor": 0.1, "salt_and_pepper": 0.2, "masking": 0.3, "block": 0.5}
    corrupted = Corruption(grey=True, downsampling=2, **settings)(x)
    torch.manual_seed(0)
    expected = salt_and_pepper(gaussian(downsampling(grey(x), 2), 0.1), 0.2)
    assert torch.equal(corrupted, block(masking(expected, 0.3), 0.5))

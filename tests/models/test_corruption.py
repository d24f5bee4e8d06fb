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
KINDS = [
    partial(gaussian, noise_factor=0.3),
    partial(masking, probability=0.3),
    partial(salt_and_pepper, probability=0.3),
]
CORRUPTIONS = pytest.mark.parametrize("corrupt", KINDS)
RANDOM = pytest.mark.parametrize("corrupt", [*KINDS, partial(block, side=0.3)])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@RANDOM
def test_the_same_seed_gives_the_same_corruption(corrupt):
    first = corrupt(X)
    torch.manual_seed(0)
    assert torch.equal(first, corrupt(X))


@RANDOM
def test_two_draws_differ(corrupt):
    assert not torch.equal(corrupt(X), corrupt(X))


@CORRUPTIONS
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_shape_and_type_are_preserved(corrupt, shape):
    corrupted = corrupt(torch.ones(shape))
    assert (corrupted.shape, corrupted.dtype) == (shape, torch.float32)


@RANDOM
def test_the_clean_input_is_not_modified(corrupt):
    before = X.clone()
    corrupt(X)
    assert torch.equal(X, before)


@pytest.mark.parametrize("noise_factor", [0.1, 0.5, 2.0])
def test_gaussian_noise_is_normal_with_the_given_standard_deviation(noise_factor):
    noise = (gaussian(X, noise_factor) - X).flatten().numpy() / noise_factor
    assert stats.kstest(noise, "norm").pvalue > 0.01


def test_gaussian_noise_is_not_clipped():
    corrupted = gaussian(X, 2.0)
    assert corrupted.min() < 0
    assert corrupted.max() > 2


def test_gaussian_noise_is_drawn_for_each_element():
    noise = gaussian(X, 1.0) - X
    assert noise.unique().numel() > 0.99 * noise.numel()


@pytest.mark.parametrize("probability", [0.05, 0.3, 0.9])
def test_masking_sets_the_given_fraction_to_0(probability):
    zeros = int((masking(X, probability) == 0).sum())
    assert stats.binomtest(zeros, X.numel(), probability).pvalue > 0.01


def test_masking_does_not_change_other_elements():
    corrupted = masking(X, 0.5)
    assert torch.equal(corrupted[corrupted != 0], X[corrupted != 0])


def test_masking_is_drawn_for_each_element():
    masked = (masking(X, 0.5) == 0).float().flatten(1).mean(1)
    assert 0 < masked.min() < masked.max() < 1


@pytest.mark.parametrize("corrupt", [gaussian, masking, salt_and_pepper])
def test_a_corruption_of_amount_0_changes_nothing(corrupt):
    assert torch.equal(corrupt(X, 0.0), X)


@RANDOM
def test_draws_from_a_generator_do_not_depend_on_global_draws(corrupt):
    first = corrupt(X, generator=torch.Generator().manual_seed(3))
    corrupt(X)
    assert torch.equal(first, corrupt(X, generator=torch.Generator().manual_seed(3)))


def test_noise_and_masking_draw_like_torchs_functions():
    found = Corruption(noise_factor=0.3, masking=0.2)(X)
    torch.manual_seed(0)
    noisy = X + 0.3 * torch.randn_like(X)
    assert torch.equal(found, noisy * (torch.rand_like(X) >= 0.2))


@pytest.mark.parametrize("probability", [0.05, 0.5])
def test_salt_is_as_frequent_as_pepper(probability):
    x = torch.full((500, 1, 8, 8), 0.5)
    found = salt_and_pepper(x, probability)
    assert set(found.unique().tolist()) == {0.0, 0.5, 1.0}
    for value in (0, 1):
        hit = int((found == value).sum())
        assert stats.binomtest(hit, x.numel(), probability / 2).pvalue > 0.01


@pytest.mark.parametrize(("side", "pixels"), [(0.01, 1), (0.25, 2), (0.5, 4), (0.99, 8)])
def test_a_block_is_one_square_in_all_channels(side, pixels):
    holes = block(torch.ones(200, 3, 8, 10), side) == 0
    assert torch.equal(holes[:, 0], holes[:, 1])
    assert torch.equal(holes[:, 0], holes[:, 2])
    for one in holes[:, 0]:
        rows, columns = one.any(1).nonzero(), one.any(0).nonzero()
        assert len(rows) == len(columns) == pixels
        assert rows.max() - rows.min() == columns.max() - columns.min() == pixels - 1
        assert one.sum() == pixels**2


def test_the_place_of_a_block_is_uniform():
    holes = block(torch.ones(2000, 1, 8, 10), 0.25) == 0
    first = holes[:, 0].flatten(1).float().argmax(1)
    counts = torch.bincount(first, minlength=80)
    places = counts[counts > 0]
    assert len(places) == 7 * 9
    assert stats.chisquare(places.numpy()).pvalue > 0.01


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 11), (3, 10)])
@pytest.mark.parametrize("factor", [2, 3])
def test_downsampling_is_the_mean_of_each_tile(height, width, factor):
    x = torch.rand(2, 3, height, width, dtype=torch.float64)
    found = downsampling(x, factor)
    for top in range(0, height, factor):
        for left in range(0, width, factor):
            there = (..., slice(top, top + factor), slice(left, left + factor))
            mean = x[there].mean((2, 3), keepdim=True)
            torch.testing.assert_close(found[there], mean.expand_as(found[there]))


def test_grey_is_the_luma_of_pillow():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(pixels).convert("L"))
    found = grey(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    assert found.shape == (1, 3, 9, 7)
    for channel in found[0].numpy():
        np.testing.assert_allclose(channel, luma, atol=1)

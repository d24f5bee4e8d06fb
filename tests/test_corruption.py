from functools import partial

import pytest
import torch
from scipy import stats

from hourglass.training.corruption import gaussian, masking

X = torch.rand(500, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5
CORRUPTIONS = pytest.mark.parametrize(
    "corrupt", [partial(gaussian, noise_factor=0.3), partial(masking, probability=0.3)]
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@CORRUPTIONS
def test_the_same_seed_gives_the_same_corruption(corrupt):
    first = corrupt(X)
    torch.manual_seed(0)
    assert torch.equal(first, corrupt(X))


@CORRUPTIONS
def test_two_draws_differ(corrupt):
    assert not torch.equal(corrupt(X), corrupt(X))


@CORRUPTIONS
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_shape_and_type_stay(corrupt, shape):
    corrupted = corrupt(torch.ones(shape))
    assert (corrupted.shape, corrupted.dtype) == (shape, torch.float32)


@CORRUPTIONS
def test_the_clean_input_stays_as_it_was(corrupt):
    before = X.clone()
    corrupt(X)
    assert torch.equal(X, before)


@pytest.mark.parametrize("noise_factor", [0.1, 0.5, 2.0])
def test_gaussian_noise_is_normal_with_the_standard_deviation_asked_for(noise_factor):
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
def test_masking_sets_the_fraction_asked_for_to_0(probability):
    zeros = int((masking(X, probability) == 0).sum())
    assert stats.binomtest(zeros, X.numel(), probability).pvalue > 0.01


def test_masking_leaves_the_other_elements_as_they_were():
    corrupted = masking(X, 0.5)
    assert torch.equal(corrupted[corrupted != 0], X[corrupted != 0])


def test_masking_is_drawn_for_each_element():
    masked = (masking(X, 0.5) == 0).float().flatten(1).mean(1)
    assert 0 < masked.min() < masked.max() < 1


def test_no_noise_changes_nothing():
    assert torch.equal(gaussian(X, 0.0), X)


def test_masking_nothing_changes_nothing():
    assert torch.equal(masking(X, 0.0), X)

"""Corruptions of windows of a time series, (N, F, W)."""

import pytest
import torch

from hourglass.models.corruption import Corruption, block, swap
from hourglass.networks.heads import TableHeads

N, INPUTS, STEPS = 400, 3, 20
X = torch.randn(N, INPUTS, STEPS, generator=torch.Generator().manual_seed(1)) + 10


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def numbers_with_missing_cells() -> TableHeads:
    """Return heads of two columns: a number with an indicator of missing cells, and a number."""
    column = {"kind": "numeric", "width": 1, "missing_share": 0.2, "count": 100}
    return TableHeads([{**column, "indicator": True}, {**column, "indicator": False}])


@pytest.mark.parametrize(("share", "steps"), [(0.25, 5), (0.01, 1), (0.99, 20)])
def test_a_block_is_one_stretch_of_steps_of_all_channels(share, steps):
    hidden = block(X, share) == 0
    assert (hidden == hidden[:, :1]).all()  # of all channels
    positions = torch.arange(STEPS).expand(N, -1)
    first = torch.where(hidden[:, 0], positions, STEPS).amin(1)
    last = torch.where(hidden[:, 0], positions, -1).amax(1)
    assert (hidden[:, 0].sum(1) == steps).all()
    assert (last - first + 1 == steps).all()
    assert set(first.tolist()) == set(range(STEPS - steps + 1))


def test_a_swapped_cell_has_the_value_of_the_same_channel_and_step_of_another_window():
    cells = torch.arange(N * INPUTS * STEPS).reshape(X.shape)  # each value tells its cell
    swapped = swap(cells, 0.3, torch.arange(INPUTS))
    assert torch.equal(swapped % (INPUTS * STEPS), cells % (INPUTS * STEPS))
    share = (swapped != cells).double().mean().item()
    cell_count, expected = cells.numel(), 0.3 * (1 - 1 / N)
    deviation = (expected * (1 - expected) / cell_count) ** 0.5
    assert abs(share - expected) < 4 * deviation


def test_a_probability_per_column_applies_to_all_its_steps():
    swapped = swap(X, torch.tensor([0.0, 0.9, 0.0]), torch.arange(INPUTS))
    assert torch.equal(swapped[:, ::2], X[:, ::2])
    assert ((swapped != X)[:, 1].double().mean(0) > 0.7).all()


@pytest.mark.parametrize("setting", ["noise_factor", "masking", "salt_and_pepper", "swap", "block"])
def test_windows_take_each_corruption_that_is_not_for_images_only(setting):
    corruption = Corruption(**{setting: 0.5})
    corruption.check((INPUTS, STEPS))
    corrupted = corruption(X)
    assert corrupted.shape == X.shape
    assert not torch.equal(corrupted, X)


@pytest.mark.parametrize("setting", ["masking", "block"])
def test_an_indicator_tells_which_cells_were_masked(setting):
    corrupted = Corruption(**{setting: 0.5})(X, heads=numbers_with_missing_cells())
    value, _, indicator = corrupted.unbind(1)
    masked = value == 0
    assert 0.4 < masked.double().mean() < 0.6
    assert (indicator[masked] == 1).all()
    assert torch.equal(value[~masked], X[:, 0][~masked])


@pytest.mark.parametrize(("setting", "value"), [("grey", True), ("downsampling", 2)])
def test_corruptions_of_images_are_refused(refusal, setting, value):
    said = refusal(Corruption(**{setting: value}).check, (INPUTS, STEPS))
    assert f"{setting} is {value}, but samples of shape (3, 20) are not images" in said
    assert "remove the setting" in said


def test_a_block_is_refused_for_vectors_and_a_swap_for_images(refusal):
    assert "block is 0.5" in refusal(Corruption(block=0.5).check, (12,))
    assert "swap is 0.5" in refusal(Corruption(swap=0.5).check, (1, 8, 8))


def test_the_validation_error_of_windows_with_a_hidden_stretch_needs_its_restoration(build):
    module = build("denoising", (INPUTS, STEPS), block=0.5).eval()
    errors = module.validation_step(X)
    degraded = block(X, 0.5, torch.Generator().manual_seed(0))
    expected = (module(degraded) - X).square().flatten(1).mean(1)
    torch.testing.assert_close(errors, expected)

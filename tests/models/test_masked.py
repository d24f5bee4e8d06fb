"""The masked autoencoder: what it hides, what its loss counts, and what its encoder sees."""

import numpy as np
import pytest
import torch

from hourglass.models.masked import Masked
from tests.mixed_tables import mixed_detector

NUMBER = {"kind": "numeric", "width": 1, "indicator": False, "missing_share": 0.0, "count": 9}


def samples(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("visible_weight", [0.0, 0.5])
def test_the_loss_counts_hidden_cells_and_visible_ones_by_their_weight(visible_weight):
    module, x = Masked((6,), ratio=0.5, visible_weight=visible_weight), samples(20, 6)
    inputs = module.corrupt(x)
    hidden = np.isnan(inputs.numpy())
    squares = (module(inputs).detach().numpy() - x.numpy()) ** 2
    counts = hidden.sum(1), (~hidden).sum(1)
    hidden_mean, visible_mean = (
        (squares * of).sum(1) / np.maximum(count, 1)
        for of, count in zip((hidden, ~hidden), counts, strict=True)
    )
    module.corrupt = lambda _: inputs
    expected = (hidden_mean + visible_weight * visible_mean).mean()
    np.testing.assert_allclose(module.training_loss(x).item(), expected, rtol=1e-5)


def test_a_missing_cell_is_never_a_target():
    module, x = Masked((6,), ratio=0.5), samples(20, 6)
    module.add_heads([NUMBER] * 6)
    x[:, 2] = torch.nan
    inputs = module.corrupt(x)
    module.corrupt = lambda _: inputs
    first = module.training_loss(x)
    with torch.no_grad():
        module.network.decoder[-2].bias[2] += 1e3  # of the column's output
    assert first.isfinite()
    torch.testing.assert_close(module.training_loss(x), first)


def test_a_value_in_a_hidden_cell_does_not_reach_the_encoder():
    module, x = Masked((4, 12)).eval(), samples(3, 4, 12)
    other = x.clone()
    other[1, 2] = 9.0
    x[1, 2] = other[1, 2] = torch.nan
    assert torch.equal(module.encode(x), module.encode(other))
    x[1, 2] = 0.0  # a zero is not a hidden cell
    assert not torch.equal(module.encode(x), module.encode(other))


@pytest.mark.parametrize("shape", [(2, 9, 10), (3, 10)], ids=["patches", "steps"])
def test_patches_are_hidden_as_a_whole_with_the_probability(shape):
    module = Masked(shape, ratio=0.4, patch=4)
    hidden = module.corrupt(samples(2000, *shape)).isnan()
    if len(shape) == 3:  # in all channels
        assert torch.equal(hidden[:, 0], hidden[:, 1])
        hidden = hidden[:, 0]
    starts = [range(0, side, 4) for side in hidden.shape[1:]] if len(shape) == 3 else None
    for row in starts[0] if starts else range(shape[0]):
        for column in range(0, shape[-1], 4):
            rows = slice(row, row + 4) if starts else slice(row, row + 1)
            cell = hidden[:, rows, column : column + 4].flatten(1)
            assert torch.equal(cell.all(1), cell.any(1))
            assert abs(cell[:, 0].double().mean() - 0.4) < 0.05


def test_a_category_is_hidden_with_all_its_inputs_as_if_it_were_missing():
    network = mixed_detector().scoring.network
    heads = network.heads
    module = Masked(network.sample_shape, ratio=0.5)
    module.add_heads(heads.columns)
    x = samples(50, *network.sample_shape)
    hidden = module.hide(x)
    for column in range(len(heads.columns)):
        values = (heads.column == column) & ~heads.is_indicator
        cells = hidden[:, values].isnan()
        assert torch.equal(cells.all(1), cells.any(1))
        indicator = hidden[:, (heads.column == column) & heads.is_indicator]
        assert (indicator[cells.any(1)] == 1).all()
    assert module.training_loss(x).isfinite()


def test_the_validation_error_is_the_same_in_every_epoch_and_draws_no_random_numbers():
    module, x = Masked((6,), noise_factor=1.0).eval(), samples(20, 6)
    before = torch.random.get_rng_state()
    first = module.validation_step(x)
    assert first.shape == (20,)
    assert torch.equal(first, module.validation_step(x))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("setting", "value"), [("ratio", 0.0), ("ratio", 1.0), ("patch", 0), ("visible_weight", -1.0)]
)
def test_a_setting_out_of_range_is_refused(refusal, setting, value):
    assert f"{setting} is {value}" in refusal(Masked, (6,), **{setting: value})


def test_a_similarity_is_refused_as_cells_have_none(refusal):
    assert "loss is 'ssim'" in refusal(Masked, (1, 16, 16), loss="ssim")

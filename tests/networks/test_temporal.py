"""The temporal convolutional network: receptive field, pooling and lengths."""

import numpy as np
import pytest
import torch

from hourglass.core.errors import UserError
from hourglass.networks.temporal import Temporal


@pytest.mark.parametrize(("blocks", "kernel"), [(1, 3), (3, 3), (4, 3), (2, 5), (3, 1)])
def test_the_receptive_field_is_the_documented_one_and_centred(blocks, kernel):
    steps, centre = 101, 50
    net = Temporal((2, steps), 4, 4, blocks, kernel)
    for weight in net.parameters():  # no ReLU is inactive, and no terms cancel
        weight.data.abs_()
    x = torch.ones(1, 2, steps, requires_grad=True)
    features = net.encoder[: 1 + 2 * blocks](x)
    features[0, :, centre].sum().backward()
    assert x.grad is not None
    seen = np.flatnonzero(x.grad[0].any(0))
    reach = (kernel - 1) * (2**blocks - 1)  # to either side
    np.testing.assert_array_equal(seen, np.arange(centre - reach, centre + reach + 1))


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 16, 21])
def test_the_code_is_the_projection_of_means_over_time(steps):
    torch.manual_seed(0)
    net = Temporal((3, steps), 5, 8, 2, narrow=2, pool=4).double().eval()
    x = torch.randn(6, 3, steps, dtype=torch.float64)
    with torch.no_grad():
        features = net.encoder[:6](x).numpy()
        code, output = net.encode(x), net(x)
        spans = [features[:, :, i : i + 4].mean(2) for i in range(0, steps, 4)]
        means = torch.from_numpy(np.stack(spans, 2))
        torch.testing.assert_close(code, net.encoder[7:](means))
    assert output.shape == x.shape


@pytest.mark.parametrize("steps", [8, 9, 11])
def test_the_decoder_repeats_values_up_to_the_length_of_the_window(steps):
    net = Temporal((3, steps), 5, 8, 2, narrow=2, pool=4)
    values = net.decoder[:2](torch.randn(1, 5)).detach()
    expected = np.repeat(values.numpy(), 4, 2)[:, :, :steps]
    np.testing.assert_array_equal(net.decoder[2](values).numpy(), expected)


def test_hidden_activations_are_those_after_each_block():
    net = Temporal((3, 9), 5, 8, 2)
    activations = net.layers(torch.randn(4, 3, 9))
    assert [a.shape for a in activations] == [(4, 27), (4, 72), (4, 72), (4, 5)]


def test_an_even_kernel_is_refused():
    with pytest.raises(UserError, match=r"kernel is 4, but must be odd.*use 5"):
        Temporal((3, 9), 5, kernel=4)


@pytest.mark.parametrize("shape", [(5,), (1, 8, 8)])
def test_other_samples_than_windows_are_refused(shape):
    with pytest.raises(UserError, match=r"a sample has the shape .* use another variant"):
        Temporal(shape, 2)


@pytest.mark.parametrize("setting", ["width", "blocks", "kernel", "narrow", "pool"])
def test_a_size_of_zero_is_refused(setting):
    with pytest.raises(UserError, match=f"{setting} is 0"):
        Temporal((3, 9), 2, **{setting: 0})

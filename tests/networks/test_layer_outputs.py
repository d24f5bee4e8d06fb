"""Outputs of a layer: those of a plain forward hook, for any kind of network."""

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from hourglass.core.errors import UserError
from hourglass.networks import Dense
from hourglass.networks.layer_outputs import ImageModel, LayerOutputs, vectors


def hooked(network: nn.Module, layer: str, x: torch.Tensor) -> torch.Tensor:
    """Return the output of a layer in a whole forward pass, by a hook of plain torch."""
    found: list[torch.Tensor] = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, inputs, output: found.append(output.detach().clone())
    )
    with torch.inference_mode():
        network(x)
    handle.remove()
    return found[0]


@pytest.mark.parametrize("layer", ["encoder", "encoder.1", "decoder.0"])
def test_a_layer_of_a_variant_gives_what_a_hook_sees(layer):
    network = Dense((1, 4, 4), 3, hidden=[8]).eval()
    x = torch.rand(5, 1, 4, 4)
    expected = hooked(network, layer, x)
    with torch.inference_mode():
        assert torch.equal(LayerOutputs(network, layer)(x), expected)


def test_a_layer_of_an_image_model_gets_normalised_resized_colours():
    network = get_model("squeezenet1_1", weights=None).eval()
    grey = torch.rand(2, 1, 20, 20)
    model = ImageModel(network, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]))
    resized = nn.functional.interpolate(grey, (32, 32), mode="bilinear", antialias=True)
    expected = hooked(network, "features.3", (resized.repeat(1, 3, 1, 1) - mean) / std)
    with torch.inference_mode():
        torch.testing.assert_close(LayerOutputs(model, "features.3")(grey), expected)


def test_vectors_are_means_or_one_per_position():
    maps = torch.arange(2 * 3 * 2 * 2.0).reshape(2, 3, 2, 2)
    assert torch.equal(vectors(maps, "mean"), maps.mean((2, 3)))
    assert torch.equal(vectors(maps, "all")[5], maps[1, :, 0, 1])
    tokens = torch.arange(24.0).reshape(2, 4, 3)
    assert torch.equal(vectors(tokens, "mean"), tokens.mean(1))
    assert torch.equal(vectors(tokens, "all"), tokens.reshape(8, 3))
    assert torch.equal(vectors(tokens[:, 0], "all"), tokens[:, 0])


def test_an_unknown_layer_gets_the_names_of_those_that_exist():
    with pytest.raises(UserError, match=r"did you mean 'encoder'\? available: .*decoder\.0"):
        LayerOutputs(Dense((4,), 2), "encoders")


def test_a_layer_without_one_output_per_sample_is_refused():
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.unused, self.sum = nn.Identity(), nn.Flatten(0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            summed: torch.Tensor = self.sum(x)
            return summed

    with pytest.raises(UserError, match=r"for 3 inputs is \[12\]"):
        LayerOutputs(Pooled(), "sum")(torch.ones(3, 4))
    with pytest.raises(UserError, match="does not run"):
        LayerOutputs(Pooled(), "unused")(torch.ones(3, 4))

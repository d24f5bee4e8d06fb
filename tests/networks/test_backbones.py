"""Backbones: their weights from files, their layers, and the errors for files that do not fit."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor

from hourglass.core.atomic import sha256
from hourglass.networks.backbones import LITE0, Backbone, read_weights, weights_file
from hourglass.networks.efficientnet_lite import EfficientNetLite0

NAME, LAYERS = "squeezenet1_1", ["features.3", "features.6"]  # small and quick


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return get_model(NAME, weights=None).eval()


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(model.state_dict(), path)
    return path


def test_the_outputs_are_those_of_torchvisions_layers_for_normalised_colours(model, weights):
    backbone = Backbone(NAME, LAYERS)
    assert backbone.load_weights(weights) == sha256(weights)
    grey = torch.rand(2, 1, 32, 40, generator=torch.Generator().manual_seed(0))
    mean, std = (
        torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    expected = create_feature_extractor(model, LAYERS)((grey.repeat(1, 3, 1, 1) - mean) / std)
    for output, name in zip(backbone(grey), LAYERS, strict=True):
        assert torch.equal(output, expected[name])


def test_weights_saved_by_torch_load_to_the_same_values(model, weights, tmp_path):
    torch.save({"state_dict": model.state_dict()}, tmp_path / "weights.pth")
    found, expected = read_weights(tmp_path / "weights.pth"), read_weights(weights)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


class Payload:
    """An object whose unpickling would run code."""

    def __reduce__(self):
        return pytest.fail, ("code of the file ran",)


def test_a_file_with_code_is_refused_and_its_code_does_not_run(tmp_path, refusal):
    path = tmp_path / "weights.pth"
    torch.save({"layer": Payload()}, path, pickle_module=pickle)
    assert "read safely" in refusal(read_weights, path)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"hello world"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_refused(tmp_path, refusal, suffix, content):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    assert "read safely" in refusal(read_weights, path)


def test_a_missing_file_and_one_of_another_network_are_named(tmp_path, weights, refusal):
    assert "no such file" in refusal(read_weights, tmp_path / "none.pth")
    assert "is missing" in refusal(Backbone("resnet18").load_weights, weights)
    other = {name: tensor[:1] for name, tensor in read_weights(weights).items()}
    save_file(other, tmp_path / "other.safetensors")
    assert "does not fit" in refusal(
        Backbone(NAME, LAYERS).load_weights, tmp_path / "other.safetensors"
    )


def test_unknown_backbones_and_layers_are_refused(refusal):
    assert "pip install timm" in refusal(Backbone, "no_such_network", ["layer1"])
    assert "pip install timm" in refusal(Backbone, "fcn_resnet50", ["layer1"])  # would download
    assert "without a host" in refusal(Backbone, "hf-hub:someone/model", ["layer1"])
    assert "no default" in refusal(Backbone, "alexnet")
    assert "layers of backbone" in refusal(Backbone, NAME, ["no.such.layer"])
    assert "blocks.15" in refusal(Backbone, LITE0, ["blocks.16"])
    assert "nothing is downloaded" in refusal(weights_file, "resnet18", None)


def test_training_changes_no_statistics_of_the_backbone():
    backbone = Backbone(LITE0, ["blocks.1"])
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()(torch.rand(4, 3, 32, 32))
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_the_installed_weights_fill_every_layer_of_efficientnet_lite0():
    backbone = Backbone(LITE0, ["blocks.15"])
    backbone.load_weights(weights_file(LITE0, None))
    names = {name.replace("_", "") for name in read_weights(weights_file(LITE0, None))}
    head = {name for name in names if name.startswith(("convhead", "bn1.", "fc."))}
    assert names - head == {name.replace("_", "") for name in backbone.extractor.state_dict()}


@pytest.mark.parametrize("size", [(32, 32), (33, 47)], ids=str)
def test_a_block_with_stride_halves_odd_sides_upwards(size):
    outputs = EfficientNetLite0(["blocks.5"])(torch.rand(1, 3, *size))
    sides = [tuple(outputs[f"blocks.{k}"].shape[2:]) for k in (0, 1, 3, 5)]
    expected, side = [], size
    for _ in sides:
        side = tuple(-(-pixels // 2) for pixels in side)
        expected.append(side)
    assert sides == expected

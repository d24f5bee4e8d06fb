"""The network of the feature autoencoder: it reconstructs the features of a frozen backbone."""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.networks.backbones import LITE0, MIN_SIDE_PIXELS, Backbone
from hourglass.networks.base import Network, constructor_arguments, is_image, require_at_least
from hourglass.networks.weights import build

Per: TypeAlias = Literal["map", "position"]
# Added to the standard deviation of a feature, as a fraction of that of its channel, so that a
# feature that hardly varies at its position does not decide the error.
CHANNEL_STD_FRACTION = 0.1
MIN_STD_FRACTION = 1e-3  # of a channel, as a fraction of the mean over the channels


class Feature(Network):
    """Reconstruct standardised features of images with an `inner` network.

    The outputs of the backbone's `layers` are resized to the sides of the largest of them, at most
    `max_side`, and concatenated: (F, h, w). Each feature at each position is standardised over the
    images of the training split, see `standardization`. The inner network takes whole maps, or with
    `per` "position" the vector of each position, (F,). `inner` is its description by
    `weights.describe`, so the weights of this network include those of the backbone, and its file
    is not needed again. `latent_dim` follows from it; `backbone_sha256` is that of the file.

    The score of an image is the mean of the share `top_share` of the highest errors over the
    positions. Methods that take images also take standardised features, (N, F, h, w).

    Raises a UserError for samples other than images with 1 or 3 channels and 32 pixels per side.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        sample_shape: Sequence[int],
        inner: dict[str, Any],
        backbone: str = LITE0,
        layers: Sequence[str] | None = None,
        per: Per = "map",
        max_side: int = 16,
        top_share: float = 0.1,
        backbone_sha256: str = "",
        latent_dim: int | None = None,
    ) -> None:
        arguments = constructor_arguments(locals())
        extractor = FeatureMaps(sample_shape, backbone, layers, max_side)
        if not 0 < top_share <= 1:
            raise UserError(f"top_share is {top_share}, but must be above 0 and at most 1.")
        network = build(inner)
        shape = extractor.map_shape
        expected = shape if per == "map" else shape[:1]
        if network.sample_shape != expected:
            raise UserError(f"the inner network takes {network.sample_shape}, not {expected}.")
        positions = 1 if per == "map" else math.prod(shape[1:])
        super().__init__(sample_shape=sample_shape, latent_dim=network.latent_dim * positions)
        self.init_args = arguments | {"latent_dim": self.latent_dim}
        self.positions = positions  # inner samples per image
        self.per, self.top_share = per, top_share
        self.maps, self.inner = extractor, network
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("std", torch.ones(shape))

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of the features of one image, (F, h, w)."""
        return self.maps.map_shape

    def standardize_by(self, mean: Tensor, std: Tensor) -> None:
        """Set the values of `standardization`, (F, h, w) each."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def target(self, x: Tensor) -> Tensor:
        """Return the standardised features of images: (N, C, H, W) -> (N, F, h, w).

        Standardised features are returned unchanged: maps are smaller than images.
        """
        if tuple(x.shape[1:]) == self.target_shape:
            return x
        return (self.maps(x) - self.mean) / self.std

    def inner_samples(self, x: Tensor) -> Tensor:
        """Return the samples of the inner network: maps, or the vectors of all positions."""
        features = self.target(x)
        if self.per == "map":
            return features
        return features.movedim(1, -1).flatten(0, 2)

    def _maps_of(self, vectors: Tensor) -> Tensor:
        """Return the vectors of all positions as maps: (N h w, F) -> (N, F, h, w)."""
        return vectors.unflatten(0, (-1, *self.target_shape[1:])).movedim(-1, 1)

    def encode(self, x: Tensor) -> Tensor:
        """Return the latent codes, (N, latent_dim); with `per` "position", those of all joined."""
        codes = self.inner.encode_flat(self.inner_samples(x))
        return codes.unflatten(0, (-1, self.positions)).flatten(1) if self.positions > 1 else codes

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return reconstructed features before the output activation, (N, F, h, w)."""
        codes = z.unflatten(1, (self.positions, -1)).flatten(0, 1) if self.positions > 1 else z
        output = self.inner.decode_logits(codes.unflatten(1, self.inner.code_shape))
        return output if self.per == "map" else self._maps_of(output)

    def layers(self, x: Tensor) -> list[Tensor]:
        """Return the features, the hidden activations and the code, (N, F_i) each."""
        if self.per == "map":
            return self.inner.layers(self.target(x))
        return [self.target(x).flatten(1), self.encode(x)]

    def error_map(self, x: Tensor) -> Tensor:
        """Return the mean squared error of the features at each position, (N, h, w)."""
        features = self.target(x)
        return (self(features) - features).square().mean(1)

    def score(self, x: Tensor) -> Tensor:
        """Return the mean of the highest errors over the positions: (N, C, H, W) -> (N,)."""
        return top_mean(self.error_map(x).flatten(1), self.top_share)


def feature_sums(features: Tensor) -> Tensor:
    """Return count, sum and sum of squares of each feature, (N, F, h, w) -> (3, F, h, w)."""
    values = features.double()
    total, squares = values.sum(0), values.square().sum(0)
    return torch.stack([torch.full_like(total, len(values)), total, squares])


def standardization(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and scale of each feature, (F, h, w) float32 each, from its `feature_sums`.

    The scale is the standard deviation over the images, plus CHANNEL_STD_FRACTION of the standard
    deviation of the channel over images and positions.
    """
    mean, square = sums[1] / sums[0], sums[2] / sums[0]
    variance = (square - mean.square()).clamp_min(0)
    of_channel = square.mean((1, 2)) - mean.mean((1, 2)).square()
    channel_std = of_channel.clamp_min(0).sqrt()[:, None, None]
    smallest = MIN_STD_FRACTION * channel_std.mean() + torch.finfo(torch.float32).tiny
    scale = variance.sqrt() + CHANNEL_STD_FRACTION * channel_std.clamp_min(smallest)
    return mean.float(), scale.float()


def top_mean(values: Tensor, share: float) -> Tensor:
    """Return the mean of the share of the highest values, at least one: (N, M) -> (N,)."""
    count = max(1, round(share * values.shape[1]))
    return values.topk(count).values.mean(1)


class FeatureMaps(torch.nn.Module):
    """Map images to concatenated, unstandardised feature maps of a backbone, see `Feature`."""

    def __init__(
        self,
        sample_shape: Sequence[int],
        backbone: str,
        layers: Sequence[str] | None,
        max_side: int,
    ) -> None:
        super().__init__()
        if not is_image(sample_shape) or sample_shape[0] not in (1, 3):
            raise UserError(
                f"a sample is {'x'.join(map(str, sample_shape))}, but a backbone takes images with "
                "1 or 3 channels only; use another variant."
            )
        if min(sample_shape[1:]) < MIN_SIDE_PIXELS:
            raise UserError(
                f"images are {sample_shape[1]} x {sample_shape[2]} pixels, but a backbone needs at "
                f"least {MIN_SIDE_PIXELS} per side; set a larger `size` in the data set's file."
            )
        require_at_least(1, max_side=max_side)
        self.backbone = Backbone(backbone, layers)
        with torch.no_grad():
            outputs = self.backbone(torch.zeros(1, *sample_shape))
        for name, output in zip(self.backbone.layer_names, outputs, strict=True):
            if output.ndim != 4:
                raise UserError(f"layer {name!r} of {backbone} returns no feature maps.")
        height, width = (max(o.shape[axis] for o in outputs) for axis in (2, 3))
        factor = min(1, max_side / max(height, width))
        self.sides = max(1, round(height * factor)), max(1, round(width * factor))
        self.map_shape = (sum(output.shape[1] for output in outputs), *self.sides)

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature maps of images in [0, 1]: (N, C, H, W) -> (N, F, h, w)."""
        return torch.cat([self._resized(output) for output in self.backbone(images)], 1)

    def _resized(self, maps: Tensor) -> Tensor:
        """Average larger maps over areas; interpolate smaller ones."""
        sides = tuple(maps.shape[2:])
        if sides == self.sides:
            return maps
        if sides[0] >= self.sides[0] and sides[1] >= self.sides[1]:
            return functional.adaptive_avg_pool2d(maps, self.sides)
        return functional.interpolate(maps, self.sides, mode="bilinear", align_corners=False)

"""Anomaly maps: how unusual each pixel of an image is, at the resolution of the image.

A map is the mean loss over the channels of what the network reconstructs, enlarged to the size of
the image (bilinear) and smoothed (Gaussian). Both steps are linear and act on each axis alone, so
one matrix per axis does both.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hourglass.core.errors import UserError
from hourglass.detection.pixel_settings import check_smoothing
from hourglass.networks import Network, is_image
from hourglass.networks.base import require_at_least
from hourglass.networks.similarity import ssim_map

if TYPE_CHECKING:
    from hourglass.detection.scorers.forward_cache import ForwardCache

Source: TypeAlias = Literal["error", "ssim", "masked"]
SIDES_PER_SMOOTHING = 64  # the default smoothing is the shorter side divided by this


@dataclass(frozen=True)
class MapSettings:
    """Settings of anomaly maps.

    `smoothing` is the standard deviation of the Gaussian in pixels of the image: by default the
    shorter side / SIDES_PER_SMOOTHING, which is 4 at 256 pixels; 0 turns it off. `of` is the loss
    of a pixel: its squared error ("error"), or the structural dissimilarity of its surroundings,
    1 - SSIM, for networks that reconstruct pixels (Bergmann et al. 2018), or its error while
    the square of `patch` pixels around it is hidden ("masked", see `ForwardCache.patch_losses`).
    """

    smoothing: float | None = None
    of: Source = "error"
    patch: int = 4

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)
        if self.of not in get_args(Source):
            raise UserError(f"of is {self.of!r}, but must be error, ssim or masked.")
        require_at_least(1, patch=self.patch)

    def __call__(self, forward: "ForwardCache") -> Tensor:
        """Return the anomaly map of each image of a batch, (N, H, W) float32."""
        return self.enlarge(loss_maps(forward, self.of, self.patch), *image_size(forward.network))

    def enlarge(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Enlarge maps to the size of the images and smooth them: (N, h, w) -> (N, H, W)."""
        deviation = self.deviation(height, width)
        return _along_columns(_along_rows(maps, width, deviation), height, deviation)

    def deviation(self, height: int, width: int) -> float:
        """Return the standard deviation of the smoothing in pixels."""
        if self.smoothing is None:
            return min(height, width) / SIDES_PER_SMOOTHING
        return self.smoothing

    def to_dict(self) -> dict[str, Any]:
        """Return the settings for JSON files."""
        return asdict(self)


def loss_maps(forward: "ForwardCache", of: Source = "error", patch: int = 4) -> Tensor:
    """Return the mean loss over the channels of the target, (N, h, w), not enlarged or smoothed."""
    shape = forward.network.target_shape
    if of == "ssim":
        if shape != forward.network.sample_shape:
            raise UserError(
                "the maps are of ssim, but this network reconstructs features, not pixels; "
                "use of: error."
            )
        return ssim_map(forward.target, forward.output)[:, 0]
    losses = forward.patch_losses(patch) if of == "masked" else forward.losses
    return losses.reshape(-1, *shape).mean(1)


def image_size(network: Network) -> tuple[int, int]:
    """Return height and width of the images of a network; raise a UserError for other samples."""
    shape = network.sample_shape
    if not is_image(shape):
        raise UserError(
            f"anomaly maps are those of images, but a sample has shape {tuple(shape)}; use another "
            "`score`, such as hourglass.detection.scorers.ModelScore."
        )
    return shape[1], shape[2]


def _along_rows(maps: Tensor, width: int, deviation: float) -> Tensor:
    """Enlarge and smooth maps, (N, h, w) -> (N, h, W)."""
    if maps.shape[2] == width and not deviation:
        return maps
    matrix = _resample(maps.shape[2], width, deviation, maps)
    return torch.bmm(maps, matrix.T.expand(maps.shape[0], -1, -1))


def _along_columns(maps: Tensor, height: int, deviation: float) -> Tensor:
    """Enlarge and smooth maps, (N, h, W) -> (N, H, W)."""
    if maps.shape[1] == height and not deviation:
        return maps
    matrix = _resample(maps.shape[1], height, deviation, maps)
    return torch.bmm(matrix.expand(maps.shape[0], -1, -1), maps)


def _resample(size: int, target: int, deviation: float, like: Tensor) -> Tensor:
    return torch.tensor(resampling_matrix(size, target, deviation), device=like.device)


@lru_cache(maxsize=8)
def resampling_matrix(size: int, target: int, deviation: float) -> np.ndarray:
    """Return the matrix that enlarges a line linearly and smooths it, (target, size) float32.

    The line is extended by its mirror image, as by `scipy.ndimage.gaussian_filter1d`.
    """
    from scipy.ndimage import gaussian_filter1d

    units = torch.eye(size, dtype=torch.float64)[:, None]  # a line per element
    matrix = interpolate(units, target, mode="linear")[:, 0].T.numpy()
    if deviation:
        matrix = gaussian_filter1d(matrix, deviation, axis=0, mode="reflect")
    return np.ascontiguousarray(matrix, np.float32)

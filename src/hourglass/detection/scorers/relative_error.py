"""An anomaly score for images: blurred reconstruction error divided by image energy."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import MIN_SCALE_FRACTION
from hourglass.networks import is_image

# Constant added to the denominator, as a fraction of the mean sum of squares of normal images.
# Without it, faint images would get the highest scores.
FAINT_FRACTION = 0.05


class RelativeError(Scorer):
    """Divide the blurred reconstruction error of an image by its energy, the sum of squares.

    The difference of output and input is blurred with a Gaussian of standard deviation `blur`
    in pixels (0 for no blur), so that strokes shifted by half a pixel count little. The error
    grows with the number of bright pixels; the division removes this growth. With
    `standardize`, each pixel's squared error is first divided by its mean on normal samples.

    Raises a UserError if samples are vectors.
    """

    name = "relative_error"

    def __init__(self, blur: float = 1.0, standardize: bool = False) -> None:
        if not 0 <= blur < math.inf:
            raise UserError(f"blur is {blur}, but must be 0 or more, and finite.")
        self.blur = blur
        self.standardize = standardize

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the blurred squared error per pixel, then the sum of squares, (N, F + 1)."""
        if not is_image(forward.network.sample_shape):
            raise UserError("RelativeError blurs images, but a sample is a row of a table.")
        errors = blurred(forward.output - forward.x, self.blur).square().flatten(1)
        return torch.cat([errors, forward.x.square().flatten(1).sum(1, keepdim=True)], 1)

    def fit(self, features: np.ndarray) -> State:
        """Return the scale of each pixel's error, (F,), and the denominator's constant, (1,)."""
        mean = features.mean(0, dtype=np.float64)
        errors, tiny = mean[:-1], np.finfo(np.float32).tiny
        scale = errors + max(MIN_SCALE_FRACTION * errors.mean(), tiny)
        return {
            "scale": scale if self.standardize else np.ones_like(errors),
            "faint": np.maximum(FAINT_FRACTION * mean[-1:], tiny),
        }

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function from features to the scaled error divided by the sum of squares."""
        weights, faint = 1 / state["scale"], state["faint"]
        return lambda features: (features[:, :-1] @ weights) / (features[:, -1] + faint)


def blurred(images: Tensor, sd: float) -> Tensor:
    """Blur images, (N, C, H, W), with a Gaussian of `sd` pixels and zero padding."""
    if sd == 0:
        return images
    radius = math.ceil(3 * sd)
    steps = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = (-0.5 * (steps / sd).square()).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    rows = functional.conv2d(images, kernel, padding=(0, radius), groups=images.shape[1])
    return functional.conv2d(
        rows, kernel.transpose(2, 3), padding=(radius, 0), groups=images.shape[1]
    )

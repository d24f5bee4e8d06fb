"""A score for images: the blurred reconstruction error relative to the brightness of the image."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import ScoreFunction, Scorer, State
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import MIN_SCALE_FRACTION
from hourglass.networks import is_image

# Added to the denominator, as a fraction of the mean sum of squares of normal images, so that faint
# images do not get the highest scores.
FAINT_FRACTION = 0.05


class RelativeError(Scorer):
    """Divide the squared error after a blur by the image's sum of squares.

    A Gaussian blur of standard deviation `blur` in pixels (0 for none) forgives strokes that are
    misplaced by half a pixel. The quotient removes the growth of the error with the amount of ink.
    With `standardize`, each pixel's squared error is first divided by its mean on normal samples.

    Raises a UserError for vectors, which cannot be blurred.
    """

    name = "relative_error"

    def __init__(self, blur: float = 1.0, standardize: bool = False) -> None:
        if not 0 <= blur < math.inf:
            raise UserError(f"blur is {blur}, but must be 0 or more, and finite.")
        self.blur = blur
        self.standardize = standardize

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return each pixel's squared error after the blur, and the image's sum of squares, last.

        (N, F + 1).
        """
        if not is_image(forward.network.sample_shape):
            raise UserError("RelativeError blurs images, but a sample is a row of a table.")
        errors = blurred(forward.output - forward.x, self.blur).square().flatten(1)
        return torch.cat([errors, forward.x.square().flatten(1).sum(1, keepdim=True)], 1)

    def fit(self, features: np.ndarray) -> State:
        """Return the divisor of each pixel's error, (F,), and the addend of the denominator."""
        mean = features.mean(0, dtype=np.float64)
        errors, tiny = mean[:-1], np.finfo(np.float32).tiny
        scale = errors + max(MIN_SCALE_FRACTION * errors.mean(), tiny)
        return {
            "scale": scale if self.standardize else np.ones_like(errors),
            "faint": np.maximum(FAINT_FRACTION * mean[-1:], tiny),
        }

    def score_function(self, state: State) -> ScoreFunction:
        """Return the sum of errors over the sum of squares, as a function of both."""
        weights, faint = 1 / state["scale"], state["faint"]
        return lambda features: (
            (features[:, :-1].astype(np.float64) @ weights) / (features[:, -1] + faint)
        )


def blurred(images: Tensor, sd: float) -> Tensor:
    """Return images (N, C, H, W) after a Gaussian blur with zero padding; sd in pixels."""
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

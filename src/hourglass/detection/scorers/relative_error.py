"""A score for images: what is off, after a blur, relative to how much there is to see."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Scorer, Scores, State
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import LEAST_SCALE
from hourglass.networks import is_image

FAINT = 0.05  # of the mean brightness squared, added: faint images do not score highest


class RelativeError(Scorer):
    """Divide the squared error after a blur by the image's own sum of squares.

    A stroke that stands half a pixel off costs little once both are blurred, by a Gaussian of
    `blur` pixels (standard deviation, 0 for none); the quotient takes out that an error grows with
    the ink. `standardize` divides each pixel's squared error by its mean on normal samples first.

    Raises a UserError for vectors, which have no neighbours to be blurred into.
    """

    name = "relative_error"

    def __init__(self, blur: float = 1.0, standardize: bool = False) -> None:
        if not 0 <= blur < math.inf:
            raise UserError(f"blur is {blur}, but must be 0 or more, and finite.")
        self.blur = blur
        self.standardize = standardize

    def look(self, view: ForwardCache) -> Tensor:
        """Return the squared error of each pixel after the blur, and the sum of squares, last."""
        if not is_image(view.network.sample_shape):
            raise UserError("RelativeError blurs images, but a sample is a row of a table.")
        errors = blurred(view.output - view.x, self.blur).square().flatten(1)
        return torch.cat([errors, view.x.square().flatten(1).sum(1, keepdim=True)], 1)

    def fit(self, seen: np.ndarray) -> State:
        """Return what pixels' errors are divided by, (F,), and what is added to the quotient's."""
        mean = seen.mean(0, dtype=np.float64)
        usual, tiny = mean[:-1], np.finfo(np.float32).tiny
        scale = usual + max(LEAST_SCALE * usual.mean(), tiny)
        return {
            "scale": scale if self.standardize else np.ones_like(usual),
            "faint": np.maximum(FAINT * mean[-1:], tiny),
        }

    def scores(self, state: State) -> Scores:
        """Return the sum of the errors over the sum of squares."""
        weights, faint = 1 / state["scale"], state["faint"]
        return lambda seen: (seen[:, :-1].astype(np.float64) @ weights) / (seen[:, -1] + faint)


def blurred(images: Tensor, sd: float) -> Tensor:
    """Return images (N, C, H, W) after a Gaussian blur, dark outside; sd in pixels, 0 for none."""
    if sd == 0:
        return images
    reach = math.ceil(3 * sd)
    steps = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    line = (-0.5 * (steps / sd).square()).exp()
    line = (line / line.sum()).expand(images.shape[1], 1, 1, -1)
    across = functional.conv2d(images, line, padding=(0, reach), groups=images.shape[1])
    return functional.conv2d(
        across, line.transpose(2, 3), padding=(reach, 0), groups=images.shape[1]
    )

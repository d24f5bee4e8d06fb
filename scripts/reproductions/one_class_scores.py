"""Scores of a network that was trained on one class; they know nothing of the protocol."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.nn import functional

from hourglass.networks import Network

Score: TypeAlias = Callable[[Tensor], Tensor]  # (N, 1, H, W) -> (N,), higher is more abnormal


def relative_error(network: Network, train: Tensor, standardised: bool = False) -> Score:
    """Return the squared error after a blur, over the image's own sum of squares.

    Blurred by a Gaussian of one pixel, a stroke that stands half a pixel off costs little; the
    quotient takes out that an error grows with the ink. 1/20 of the mean sum of squares of `train`
    is added to the denominator: faint images do not have the highest scores. `standardised` divides
    each pixel's squared error by its mean on `train`, to which 1/10 of all pixels' mean is added.
    """
    steps = torch.arange(-3.0, 4.0)
    line = functional.normalize((-steps.square() / 2).exp(), p=1, dim=0)
    kernel = (line[:, None] * line)[None, None]

    def error(x: Tensor) -> Tensor:
        return functional.conv2d(network(x) - x, kernel, padding=3).square()

    usual = error(train).mean(0)
    weight = 1 / (usual + 0.1 * usual.mean()) if standardised else torch.ones_like(usual)
    floor = 0.05 * _energy(train).mean()
    return lambda x: (error(x) * weight).flatten(1).sum(1) / (_energy(x) + floor)


def _energy(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1)


def neighbours(embed: Callable[[Tensor], Tensor], train: Tensor) -> Score:
    """Return the mean Euclidean distance of embeddings, such as codes, to the 5 nearest ones."""
    fitted = NearestNeighbors(n_neighbors=5).fit(embed(train).numpy())

    def score(x: Tensor) -> Tensor:
        return torch.from_numpy(fitted.kneighbors(embed(x).numpy())[0].mean(1))

    return score


def combined(scores: Sequence[Score], held: Tensor) -> Score:
    """Return the mean of the scores' logarithms, each standardised on normal images `held`.

    Normal images that nothing was fitted to: on others the scores would be too small to compare.
    """

    def logs(x: Tensor) -> Tensor:
        return torch.stack([each(x).double().log() for each in scores], 1)

    known = logs(held)
    mean, spread = known.mean(0), known.std(0)
    return lambda x: ((logs(x) - mean) / spread).mean(1)


def auroc(score: Score, x: Tensor, anomaly: np.ndarray) -> float:
    """Return the area under the ROC curve in % of the scores of images `x`, 1,000 at a time."""
    found = torch.cat([score(each) for each in x.split(1000)])
    return 100 * float(roc_auc_score(anomaly, found))

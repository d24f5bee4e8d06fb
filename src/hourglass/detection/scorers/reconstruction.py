"""Scores from reconstruction errors."""

import numpy as np
from torch import Tensor

from hourglass.detection.scorers.base import Scorer, Scores, State
from hourglass.detection.scorers.forward_cache import ForwardCache

# Elements that hardly ever err must not win by nothing but that: their scale is at least this
# share of the mean scale over all elements.
LEAST_SCALE = 0.1


class ModelScore(Scorer):
    """Take the network's own score.

    It is the mean squared error per element, or what `score_by` of a variational network says.
    """

    name = "own"

    def look(self, view: ForwardCache) -> Tensor:
        """Return the score, (N, 1)."""
        return view.score[:, None]

    def scores(self, state: State) -> Scores:
        """Return the score as it is."""
        return lambda seen: seen[:, 0].astype(np.float64)


class StandardizedError(Scorer):
    """Average the squared errors of elements, each divided by its mean on normal samples.

    An element that is never reconstructed well, such as a noisy feature, then counts no more than
    one that always is. It is the Mahalanobis distance of the errors with a diagonal covariance.
    """

    name = "standardized_error"

    def look(self, view: ForwardCache) -> Tensor:
        """Return the squared error of each element, (N, F)."""
        return view.squared_error

    def fit(self, seen: np.ndarray) -> State:
        """Return each element's mean squared error, (F,), no smaller than a share of the mean."""
        mean = seen.mean(0, dtype=np.float64)
        least = max(LEAST_SCALE * mean.mean(), np.finfo(np.float32).tiny)
        return {"mean": np.maximum(mean, least)}

    def scores(self, state: State) -> Scores:
        """Return the mean of error / mean error over the elements."""
        weights = 1 / (state["mean"] * len(state["mean"]))
        return lambda seen: seen.astype(np.float64) @ weights

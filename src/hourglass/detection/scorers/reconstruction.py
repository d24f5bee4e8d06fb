"""Scores from reconstruction errors."""

import numpy as np
from torch import Tensor

from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State
from hourglass.detection.scorers.forward_cache import ForwardCache

# Lower bound of an element's scale, as a fraction of the mean scale over all elements. Without
# it, an element with almost no error on normal samples would dominate the score.
MIN_SCALE_FRACTION = 0.1


class ModelScore(Scorer):
    """Use the network's score: the mean squared error per element.

    A variational network may define another score by its setting `score_by`.
    """

    name = "own"

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the score, (N, 1)."""
        return forward.score[:, None]

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the identity."""
        return lambda features: features[:, 0]


class StandardizedError(Scorer):
    """Average the squared errors of elements, each divided by its mean on normal samples.

    An element with large errors on normal samples, such as a noisy feature, then counts no more
    than any other. Except for a constant factor, the score is the squared Mahalanobis distance of
    the errors with a diagonal covariance.
    """

    name = "standardized_error"

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the squared error of each element, (N, F)."""
        return forward.squared_error

    def fit(self, features: np.ndarray) -> State:
        """Return the mean squared error of each element, (F,), bounded from below."""
        mean = features.mean(0, dtype=np.float64)
        smallest = max(MIN_SCALE_FRACTION * mean.mean(), np.finfo(np.float32).tiny)
        return {"mean": np.maximum(mean, smallest)}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return a function that averages squared error / normal squared error over elements."""
        weights = 1 / (state["mean"] * len(state["mean"]))
        return lambda features: features @ weights

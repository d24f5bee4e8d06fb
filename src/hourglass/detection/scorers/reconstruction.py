"""Scores from reconstruction errors."""

import numpy as np
import torch
from torch import Tensor

from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State, known_mean
from hourglass.detection.scorers.forward_cache import ForwardCache

# Lower bound of an element's scale, as a fraction of the mean scale over all elements. Without
# it, an element with almost no error on normal samples would dominate the score.
MIN_SCALE_FRACTION = 0.1


class ModelScore(Scorer):
    """Use the network's score: the mean squared error per element.

    A variational network may define another score by its setting `score_by`.
    """

    name = "own"
    is_fitted = False

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the score, (N, 1), or those of the steps of a series, (N, W, 1)."""
        return forward.score if forward.score.ndim == 3 else forward.score[:, None]

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the identity."""
        return lambda features: features[:, 0]


class StandardizedError(Scorer):
    """Average the losses of elements or columns, each divided by its mean on normal samples.

    The loss of an element is its squared error. An element with large errors on normal samples,
    such as a noisy feature, then counts no more than any other. Except for a constant factor, the
    score of numbers is the squared Mahalanobis distance of the errors with a diagonal covariance. A
    missing number counts as an average one, a missing category or boolean with its expected loss,
    unless missing cells are rare in its column.
    """

    name = "standardized_error"

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the loss of each element or column, (N, F)."""
        return forward.expected_losses

    def fit(self, features: np.ndarray) -> State:
        """Return the mean loss of each element, (F,), bounded from below."""
        mean = known_mean(features)
        smallest = max(MIN_SCALE_FRACTION * mean.mean(), np.finfo(np.float32).tiny)
        return {"mean": np.maximum(mean, smallest)}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return a function that averages loss / normal loss over elements."""
        mean = state["mean"]
        weights = 1 / (mean * len(mean))

        def score(features: Array) -> Array:
            if isinstance(features, Tensor):
                return torch.where(features.isnan(), mean, features) @ weights
            scores = features @ weights
            if not np.isnan(scores).any():  # nothing is missing
                return scores
            return np.where(np.isnan(features), mean, features) @ weights

        return score

"""From samples to scores: the last step that knows torch."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from hourglass.core.errors import UserError
from hourglass.data.scaling import Scaling
from hourglass.detection.inference import Extractor, map_batches, map_samples
from hourglass.detection.scorers import ModelScore, Scorer, State
from hourglass.detection.scorers.base import Scores
from hourglass.networks import Network
from hourglass.networks.variational import Variational

REFERENCE = 10_000  # normal samples that a scorer learns from, at most


@dataclass(frozen=True)
class FittedScorer:
    """Score unscaled samples with a network, by a scorer and what it learnt."""

    network: Network
    scaling: Scaling
    scorer: Scorer
    state: State

    @cached_property
    def scores(self) -> Scores:
        """Return the function from looks to scores, built once: one of them grows a tree."""
        return self.scorer.scores(self.state)

    @classmethod
    def fit(
        cls, network: Network, scaling: Scaling, scorer: Scorer, x: np.ndarray
    ) -> "FittedScorer":
        """Return the scoring of a scorer that has learnt from normal samples (n, *S), unscaled.

        Of many it takes some from everywhere. The weights may have been trained on them; the
        samples of a threshold or a test may not be among them.
        """
        if isinstance(scorer, ModelScore):
            return cls(network, scaling, scorer, {})
        chosen = x[:: -(-len(x) // REFERENCE)]
        seen = map_samples(network, scorer.look, chosen, scaling)
        return cls(network, scaling, scorer, scorer.fit(seen))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the score of each sample: (N, *S) -> (N,) float64. Higher = more abnormal.

        Raises a UserError where a score is not a number: it must never pass as normal.
        """
        return finite(self.beside(x)[0]) if len(x) else np.zeros(0)

    def with_errors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the mean squared errors per element: (N, *S) -> (N,) each.

        Raises a UserError where a score is not a number.
        """
        scores, errors = self.beside(x, lambda view: view.error)
        return finite(scores), errors.astype(np.float64)

    def beside(self, x: np.ndarray, *beside: Extractor) -> list[np.ndarray]:
        """Return the scores, (N,), finite or not, and the looks beside them, (N, ...).

        The network sees each sample once.
        """
        wanted, computes = (self.scorer.look, *beside), not isinstance(self.scorer, ModelScore)
        found = map_batches(self.network, x, self.scaling, *wanted, meanwhile=computes)
        parts = [[self.scores(seen), *others] for seen, *others in found]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def finite(scores: np.ndarray) -> np.ndarray:
    """Return scores that are all finite; else raise a UserError."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise UserError(
            f"the score of sample {bad[0]} is {scores[bad[0]]}; its values or the "
            "network's weights are not finite, so check the sample or train again."
        )
    return scores


def errors(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the mean squared error per element of each unscaled sample: (N, *S) -> (N,)."""
    return map_samples(network, lambda view: view.error, x, scaling).astype(np.float64)


def reconstructions(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return reconstructions in the scaled units: (N, *S) -> (N, *S) float32."""
    return map_samples(network, lambda view: view.output, x, scaling)


def latent_codes(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the code of each unscaled sample: (N, *S) -> (N, latent_dim) float32.

    Raises a UserError where a code is not finite.
    """
    found = map_samples(network, lambda view: view.code, x, scaling)
    if not np.isfinite(found).all():
        raise UserError(
            "a code is not finite, so neither are the network's weights; train it again."
        )
    return found


def samples(network: Variational, count: int) -> np.ndarray:
    """Return decoded draws from the prior, always the same: (count, *S) float32."""
    with torch.inference_mode():
        return network.generate(count).cpu().numpy()

"""Scoring: a network and a scorer map unscaled samples to scores as NumPy arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hourglass.core.errors import UserError
from hourglass.data.prepared_data import Split
from hourglass.data.scaling import Encoding, TiledScaling, encoding_from_dict
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.tiling import Tiles
from hourglass.detection.inference import Extractor, map_batches, map_samples
from hourglass.detection.scorers import ModelScore, Scorer, State
from hourglass.detection.scorers.base import ScoreFunction
from hourglass.detection.scorers.forward_cache import by_step
from hourglass.detection.series_scoring import fit_features, map_rows
from hourglass.detection.tiled_scoring import map_tiled
from hourglass.networks import Network, weights
from hourglass.networks.prior import PriorNetwork

MAX_FIT_SAMPLES = 10_000  # normal samples to fit a scorer
MAX_FIT_BYTES = 1 << 28  # of the inputs of tiles to fit a scorer; features may be as many
FITTED_SPLITS: tuple[Split, Split] = ("train", "validation")  # that a scorer is fitted to
MIN_HELD_OUT = 50  # fewer samples give no standard deviation to rely on
MAX_EXTREME_SHARE = 0.02  # of rows of a table that are left out of the fit


@dataclass(frozen=True)
class FittedScorer:
    """A scorer fitted to a network and normal samples; it scores unscaled samples."""

    network: Network
    scaling: Encoding
    scorer: Scorer
    state: State

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the network as constructor arguments and safetensors, not as pickled objects."""
        network = weights.describe(self.network), weights.to_bytes(self.network)
        return _restore, (*network, self.scaling.to_dict(), self.scorer.describe(), self.state)

    @cached_property
    def score_function(self) -> ScoreFunction:
        """Return the function from extracted features to scores.

        It is built once, because `Neighbors` builds a search tree for it.
        """
        return self.scorer.score_function(self.state)

    @classmethod
    def fit(
        cls,
        network: Network,
        scaling: Encoding,
        scorer: Scorer,
        x: np.ndarray,
        held_out: np.ndarray | None = None,
    ) -> "FittedScorer":
        """Fit a scorer on normal samples, (n, *S), unscaled.

        The network may have been trained on `x`, but not on `held_out`, (m, *S), which is ignored
        below MIN_HELD_OUT samples, and by a scorer that does not use it. At most MAX_FIT_SAMPLES of
        each are used, evenly spaced. Neither may include samples of the calibration or test split.
        """
        if not scorer.is_fitted:
            return cls(network, scaling, scorer, {})

        def features(samples: np.ndarray) -> np.ndarray:
            if isinstance(scaling, SeriesEncoding):
                return fit_features(network, samples, scaling, scorer.extract, MAX_FIT_SAMPLES)
            if isinstance(scaling, TiledScaling):
                tiles = Tiles(samples, scaling.tiling).spaced(MAX_FIT_BYTES)
                tiles = tiles.subset(slice(None, None, -(-len(tiles) // MAX_FIT_SAMPLES)))
                return map_samples(network, scorer.extract, tiles, scaling)
            subset = samples[:: -(-len(samples) // MAX_FIT_SAMPLES)]
            if isinstance(scaling, TableEncoding):  # a few absurd cells would decide mean losses
                extreme = scaling.is_extreme(subset)
                subset = subset[~extreme] if extreme.mean() < MAX_EXTREME_SHARE else subset
            return map_samples(network, scorer.extract, subset, scaling)

        if held_out is None or len(held_out) < MIN_HELD_OUT or not scorer.uses_held_out:
            return cls(network, scaling, scorer, scorer.fit(features(x)))
        state = scorer.fit_held_out(features(x), features(held_out))
        return cls(network, scaling, scorer, state)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the score of each sample: (N, *S) -> (N,) float64; higher is more abnormal.

        Raises a UserError if a score is not finite, as NaN would never raise an alarm.
        """
        return require_finite(self.score_with(x)[0]) if len(x) else np.zeros(0)

    def with_errors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the mean squared errors per element: (N, *S) -> (N,) each.

        Raises a UserError if a score is not finite.
        """
        scores, errors = self.score_with(x, lambda forward: forward.error)
        return require_finite(scores), errors.reshape(len(x)).astype(np.float64)

    def score_with(self, x: np.ndarray, *extractors: Extractor) -> list[np.ndarray]:
        """Return the scores, (N,), finite or not, and each extractor's output, (N, ...).

        All of them share one forward pass per sample, per window of a series, or per tile of large
        images, of which pictures are merged.
        """
        if isinstance(self.scaling, TiledScaling):
            extract, score = self.scorer.extract, self.score_function
            return map_tiled(self.network, x, self.scaling, extract, *extractors, tile_score=score)
        if isinstance(self.scaling, SeriesEncoding):
            return self._score_rows(x, extractors)
        overlap = not isinstance(self.scorer, ModelScore)
        batches = map_batches(
            self.network, x, self.scaling, self.scorer.extract, *extractors, overlap=overlap
        )
        parts = [
            [self.score_function(features.astype(np.float64)), *others]
            for features, *others in batches
        ]
        return [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def _score_rows(self, x: np.ndarray, extractors: tuple[Extractor, ...]) -> list[np.ndarray]:
        """Return the results of `score_with` for the rows of a series, (T, R + C)."""
        assert isinstance(self.scaling, SeriesEncoding)
        extract, score = self.scorer.extract, self.score_function
        features, *others = map_rows(
            self.network, x, self.scaling, extract, *extractors, window_score=score
        )
        if features.dtype == np.float64:  # scores of windows
            return [features[:, 0], *others]
        return [score(features.astype(np.float64)), *others]


def _restore(
    spec: dict[str, Any],
    network_weights: bytes,
    scaling: dict[str, Any],
    scorer: dict[str, Any],
    state: State,
) -> FittedScorer:
    """Return the fitted scorer that `FittedScorer.__reduce__` describes."""
    network = weights.from_bytes(spec, network_weights)
    scale, score = encoding_from_dict(scaling), Scorer.from_description(scorer)
    return FittedScorer(network, scale, score, state)


def require_finite(scores: np.ndarray) -> np.ndarray:
    """Return the scores; raise a UserError if a score is not finite."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise UserError(
            f"the score of sample {bad[0]} is {scores[bad[0]]}; its values or the "
            "network's weights are not finite, so check the sample or train again."
        )
    return scores


def errors(network: Network, x: np.ndarray, scaling: Encoding) -> np.ndarray:
    """Return the mean squared error per element of each unscaled sample: (N, *S) -> (N,)."""
    errors = _map(network, lambda forward: forward.error, x, scaling)
    return errors.reshape(len(x)).astype(np.float64)


def reconstructions(network: Network, x: np.ndarray, scaling: Encoding) -> np.ndarray:
    """Return reconstructions in scaled units: (N, *S) -> (N, *S) float32.

    Of a series, they are those of the rows, (T, F). Raises a UserError if the network reconstructs
    features of images.
    """
    if not network.reconstructs_samples:
        raise UserError(
            "this network reconstructs features of images, not images; use another variant."
        )
    return _map(network, lambda forward: by_step(forward.output), x, scaling)


def latent_codes(network: Network, x: np.ndarray, scaling: Encoding) -> np.ndarray:
    """Return the latent code of each unscaled sample: (N, *S) -> (N, latent_dim) float32.

    Raises a UserError if a code is not finite.
    """
    z = _map(network, lambda forward: forward.z, x, scaling)
    if not np.isfinite(z).all():
        raise UserError("a latent code is not finite; check the samples or train again.")
    return z


def _map(network: Network, extract: Extractor, x: np.ndarray, scaling: Encoding) -> np.ndarray:
    """Apply an extractor to all samples, or to their windows or tiles and average or merge."""
    if isinstance(scaling, TiledScaling):
        return map_tiled(network, x, scaling, extract)[0]
    if isinstance(scaling, SeriesEncoding):
        return map_rows(network, x, scaling, extract)[0]
    return map_samples(network, extract, x, scaling)


def generate_samples(network: PriorNetwork, count: int) -> np.ndarray:
    """Return decoded draws from the prior with a fixed seed: (count, *S) float32."""
    with torch.inference_mode():
        return network.generate(count).cpu().numpy()

"""From samples to scores: the last step that knows torch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hourglass.data.batches import Scaled
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import let_go
from hourglass.errors import Refusal
from hourglass.networks import Network
from hourglass.networks.variational import Variational
from hourglass.scorers import OwnScore, Scorer, State
from hourglass.scorers.base import Scores
from hourglass.scorers.view import View

# From a batch as a network sees it to something about each sample, (N, ...).
Look: TypeAlias = Callable[[View], Tensor]

BATCH_SIZE = 32_768  # samples at once, at most
ELEMENTS = 2**20  # of them together: what a layer makes of a batch then stays near the processor
REFERENCE = 10_000  # normal samples that a scorer learns from, at most


def best_device() -> torch.device:
    """Return the first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Scoring:
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
    def fit(cls, network: Network, scaling: Scaling, scorer: Scorer, x: np.ndarray) -> "Scoring":
        """Return the scoring of a scorer that has learnt from normal samples (n, *S), unscaled.

        Of many it takes some from everywhere. The weights may have been trained on them; the
        samples of a threshold or a test may not be among them.
        """
        if isinstance(scorer, OwnScore):
            return cls(network, scaling, scorer, {})
        chosen = x[:: -(-len(x) // REFERENCE)]
        seen = apply(network, scorer.look, chosen, scaling)
        return cls(network, scaling, scorer, scorer.fit(seen))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return the score of each sample: (N, *S) -> (N,) float64. Higher = more abnormal.

        Raises a Refusal where a score is not a number: it must never pass as normal.
        """
        return finite(self.beside(x)[0]) if len(x) else np.zeros(0)

    def with_errors(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the mean squared errors per element: (N, *S) -> (N,) each.

        Raises a Refusal where a score is not a number.
        """
        scores, errors = self.beside(x, lambda view: view.error)
        return finite(scores), errors.astype(np.float64)

    def beside(self, x: np.ndarray, *looks: Look) -> list[np.ndarray]:
        """Return the scores, (N,), finite or not, and after them the looks, (N, ...) each.

        The network sees each sample once.
        """
        parts = []
        for batch in batches(x, self.scaling):
            seen, *others = on_device(self.network, batch, self.scorer.look, *looks)
            parts.append([self.scores(seen), *others])
        return [np.concatenate(each) for each in zip(*parts, strict=True)]


def finite(scores: np.ndarray) -> np.ndarray:
    """Return scores that are all finite; else raise a Refusal."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise Refusal(
            f"the score of sample {bad[0]} is {scores[bad[0]]}; its values or the "
            "network's weights are not finite, so check the sample or train again."
        )
    return scores


def errors(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the mean squared error per element of each unscaled sample: (N, *S) -> (N,)."""
    return apply(network, lambda view: view.error, x, scaling).astype(np.float64)


def reconstructions(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return reconstructions in the scaled units: (N, *S) -> (N, *S) float32."""
    return apply(network, lambda view: view.output, x, scaling)


def codes(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the code of each unscaled sample: (N, *S) -> (N, latent_dim) float32.

    Raises a Refusal where a code is not finite.
    """
    found = apply(network, lambda view: view.code, x, scaling)
    if not np.isfinite(found).all():
        raise Refusal("a code is not finite, so neither are the network's weights; train it again.")
    return found


def batched(module: nn.Module, function: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """Return what a function of the module makes of scaled samples or codes: (N, ...) -> (N, ...).

    The module is moved to where it is fastest, and one batch at a time follows it.
    """
    device = best_device()
    module.to(device)
    with torch.inference_mode():
        parts = torch.from_numpy(np.ascontiguousarray(x)).split(batch_size(x))
        return np.concatenate([function(part.to(device)).cpu().numpy() for part in parts])


def samples(network: Variational, count: int) -> np.ndarray:
    """Return decoded draws from the prior, always the same: (count, *S) float32."""
    with torch.inference_mode():
        return network.generate(count).cpu().numpy()


def apply(network: Network, look: Look, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the look of every sample; one batch at a time is on the device."""
    return np.concatenate([on_device(network, each, look)[0] for each in batches(x, scaling)])


def on_device(network: Network, batch: Tensor, *looks: Look) -> list[np.ndarray]:
    """Return looks at one batch, computed where the network is fastest, each part of it once."""
    device = best_device()
    view = View(network.to(device), batch.to(device))
    with torch.inference_mode():
        return [look(view).cpu().numpy() for look in looks]


def batches(x: np.ndarray, scaling: Scaling) -> Iterator[Tensor]:
    """Yield unscaled samples, (N, *S), scaled, as tensors of at most `batch_size` samples.

    They are scaled where the network is fastest; of a mapped file no more is held than a batch.
    """
    device = best_device()
    scaled = Scaled(scaling, device)
    size = batch_size(x)
    for start in range(0, len(x), size):
        part = np.array(x[start : start + size])  # a copy: torch warns of read-only arrays
        let_go(x)
        yield scaled(torch.from_numpy(part).to(device))


def batch_size(x: np.ndarray | Tensor) -> int:
    """Return how many samples, (N, *S), go through a network at once: the fewer, the larger."""
    return max(1, min(BATCH_SIZE, ELEMENTS // math.prod(x.shape[1:])))

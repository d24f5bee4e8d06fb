"""From samples to scores: the last step that knows torch."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from hourglass.data.scaling import Scaling
from hourglass.errors import Refusal
from hourglass.networks import Network
from hourglass.networks.variational import Variational

BATCH_SIZE = 4096


def best_device() -> torch.device:
    """Return the first GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def scores(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the score of each unscaled sample: (N, *S) -> (N,) float64. Higher = more abnormal.

    Raises a Refusal where a score is not a number: it must never pass as normal.
    """
    found = _apply(network, network.score, x, scaling).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        raise Refusal(
            f"the score of sample {bad[0]} is {found[bad[0]]}; its values or the network's weights "
            "are not finite, so check the sample or train again."
        )
    return found


def errors(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the mean squared error per element of each unscaled sample: (N, *S) -> (N,)."""
    return _apply(network, network.error, x, scaling).astype(np.float64)


def reconstructions(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return reconstructions in the scaled units: (N, *S) -> (N, *S) float32."""
    return _apply(network, network, x, scaling)


def codes(network: Network, x: np.ndarray, scaling: Scaling) -> np.ndarray:
    """Return the code of each unscaled sample: (N, *S) -> (N, latent_dim) float32.

    Raises a Refusal where a code is not finite.
    """
    found = _apply(network, network.encode, x, scaling)
    if not np.isfinite(found).all():
        raise Refusal("a code is not finite, so neither are the network's weights; train it again.")
    return found


def samples(network: Variational, count: int) -> np.ndarray:
    """Return decoded draws from the prior, always the same: (count, *S) float32."""
    with torch.inference_mode():
        return network.generate(count).cpu().numpy()


def _apply(
    network: Network, function: Callable[[Tensor], Tensor], x: np.ndarray, scaling: Scaling
) -> np.ndarray:
    """Return the function of every sample; one batch at a time is on the device."""
    device = best_device()
    network.to(device)
    with torch.inference_mode():
        parts = [function(batch.to(device)).cpu() for batch in _batches(x, scaling)]
    return torch.cat(parts).numpy()


def _batches(x: np.ndarray, scaling: Scaling) -> Iterator[Tensor]:
    for start in range(0, len(x), BATCH_SIZE):
        yield torch.from_numpy(scaling(np.asarray(x[start : start + BATCH_SIZE])))

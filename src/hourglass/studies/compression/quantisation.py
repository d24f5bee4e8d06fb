"""Numbers in few bits: what is left of codes and principal components when they are stored."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

# Shares of training codes that may be clipped at either end.
TAILS = np.array([0, 1e-4, 1e-3, 5e-3, 0.02])
BITS = 8  # of a component


@dataclass(frozen=True)
class Quantiser:
    """Round each unit to the middle of one of 2^bits equal cells between two ends of its own."""

    low: np.ndarray  # (F,)
    high: np.ndarray  # (F,)
    bits: int

    @classmethod
    def fit(cls, known: np.ndarray, bits: int) -> "Quantiser":
        """Return the quantiser whose ends are the best quantiles of training codes (n, F).

        The best of TAILS, unit by unit, by the squared error: the wider the range, the less is
        clipped, but the wider are the cells.
        """
        lows, highs = (np.quantile(known, tails, axis=0) for tails in (TAILS, 1 - TAILS))
        errors = [
            np.square(cls(low, high, bits)(known) - known).mean(0)
            for low, high in zip(lows, highs, strict=True)
        ]
        best, units = np.argmin(errors, axis=0), np.arange(known.shape[1])
        return cls(lows[best, units], highs[best, units], bits)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return what a decoder gets of stored codes: (N, F) -> (N, F) float32.

        A unit that is constant in training stays at its value.
        """
        cells = 2**self.bits
        width = (self.high - self.low) / cells
        place = np.floor((z - self.low) / np.where(width > 0, width, 1)).clip(0, cells - 1)
        return (self.low + (place + 0.5) * width).astype(np.float32)


def sizes(most: int) -> list[int]:
    """Return the powers of two below `most`, and `most` itself."""
    return [*(2**i for i in range((most - 1).bit_length())), most]


def components(known: np.ndarray, z: np.ndarray, most: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield k and vectors (N, F) from their k leading principal components in 8 bits each.

    The directions, their ranges and the mean are those of `known` (n, F); k grows to `most` or
    what there is.
    """
    # The full solvers are exact; the randomised one would need a seed and more care.
    solver = "covariance_eigh" if known.shape[0] >= known.shape[1] else "full"
    found = PCA(min(most, *known.shape), svd_solver=solver).fit(known)
    stored = Quantiser.fit(found.transform(known), BITS)(found.transform(z))
    for k in sizes(found.n_components_):
        kept = stored[:, :k] @ found.components_[:k] + found.mean_
        yield k, kept.astype(np.float32)

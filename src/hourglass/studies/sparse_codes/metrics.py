"""Metrics of sparse codes: sparsity, reconstruction, and how often units are active.

All of them follow from sums over samples, so that blocks of a large split are added up.
"""

from dataclasses import dataclass

import numpy as np

# A unit that is active on more samples is dense (Sun et al. 2025, "Dense SAE Latents Are Features,
# Not Bugs").
DENSE_FREQUENCY = 0.1


@dataclass(frozen=True)
class CodeSums:
    """Sums over samples of inputs, reconstructions and codes; those of two blocks are added.

    A unit is active on a sample if its code is not 0.
    """

    samples: int
    active: np.ndarray  # (latent_dim,) the number of samples on which each unit is active
    activation: np.ndarray  # (latent_dim,) the sum of its absolute codes
    squared_error: float  # of ||x - reconstruction||^2
    variation: float  # of ||x - mean||^2
    error_ratios: float  # of ||x - reconstruction||^2 / ||x - mean||^2
    cosines: float  # of the cosine of x and its reconstruction

    @classmethod
    def of(
        cls, x: np.ndarray, reconstruction: np.ndarray, z: np.ndarray, mean: np.ndarray
    ) -> "CodeSums":
        """Return the sums of a block: inputs and reconstructions, (n, D), codes, (n, latent_dim).

        `mean` is that of the inputs of all blocks, (D,). A sample that equals the mean adds no
        ratio, and a vector of zeros has the cosine 0.
        """
        x, reconstruction = x.astype(np.float64), reconstruction.astype(np.float64)
        error = ((x - reconstruction) ** 2).sum(1)
        variation = ((x - mean) ** 2).sum(1)
        norms = np.linalg.norm(x, axis=1) * np.linalg.norm(reconstruction, axis=1)
        products = (x * reconstruction).sum(1)
        return cls(
            len(x),
            (z != 0).sum(0),
            np.abs(z).sum(0, dtype=np.float64),
            float(error.sum()),
            float(variation.sum()),
            float(_ratio(error, variation).sum()),
            float(_ratio(products, norms).sum()),
        )

    def __add__(self, other: "CodeSums") -> "CodeSums":
        """Return the sums over the samples of both."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return CodeSums(*(a + b for a, b in pairs))

    @property
    def frequencies(self) -> np.ndarray:
        """Return the share of samples on which each unit is active, (latent_dim,)."""
        return self.active / self.samples

    @property
    def mean_activations(self) -> np.ndarray:
        """Return the mean absolute code of each unit when it is active, 0 if it never is."""
        return self.activation / np.maximum(self.active, 1)

    def metrics(self) -> dict[str, float]:
        """Return the metrics by name.

        - L0: the mean number of active units of a sample
        - FVU: the fraction of variance unexplained, sum_i ||x_i - r_i||^2 / sum_i ||x_i - mean||^2
        - FVU_mean_of_samples: the other definition, the mean over samples of
          ||x_i - r_i||^2 / ||x_i - mean||^2, in which samples near the mean weigh most
        - cosine_similarity: the mean cosine of x_i and r_i
        - dead_units: the share of units that are never active
        - dense_units: the share of units that are active on more than 10 % of the samples

        Without any variation in the inputs, there is no FVU.
        """
        n, frequencies = self.samples, self.frequencies
        fvu = (
            {
                "FVU": self.squared_error / self.variation,
                "FVU_mean_of_samples": self.error_ratios / n,
            }
            if self.variation
            else {}
        )
        return {
            "L0": float(self.active.sum() / n),
            **fvu,
            "cosine_similarity": self.cosines / n,
            "dead_units": float(np.mean(frequencies == 0)),
            "dense_units": float(np.mean(frequencies > DENSE_FREQUENCY)),
        }


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotients, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, np.zeros_like(numerator), where=denominator > 0)

"""Samplers: distributions of latent codes, fitted to the codes of training samples.

A sampler is a function: count, seed -> codes, (count, latent_dim) float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeAlias

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from hourglass.networks import Network
from hourglass.networks.prior import PriorNetwork

Sampler: TypeAlias = Callable[[int, int], np.ndarray]

MAX_CODES = 10_000  # to which a sampler is fitted
MAX_MIXTURE_UNITS = 64  # latent units; a full covariance has about units^2 / 2 values
MIXTURE_COMPONENTS = (1, 5, 10, 20)  # candidate numbers of components


def fit_samplers(network: Network, codes: np.ndarray, seed: int) -> dict[str, Sampler]:
    """Fit all samplers that apply to a network to codes of training samples; return them by name.

    The prior is that of the network, if it has one.
    """
    codes = subsample(codes)
    samplers: dict[str, Sampler] = {}
    if isinstance(network, PriorNetwork):
        samplers["prior"] = partial(_prior_codes, network)
    samplers["gaussian"] = Gaussian.fit(codes)
    samplers["mixture"] = Mixture.fit(codes, seed)
    return samplers | {"uniform": uniform(codes)}


def subsample(codes: np.ndarray, limit: int = MAX_CODES) -> np.ndarray:
    """Return at most `limit` of the codes (n, latent_dim), at a constant stride."""
    return codes[:: -(-len(codes) // limit)]


def _prior_codes(network: PriorNetwork, count: int, seed: int) -> np.ndarray:
    """Return draws from the prior of a network: (count, latent_dim) float32."""
    with torch.inference_mode():
        return network.draw_codes(count, seed).cpu().numpy()


def uniform(codes: np.ndarray) -> Sampler:
    """Return the uniform distribution over the bounding box of the codes.

    It is a weak baseline, because most of the box is far from any code.
    """
    low, high = codes.min(0), codes.max(0)

    def sample(count: int, seed: int) -> np.ndarray:
        drawn = np.random.default_rng(seed).uniform(low, high, (count, len(low)))
        return drawn.astype(np.float32)

    return sample


@dataclass(frozen=True)
class Gaussian:
    """The normal distribution with the mean and the full covariance of at least two codes."""

    mean: np.ndarray  # (latent_dim,) float64
    root: np.ndarray  # (min(n, latent_dim), latent_dim): root.T @ root is the covariance

    @classmethod
    def fit(cls, codes: np.ndarray) -> Self:
        """Fit mean and covariance; the covariance may be singular."""
        wide = codes.astype(np.float64)
        mean = wide.mean(0)
        # The R factor of a QR decomposition is a root even of a singular covariance.
        return cls(mean, np.asarray(np.linalg.qr((wide - mean) / np.sqrt(len(wide) - 1), "r")))

    def __call__(self, count: int, seed: int) -> np.ndarray:
        """Draw normal codes."""
        normal = np.random.default_rng(seed).standard_normal((count, len(self.root)))
        return (self.mean + normal @ self.root).astype(np.float32)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians with full covariances (Ghosh et al. 2020, section 4).

    Codes of more than MAX_MIXTURE_UNITS units are reduced to that number of principal components.
    A separate Gaussian models the remainder, so that samples vary as much as the codes.
    """

    mixture: GaussianMixture
    remainder: tuple[PCA, Gaussian] | None = None

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int) -> Self:
        """Fit the mixture to at least two codes; `seed` determines its initialisation."""
        if codes.shape[1] <= MAX_MIXTURE_UNITS:
            return cls(_select_by_bic(codes.astype(np.float64), seed))
        pca = PCA(min(MAX_MIXTURE_UNITS, len(codes)), random_state=seed)
        pca.fit(codes.astype(np.float64))
        narrow = pca.transform(codes)
        remainder = Gaussian.fit(codes - pca.inverse_transform(narrow))
        return cls(_select_by_bic(narrow, seed), (pca, remainder))

    def __call__(self, count: int, seed: int) -> np.ndarray:
        """Draw codes in random order."""
        drawn, _ = self.mixture.set_params(random_state=seed).sample(count)
        # scikit-learn returns samples grouped by component.
        drawn = np.random.default_rng(seed).permutation(drawn)
        if self.remainder:
            pca, remainder = self.remainder
            drawn = pca.inverse_transform(drawn) + remainder(count, seed + 1)
        return drawn.astype(np.float32)


def _select_by_bic(codes: np.ndarray, seed: int) -> GaussianMixture:
    """Try MIXTURE_COMPONENTS in order until BIC no longer falls; return the last improvement.

    There are at least 2 (units + 1) codes per component. With fewer, covariances would be nearly
    singular, and the likelihood and BIC misleadingly good.
    """
    count, units = codes.shape
    most = max(1, count // (2 * (units + 1)))
    # Added to variances, so that covariances are not singular; relative to the mean variance.
    regularisation = max(1e-6 * codes.var(0).mean(), float(np.finfo(np.float32).tiny))
    best, lowest = None, np.inf
    for components in (number for number in MIXTURE_COMPONENTS if number <= most):
        mixture = GaussianMixture(
            components, tol=1e-2, max_iter=200, reg_covar=regularisation, random_state=seed
        ).fit(codes)
        if (bic := mixture.bic(codes)) >= lowest:
            break
        best, lowest = mixture, bic
    return best

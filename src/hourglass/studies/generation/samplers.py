"""Samplers: distributions of latent codes, fitted to the codes of training samples."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from hourglass.core.errors import UserError
from hourglass.networks import Network
from hourglass.networks.variational import Variational

MAX_CODES = 10_000  # to which a sampler is fitted
MAX_MIXTURE_UNITS = 64  # latent units; a full covariance has about units^2 / 2 values
MIXTURE_COMPONENTS = (1, 5, 10, 20)  # candidate numbers of components


class Sampler(ABC):
    """A distribution of codes; draws depend only on the codes that it was fitted to and `seed`."""

    @classmethod
    @abstractmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Fit the distribution to codes, (n, latent_dim)."""

    @abstractmethod
    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw codes, (count, latent_dim) float32."""


@dataclass(frozen=True)
class Prior(Sampler):
    """The standard normal distribution, the prior of variational networks."""

    latent_dim: int

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the prior; only the dimension of the codes is used."""
        return cls(codes.shape[1])

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw standard normal codes, (count, latent_dim) float32."""
        shape = (count, self.latent_dim)
        return np.random.default_rng(seed).standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Gaussian(Sampler):
    """The normal distribution with the mean and the full covariance of the codes."""

    mean: np.ndarray  # (latent_dim,) float64
    root: np.ndarray  # (min(n, latent_dim), latent_dim): root.T @ root is the covariance

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Fit mean and covariance; the covariance may be singular.

        Raises a UserError for fewer than two codes.
        """
        require_two(codes)
        wide = codes.astype(np.float64)
        mean = wide.mean(0)
        # The R factor of a QR decomposition is a root even of a singular covariance.
        return cls(mean, np.asarray(np.linalg.qr((wide - mean) / np.sqrt(len(wide) - 1), "r")))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw normal codes, (count, latent_dim) float32."""
        normal = np.random.default_rng(seed).standard_normal((count, len(self.root)))
        return (self.mean + normal @ self.root).astype(np.float32)


@dataclass(frozen=True)
class Uniform(Sampler):
    """The uniform distribution over the bounding box of the codes.

    It is a weak baseline, because most of the box is far from any code.
    """

    low: np.ndarray  # (latent_dim,)
    high: np.ndarray  # (latent_dim,)

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Fit the bounding box."""
        return cls(codes.min(0), codes.max(0))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw codes from the box, (count, latent_dim) float32."""
        shape = (count, len(self.low))
        return np.random.default_rng(seed).uniform(self.low, self.high, shape).astype(np.float32)


@dataclass(frozen=True)
class Mixture(Sampler):
    """A mixture of Gaussians with full covariances (Ghosh et al. 2020, section 4).

    The numbers of components in MIXTURE_COMPONENTS are tried in order until BIC no longer falls.
    Codes of more than MAX_MIXTURE_UNITS units are reduced to that number of principal components.
    A separate Gaussian models the remainder, so that samples vary as much as the codes.
    """

    mixture: GaussianMixture
    reduction: PCA | None
    remainder: Gaussian | None

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Fit the mixture; `seed` determines its initialisation.

        Raises a UserError for fewer than two codes.
        """
        require_two(codes)
        if codes.shape[1] <= MAX_MIXTURE_UNITS:
            return cls(_select_by_bic(codes.astype(np.float64), seed), None, None)
        components = min(MAX_MIXTURE_UNITS, len(codes))
        reduction = PCA(components, random_state=seed).fit(codes.astype(np.float64))
        narrow = reduction.transform(codes)
        remainder = Gaussian.fit(codes - reduction.inverse_transform(narrow))
        return cls(_select_by_bic(narrow, seed), reduction, remainder)

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Draw codes, (count, latent_dim) float32, in random order."""
        drawn, _ = self.mixture.set_params(random_state=seed).sample(count)
        # scikit-learn returns samples grouped by component.
        drawn = np.random.default_rng(seed).permutation(drawn)
        if self.reduction is None or self.remainder is None:
            return drawn.astype(np.float32)
        wide = self.reduction.inverse_transform(drawn) + self.remainder.sample(count, seed + 1)
        return wide.astype(np.float32)


def _select_by_bic(codes: np.ndarray, seed: int) -> GaussianMixture:
    """Return the mixture with the lowest BIC and at least 2 (units + 1) codes per component.

    With fewer codes per component, covariances would be nearly singular, and the likelihood and BIC
    misleadingly good.
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


def require_two(samples: np.ndarray) -> None:
    """Raise a UserError for fewer than two samples."""
    if len(samples) < 2:
        raise UserError(
            f"a distribution needs at least 2 samples, but has {len(samples)}; add samples, or "
            "leave out the class or split that has so few."
        )


def subsample(codes: np.ndarray, limit: int = MAX_CODES) -> np.ndarray:
    """Return at most `limit` of the codes (n, latent_dim), at a constant stride."""
    return codes[:: -(-len(codes) // limit)]


def fit_samplers(network: Network, codes: np.ndarray, seed: int = 0) -> dict[str, Sampler]:
    """Fit all samplers that apply to a network to codes of training samples; return them by name.

    The prior applies to variational networks only.
    """
    kinds: dict[str, type[Sampler]] = {
        "gaussian": Gaussian,
        "mixture": Mixture,
        "uniform": Uniform,
    }
    if isinstance(network, Variational):
        kinds = {"prior": Prior} | kinds
    return {name: kind.fit(subsample(codes), seed) for name, kind in kinds.items()}

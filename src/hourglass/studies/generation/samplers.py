"""Distributions of codes: fitted to those of training samples, and drawn from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from hourglass.core.errors import UserError
from hourglass.networks import Network
from hourglass.networks.variational import Variational

FITTED = 10_000  # codes that a sampler learns from, at most
UNITS = 64  # in which a mixture is fitted, at most: a covariance has half their square of values
COMPONENTS = (1, 5, 10, 20)  # of a mixture: the best of them by BIC


class Sampler(ABC):
    """Draw codes like those it was fitted to; `seed` alone decides which."""

    @classmethod
    @abstractmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the sampler of codes (n, latent_dim)."""

    @abstractmethod
    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return drawn codes, (count, latent_dim) float32."""


@dataclass(frozen=True)
class Prior(Sampler):
    """Draw from N(0, I), which a variational network is trained to decode."""

    latent_dim: int

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the prior, which takes nothing of the codes but their width."""
        return cls(codes.shape[1])

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return standard normal codes, (count, latent_dim) float32."""
        shape = (count, self.latent_dim)
        return np.random.default_rng(seed).standard_normal(shape, np.float32)


@dataclass(frozen=True)
class Gaussian(Sampler):
    """Draw from the normal distribution with the mean and the full covariance of the codes."""

    mean: np.ndarray  # (latent_dim,) float64
    root: np.ndarray  # (r, latent_dim): root^T root is the covariance, r its rank at most

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the Gaussian of codes; a singular covariance, as of idle units, does no harm."""
        wide = enough(codes).astype(np.float64)
        mean = wide.mean(0)
        # The triangle of a QR decomposition is a root of the covariance, whatever its rank.
        return cls(mean, np.asarray(np.linalg.qr((wide - mean) / np.sqrt(len(wide) - 1), "r")))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return normal codes, (count, latent_dim) float32."""
        normal = np.random.default_rng(seed).standard_normal((count, len(self.root)))
        return (self.mean + normal @ self.root).astype(np.float32)


@dataclass(frozen=True)
class Uniform(Sampler):
    """Draw every unit uniformly between its least and its largest code: what fails."""

    low: np.ndarray  # (latent_dim,)
    high: np.ndarray  # (latent_dim,)

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the box that the codes span."""
        return cls(codes.min(0), codes.max(0))

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return codes from anywhere in the box, (count, latent_dim) float32."""
        shape = (count, len(self.low))
        return np.random.default_rng(seed).uniform(self.low, self.high, shape).astype(np.float32)


@dataclass(frozen=True)
class Mixture(Sampler):
    """Draw from a mixture of Gaussians with full covariances (Ghosh et al. 2020, section 4).

    The numbers of COMPONENTS are tried in their order until BIC rises. Codes of more than UNITS
    units are reduced to as many principal components; what these leave out is drawn from its own
    Gaussian, `rest`, or the samples would be flatter than the codes.
    """

    mixture: GaussianMixture
    reduction: PCA | None
    rest: Gaussian | None

    @classmethod
    def fit(cls, codes: np.ndarray, seed: int = 0) -> Self:
        """Return the mixture of codes; the seed decides where its components start."""
        enough(codes)
        if codes.shape[1] <= UNITS:
            return cls(_least_bic(codes.astype(np.float64), seed), None, None)
        reduction = PCA(min(UNITS, len(codes)), random_state=seed).fit(codes.astype(np.float64))
        narrow = reduction.transform(codes)
        rest = Gaussian.fit(codes - reduction.inverse_transform(narrow))
        return cls(_least_bic(narrow, seed), reduction, rest)

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Return codes, (count, latent_dim) float32, of the components in turn by chance."""
        drawn, _ = self.mixture.set_params(random_state=seed).sample(count)
        # scikit-learn returns them component by component.
        drawn = np.random.default_rng(seed).permutation(drawn)
        if self.reduction is None or self.rest is None:
            return drawn.astype(np.float32)
        wide = self.reduction.inverse_transform(drawn) + self.rest.sample(count, seed + 1)
        return wide.astype(np.float32)


def _least_bic(codes: np.ndarray, seed: int) -> GaussianMixture:
    """Return the mixture of the least BIC; each of its components has codes enough to be one.

    With less than twice as many codes as units its covariance would be nearly singular, and its
    likelihood, and with it BIC, would praise that.
    """
    count, units = codes.shape
    most = max(1, count // (2 * (units + 1)))
    # In the spread of the codes: what keeps a covariance from being singular.
    least = max(1e-6 * codes.var(0).mean(), float(np.finfo(np.float32).tiny))
    best, fewest = None, np.inf
    for components in (each for each in COMPONENTS if each <= most):
        found = GaussianMixture(
            components, tol=1e-2, max_iter=200, reg_covar=least, random_state=seed
        ).fit(codes)
        if (bic := found.bic(codes)) >= fewest:
            break
        best, fewest = found, bic
    return best


def enough(x: np.ndarray) -> np.ndarray:
    """Return codes, or other rows, if there are two at least; else raise a UserError."""
    if len(x) < 2:
        raise UserError(
            f"a distribution takes at least 2 samples, but {len(x)} were given; add some, or leave "
            "out what has so few."
        )
    return x


def some(codes: np.ndarray, most: int = FITTED) -> np.ndarray:
    """Return codes from everywhere, at most that many."""
    return codes[:: -(-len(codes) // most)]


def samplers(network: Network, codes: np.ndarray, seed: int = 0) -> dict[str, Sampler]:
    """Return by name the samplers that suit a network, fitted to codes of training samples."""
    kinds: dict[str, type[Sampler]] = {
        "gaussian": Gaussian,
        "mixture": Mixture,
        "uniform": Uniform,
    }
    if isinstance(network, Variational):
        kinds = {"prior": Prior} | kinds
    return {name: kind.fit(some(codes), seed) for name, kind in kinds.items()}

"""Products with sparse codes, which touch only the weights of active units."""

from torch import Tensor


def decode(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return z W + b: codes (N, latent_dim), (latent_dim, D), (D,) -> (N, D)."""
    return z @ weight + bias

"""Statistics of training samples from which the training of a sparse dictionary starts."""

import torch
from torch import Tensor

MAX_ITERATIONS = 100
TOLERANCE = 1e-6  # of the root mean squared distance


def geometric_median(x: Tensor) -> Tensor:
    """Return the point with the smallest sum of distances to vectors: (N, D) -> (D,).

    Source: Weiszfeld's algorithm, from the mean, with distances bounded below, so that the
    estimate may coincide with a vector.
    """
    median = x.mean(0)
    spread = (x - median).square().sum(1).mean().sqrt()
    if spread == 0:
        return median
    for _ in range(MAX_ITERATIONS):
        weights = 1 / (x - median).norm(dim=1).clamp_min(TOLERANCE * spread)
        previous, median = median, weights @ x / weights.sum()
        if (median - previous).norm() <= TOLERANCE * spread:
            break
    return median


def variance_per_element(x: Tensor) -> Tensor:
    """Return the mean squared distance to the mean, divided by D: (N, D) -> ().

    Vectors divided by its square root have a mean squared norm of D after centring. It is 1 if all
    vectors are equal.
    """
    variance = (x - x.mean(0)).square().mean()
    return torch.where(variance > 0, variance, 1.0)


def resampled_directions(
    x: Tensor, errors: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Return directions of badly reconstructed vectors: (N, D), (N,) -> (count, D), of norm 1.

    A vector is drawn with a probability proportional to its squared error squared (Bricken et al.
    2023, neuron resampling).
    """
    weights = errors.square()
    weights = torch.where(weights.sum() > 0, weights, torch.ones_like(weights))
    drawn = x[torch.multinomial(weights, count, replacement=True, generator=generator)]
    drawn = torch.where(drawn.any(1, keepdim=True), drawn, 1.0)  # a zero has no direction
    return drawn / drawn.norm(dim=1, keepdim=True)

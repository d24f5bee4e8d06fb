"""Sizes of a network that suit samples by their shape, for data sets without settings."""

import math
from collections.abc import Sequence
from typing import Any

MAX_LATENT_DIM = 64


def suggested_sizes(sample_shape: Sequence[int]) -> dict[str, Any]:
    """Return latent_dim, hidden and channels for rows, (F,), or images, (C, H, W).

    A code of half the features detects better than one of a quarter on ADBench's tables, above all
    if the training rows contain anomalies.
    """
    size = math.prod(sample_shape)
    is_table = len(sample_shape) == 1
    is_large = not is_table and min(sample_shape[1:]) >= 32
    return {
        "latent_dim": max(1, min(size // (2 if is_table else 16), MAX_LATENT_DIM)),
        "hidden": [min(max(2 * size, 16), 256)] if is_table else [256],
        "channels": [16, 32, 64] if is_large else [16, 32],
    }


def power_of_two(value: float, smallest: float, largest: float) -> int:
    """Return the power of two nearest to a value between `smallest` and `largest`."""
    nearest: int = 2 ** round(math.log2(min(largest, max(smallest, value))))
    return nearest

"""Sizes of a network and a training that suit samples, for data sets without settings."""

import math
from collections.abc import Sequence
from typing import Any

from hourglass.data.columns.column import Column

MAX_LATENT_DIM = 64
TABLE_STEPS = (1000, 3000)  # at least, and at most
ENSEMBLE_STEPS, ROWS_PER_STEP = (600, 3000), 10
SERIES_STEPS, SERIES_BATCH_SIZE = (1000, 2000), 64
IMAGE_STEPS, MIN_IMAGE_EPOCHS = 1000, 10
MIN_WINDOW, MAX_WINDOW = 8, 96  # rows of a series
MIN_WINDOWS_PER_RUN = 4  # that do not overlap


def suggested_sizes(sample_shape: Sequence[int]) -> dict[str, Any]:
    """Return latent_dim, hidden and channels for rows, (F,), windows, (F, W), or images, (C, H, W).

    A code of half the features detects better than one of a quarter on ADBench's tables, above all
    if the training rows contain anomalies.
    """
    size = math.prod(sample_shape)
    if len(sample_shape) == 2:
        hidden = min(max(size, 32), 256)
        latent_dim = min(max(2, size // 8), MAX_LATENT_DIM)
        return {"latent_dim": latent_dim, "hidden": [hidden], "channels": [16, 32]}
    is_table = len(sample_shape) == 1
    channels = [16, 32]
    if not is_table and min(sample_shape[1:]) >= 32:
        channels = [16, 32, 64]
    if not is_table and max(sample_shape[1:]) >= 64:
        from hourglass.networks.convolutional import suggested_channels  # imports torch

        channels = suggested_channels(sample_shape)
    return {
        "latent_dim": max(1, min(size // (2 if is_table else 16), MAX_LATENT_DIM)),
        "hidden": [min(max(2 * size, 16), 256)] if is_table else [256],
        "channels": channels,
    }


def suggested_window(rows: int, run: int, windows: int = 32) -> int:
    """Return the number of rows in a window of a series, a multiple of 8 up to 96.

    It is the largest of which `rows`, the normal ones, hold `windows` that do not overlap, and a
    `run`, the length of a typical run of consecutive rows, holds MIN_WINDOWS_PER_RUN. Longer
    windows detect better in long series, but leave fewer windows to calibrate the threshold.
    """
    longest = int(min(rows / windows, run / MIN_WINDOWS_PER_RUN, MAX_WINDOW))
    return max(MIN_WINDOW, longest // MIN_WINDOW * MIN_WINDOW)


def table_variant(columns: Sequence[Column]) -> str:
    """Return the name of the variant that detects best in tables with such columns.

    Source: docs/benchmarks/adbench.md for numbers, docs/benchmarks/mixed_tables.md for tables most
    of whose columns are no numbers. A wide network also reconstructs rare combinations of common
    categories.
    """
    others = sum(column.kind in ("categorical", "boolean") for column in columns)
    return "variational" if others > len(columns) / 2 else "ensemble"


def suggested_settings(
    sample_shape: Sequence[int], rows: int, variant: str = ""
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return init_args of a variant, and settings of `TrainingPlan`, for `rows` to train on.

    On tables, the wide networks of `ensemble` need fewer steps than those of other variants, which
    have a narrow code. docs/benchmarks/adbench.md has the figures.
    """
    args = suggested_sizes(sample_shape)
    if len(sample_shape) == 2:
        low, high = SERIES_STEPS
        plan = {"batch_size": SERIES_BATCH_SIZE, "min_steps": low, "max_steps": high}
        return args | {"learning_rate": 3e-3}, plan
    if len(sample_shape) < 3:
        largest_batch = min(1024, max(256, rows / 200))
        batch_size, (low, high) = power_of_two(rows / 16, 16, largest_batch), TABLE_STEPS
        if variant == "ensemble":
            batch_size, (low, high) = power_of_two(rows / 8, 32, largest_batch), ENSEMBLE_STEPS
            low = high = min(max(low, rows // ROWS_PER_STEP), high)
        plan = {"batch_size": batch_size, "min_steps": low, "max_steps": high}
        return args | {"learning_rate": 1e-2}, plan
    batch_size = power_of_two(rows / 50, 16, 256)
    high = max(IMAGE_STEPS, MIN_IMAGE_EPOCHS * math.ceil(rows / batch_size))
    return args | {"learning_rate": 2e-3}, {"batch_size": batch_size, "max_steps": high}


def power_of_two(value: float, smallest: float, largest: float) -> int:
    """Return the power of two nearest to a value between `smallest` and `largest`."""
    nearest: int = 2 ** round(math.log2(min(largest, max(smallest, value))))
    return nearest

"""Baseline detectors of the tiles of large images, whose scores are combined per image."""

import math

import numpy as np

from hourglass.data.scaling import TiledScaling
from hourglass.data.tiling import Tiles
from hourglass.evaluation.baselines import ScoreFunction
from hourglass.evaluation.window_baselines import MAX_TRAIN_BYTES

BATCH_BYTES = 32 << 20  # of scaled tiles that are scored at once


def train_tiles(scaling: TiledScaling, x: np.ndarray) -> np.ndarray:
    """Return scaled tiles of images, (n, C, h, w) float32; n is limited by MAX_TRAIN_BYTES.

    If there are more, they are evenly spaced.
    """
    return scaling(Tiles(x, scaling.tiling).spaced(MAX_TRAIN_BYTES)[:])


def score_images(score: ScoreFunction, scaling: TiledScaling, x: np.ndarray) -> np.ndarray:
    """Return the scores of images, (N,), from a function of tiles as vectors, (m, F) -> (m,)."""
    tiles = Tiles(x, scaling.tiling)
    step = max(1, BATCH_BYTES // (4 * math.prod(scaling.input_shape)))
    parts = [
        score(scaling(batch).reshape(len(batch), -1))
        for batch in (tiles[start : start + step] for start in range(0, len(tiles), step))
    ]
    return tiles.combine(np.concatenate(parts), scaling.tiling.combine)

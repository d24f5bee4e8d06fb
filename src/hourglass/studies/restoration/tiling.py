"""Images larger than a network's: restored window by window."""

from collections.abc import Callable

import numpy as np


def tiled(
    x: np.ndarray, window: tuple[int, int], restore: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return an image, (C, H, W), restored in windows that overlap by half and are blended.

    `restore` takes and returns windows, (n, C, height, width), of the size `window`, which is no
    larger than the image. Nowhere a weight is 0, so that no pixel is left out; they fall towards
    the edges of a window, so that no edge is seen.
    """
    height, width = window
    weight = np.outer(raised_cosine(height), raised_cosine(width))
    total, weights = np.zeros(x.shape), np.zeros(x.shape[1:])
    lefts = starts(x.shape[2], width)
    for top in starts(x.shape[1], height):  # a row of windows at a time: a photograph has thousands
        rows = slice(top, top + height)
        found = restore(np.stack([x[:, rows, left : left + width] for left in lefts]))
        for left, one in zip(lefts, found, strict=True):
            place = (rows, slice(left, left + width))
            total[:, *place] += weight * one
            weights[place] += weight
    return (total / weights).astype(np.float32)


def starts(length: int, window: int) -> list[int]:
    """Return where windows begin: half a window apart, the last one flush with the end."""
    return [*range(0, length - window, max(1, window // 2)), length - window]


def raised_cosine(length: int) -> np.ndarray:
    """Return sin^2 over `length` places, (length,), above 0 at all of them."""
    return np.asarray(np.hanning(length + 2)[1:-1])

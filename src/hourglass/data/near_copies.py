"""Near-copies: images that differ by compression, noise or scale only, found by thumbnails."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from hourglass.data.tiling import Tiling

SIDE = 16  # pixels of a thumbnail
MAX_DIFFERENCE = 1.0  # root mean square between thumbnails, in grey levels of which 255 is white
MAX_COMPARED = 1000  # thumbnails per image, those with the nearest projection
BLOCK = 512  # images compared at once


class NearCopies:
    """Collects thumbnails of images, (N, C, H, W), part by part, and compares them."""

    def __init__(
        self, shape: tuple[int, ...], full_scale: float, tiling: Tiling | None = None
    ) -> None:
        count, channels, height, width = shape
        self.channels = tiling.channels if tiling else channels  # without that of the padding
        self.thumbnails = np.empty((count, SIDE * SIDE), np.float32)
        self.rows = _area_means(height) * np.float32(255 / full_scale / self.channels)
        self.columns = _area_means(width).T

    def add(self, start: int, x: np.ndarray) -> None:
        """Add the images from number `start` on, (n, C, H, W)."""
        for i, image in enumerate(x, start):
            grey = image[: self.channels].sum(axis=0, dtype=np.float32)
            self.thumbnails[i] = (self.rows @ grey @ self.columns).ravel()

    def find(self, copies: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
        """Return the entries of the data card; {} if there are no near-copies.

        `near_copies` is the number of images that nearly equal another one, copies by the result
        of `find_copies` excepted, and `near_copies_such_as` the ids of the two that differ least.
        """
        is_near, least, pair = np.zeros(len(ids), bool), np.inf, (0, 0)
        for first, second, squares in self._pairs():
            other = copies[first] != copies[second]
            first, second, squares = first[other], second[other], squares[other]
            is_near[first] = is_near[second] = True
            if len(squares) and squares.min() < least:
                best = int(squares.argmin())
                least, pair = float(squares[best]), (int(first[best]), int(second[best]))
        if not is_near.any():
            return {}
        return {
            "near_copies": int(is_near.sum()),
            "near_copies_such_as": [str(ids[row]) for row in sorted(pair)],
        }

    def _pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield pairs of numbers of near images, (n,) each, and their squared distances.

        Thumbnails are sorted by their projection on the axis of the largest variance: the
        projections of near ones differ by at most their distance.
        """
        limit = MAX_DIFFERENCE * SIDE  # as a Euclidean distance
        centred = self.thumbnails - self.thumbnails.mean(0)
        projected = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
        order = np.argsort(projected, kind="stable")
        centred, projected = centred[order], projected[order]
        norms = np.einsum("ij,ij->i", centred, centred)
        last = np.searchsorted(projected, projected + limit, "right")
        last = np.minimum(last, np.arange(len(order)) + 1 + MAX_COMPARED)
        for start in range(0, len(order), BLOCK):
            stop = min(start + BLOCK, len(order))
            end = int(last[start:stop].max())
            squares = norms[start:stop, None] + norms[start:end]
            squares -= 2 * centred[start:stop] @ centred[start:end].T
            i, j = np.nonzero(squares <= limit**2 + 1e-5 * norms[start:end])
            i, j = i[i < j], j[i < j]
            exact = np.square(centred[start + i] - centred[start + j]).sum(1)
            near = exact <= limit**2
            yield order[start + i[near]], order[start + j[near]], exact[near]


def near_copies_note(found: dict[str, Any]) -> str:
    """Return a sentence about the near-copies in the entry `copies` of a data card; "" if none."""
    if not found.get("near_copies"):
        return ""
    first, second = found["near_copies_such_as"]
    return (
        f"{found['near_copies']:,} images nearly equal another one, such as {first} and {second}; "
        "if they show the same object, keep one of each, because they may be in several splits"
    )


def _area_means(length: int) -> np.ndarray:
    """Return the matrix, (SIDE, length), that averages a line of pixels over SIDE equal parts."""
    bounds = np.linspace(0, length, SIDE + 1)
    pixels = np.arange(length)
    overlap = np.minimum(bounds[1:, None], pixels + 1) - np.maximum(bounds[:-1, None], pixels)
    return (overlap.clip(0) * (SIDE / length)).astype(np.float32)

"""Tiles of large images: positions, cutting, and merging of their results.

An image stays one sample. A network sees tiles of one size, which exist only in batches. Tiles lie
on a regular grid, and the last ones of a row or column end at the edge of the image, so that every
pixel is in at least one tile.

Images of different sizes are stored in one array: at the top left of the largest size, and
continued by reflection. A last channel, 255 inside the image and 0 in its padding, marks the
difference. No tile lies in the padding, unless the image is smaller than a tile.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.large_arrays import new_array
from hourglass.data.windows import window_starts

INSIDE = 255  # the value of the last channel inside an image; 0 in its padding
TileCombine: TypeAlias = Literal["max", "mean"]  # of the scores of an image's tiles


@dataclass(frozen=True)
class Tiling:
    """The grid of tiles: their channels and size, and the least overlap of neighbours.

    `overlap` is a share of a tile's side, from 0 to below 1. `combine` makes the score of an image
    from those of its tiles. Arrays of images have one more channel if they are `padded`.
    """

    channels: int
    height: int
    width: int
    overlap: float = 0.25
    combine: TileCombine = "max"
    padded: bool = False

    def __post_init__(self) -> None:
        """Raise a UserError for an impossible setting."""
        if not 0 <= self.overlap < 1:
            raise UserError(f"`overlap` is {self.overlap}; give a share from 0 to below 1.")
        if self.combine not in get_args(TileCombine):
            allowed = " or ".join(get_args(TileCombine))
            raise UserError(f"`combine` is {self.combine!r}; give {allowed}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of a tile, (C, h, w)."""
        return self.channels, self.height, self.width

    def starts(self, length: int, side: int) -> np.ndarray:
        """Return the first pixels of the tiles of a side along an axis of an image, ascending."""
        stride = max(1, side - math.ceil(side * self.overlap))
        return window_starts(max(length, side), side, stride)

    def corners(self, height: int, width: int) -> np.ndarray:
        """Return top and left of each tile of an image, (n, 2), row by row."""
        tops, lefts = self.starts(height, self.height), self.starts(width, self.width)
        return np.stack(np.meshgrid(tops, lefts, indexing="ij"), -1).reshape(-1, 2)

    def sizes(self, x: np.ndarray) -> np.ndarray:
        """Return height and width of each image, (N, 2), without its padding."""
        if self.padded and x.shape[1] > self.channels:
            inside = x[:, -1, :, 0], x[:, -1, 0, :]
            return np.stack([np.count_nonzero(axis, 1) for axis in inside], 1)
        return np.tile(x.shape[2:], (len(x), 1))

    def pixels(self, x: np.ndarray) -> np.ndarray:
        """Return images, (N, C or C + 1, H, W), without the channel that marks the padding."""
        return x[:, : self.channels]

    def weights(self, length: int, side: int) -> dict[int, np.ndarray]:
        """Return the weight of each pixel of the tiles along an axis, (side,), by their starts.

        They fall towards the ends of a tile as a Hann window does, so that no seam is visible, and
        sum to 1 at every pixel of the image.
        """
        window = np.hanning(side + 2)[1:-1]  # above 0 everywhere
        starts = self.starts(length, side).tolist()
        total = np.zeros(max(length, side))
        for start in starts:
            total[start : start + side] += window
        return {start: window / total[start : start + side] for start in starts}

    def input_count(self, x: np.ndarray) -> int:
        """Return the number of tiles of images, (N, C or C + 1, H, W)."""
        return len(Tiles(x, self))

    def to_dict(self) -> dict[str, Any]:
        """Return the tiling as JSON values, for `Tiling(**values)`."""
        return dict(vars(self))


class Tiles:
    """The tiles of images, (n, C, h, w), image by image: an array that is computed on access.

    Images that are smaller than a tile are continued by reflection. `x` are images, (N, C, H, W),
    or with the channel that marks their padding.
    """

    def __init__(self, x: np.ndarray, tiling: Tiling) -> None:
        self.tiling = tiling
        self.image_shape = x.shape[2:]
        self.sizes = tiling.sizes(x)
        self.x = _at_least(tiling.pixels(x), tiling.height, tiling.width)
        known: dict[tuple[int, int], np.ndarray] = {}
        for height, width in np.unique(self.sizes, axis=0).tolist():
            known[height, width] = tiling.corners(height, width)
        grids = [known[height, width] for height, width in self.sizes.tolist()]
        self.counts = np.array([len(grid) for grid in grids], np.int64)  # (N,) tiles of each image
        self.image = np.repeat(np.arange(len(x)), self.counts)  # (n,) the image of each tile
        self.corner = np.concatenate([np.zeros((0, 2), np.int64), *grids])  # (n, 2) top, left

    @cached_property
    def view(self) -> np.ndarray:
        """All tiles at all pixels, (N, C, H - h + 1, W - w + 1, h, w), without a copy."""
        return np.lib.stride_tricks.sliding_window_view(
            np.asarray(self.x), self.tiling.shape[1:], axis=(2, 3)
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of all tiles, (n, C, h, w)."""
        return len(self), *self.tiling.shape

    @property
    def dtype(self) -> np.dtype:
        """Return the type of the pixels."""
        return self.x.dtype

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.image)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return some of the tiles, (m, C, h, w)."""
        top, left = self.corner[rows].T
        return np.ascontiguousarray(self.view[self.image[rows], :, top, left])

    def subset(self, rows: slice | np.ndarray) -> Self:
        """Return some of the tiles as an array that is computed on access."""
        chosen = copy.copy(self)
        chosen.image, chosen.corner = self.image[rows], self.corner[rows]
        chosen.counts = np.bincount(chosen.image, minlength=len(self.x))
        return chosen

    def spaced(self, nbytes: int) -> Self:
        """Return evenly spaced tiles whose scaled pixels take at most about `nbytes` bytes."""
        most = max(1, nbytes // (4 * math.prod(self.tiling.shape)))
        return self.subset(slice(None, None, max(1, -(-len(self) // most))))

    def combine(self, values: np.ndarray, how: TileCombine) -> np.ndarray:
        """Return the mean or maximum over the tiles of each image: (n, ...) -> (N, ...)."""
        first = np.cumsum(self.counts) - self.counts
        if how == "max":
            return np.asarray(np.maximum.reduceat(values, first))
        sums = np.add.reduceat(values, first)
        return np.asarray(sums / self.counts.reshape(-1, *[1] * (sums.ndim - 1)), values.dtype)


class MergedImages:
    """Pictures of images, such as maps, merged from those of their tiles.

    `result`, (N, ..., H, W) float32, holds the weighted means over the tiles that cover a pixel,
    and 0 in the padding of an image. A large one lies in a file.
    """

    def __init__(self, tiles: Tiles, inner: Sequence[int]) -> None:
        self.tiles, self.added = tiles, 0
        self.result = new_array((len(tiles.sizes), *inner, *tiles.image_shape), np.float32)
        self.weights: dict[tuple[int, int], dict[int, np.ndarray]] = {}

    def add(self, values: np.ndarray) -> None:
        """Add the pictures of the next tiles, (m, ..., h, w)."""
        tiles = self.tiles
        rows = slice(self.added, self.added + len(values))
        self.added = rows.stop
        places = zip(tiles.image[rows].tolist(), tiles.corner[rows].tolist(), values, strict=True)
        for image, (top, left), picture in places:
            height, width = tiles.sizes[image].tolist()
            down = self._weight(height, picture.shape[-2], top)[: height - top]
            across = self._weight(width, picture.shape[-1], left)[: width - left]
            weight = np.outer(down, across).astype(np.float32)
            part = picture[..., : len(down), : len(across)]
            area = (..., slice(top, top + len(down)), slice(left, left + len(across)))
            self.result[image][area] += weight * part

    def _weight(self, length: int, side: int, start: int) -> np.ndarray:
        if (length, side) not in self.weights:
            self.weights[length, side] = self.tiles.tiling.weights(length, side)
        return self.weights[length, side][start]


def clear_padding(pictures: np.ndarray, sizes: np.ndarray) -> None:
    """Set the pixels of pictures, (N, ..., H, W), outside of images of `sizes`, (N, 2), to NaN."""
    for picture, (height, width) in zip(pictures, sizes, strict=True):
        picture[..., height:, :], picture[..., width:] = np.nan, np.nan


def is_picture(values: np.ndarray, tiling: Tiling) -> bool:
    """Return whether values of tiles, (n, ...), are pictures of the size of a tile."""
    return values.ndim > 2 and values.shape[-2:] == tiling.shape[1:]


def put_padded(place: np.ndarray, image: np.ndarray) -> None:
    """Write an image, (C, h, w), to a place of an array of images of different sizes.

    `place` is (C + 1, H, W). The image is continued to its size by reflection; the last channel is
    INSIDE in the image.
    """
    channels, height, width = image.shape
    place[:channels] = _at_least(image[None], *place.shape[1:])[0]
    place[channels, :height, :width] = INSIDE


def _at_least(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Continue images, (N, C, H, W), by reflection to at least a size."""
    missing = max(0, height - x.shape[2]), max(0, width - x.shape[3])
    if not any(missing):
        return x
    return np.pad(x, ((0, 0), (0, 0), *((0, count) for count in missing)), "symmetric")

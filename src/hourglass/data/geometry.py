"""Geometry of images: from the height and width of a file to those of a network's input."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from PIL import Image

from hourglass.core.errors import UserError

Fit: TypeAlias = Literal["resize", "crop", "pad", "tile"]
Size: TypeAlias = int | list[int]  # as in YAML: the side of a square, or [height, width]
Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom

AFFINE = Image.Transform.AFFINE
ROUNDING = 1e-6  # of a pixel
MAX_PIXELS = 1 << 26  # of an image, 8192 x 8192; a file of kilobytes may declare gigabytes


@dataclass(frozen=True)
class Geometry:
    """The map of images of any height and width to images of `size`, (height, width).

    `resize` scales height and width independently. `pad` scales by one factor until the image fits
    into `size`, centres it and repeats its border pixels. `crop` scales by one factor until the
    image covers `size`, and cuts off what protrudes on both sides. Without `size`, images keep
    theirs; with `tile` they always do. The three are equal for images with the aspect ratio of
    `size`.

    Images are scaled with an antialiased bilinear filter. A pixel of a scaled mask is defective if
    any pixel under it is, so that small defects remain; enlarged masks repeat the nearest pixel.
    """

    size: tuple[int, int] | None = None
    fit: Fit = "pad"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """Map an image, (H, W, C) of any type of number, to (height, width, C)."""
        height, width = pixels.shape[:2]
        if self.size is None or (height, width) == self.size:
            return pixels
        inner, box, margins = self._plan(height, width)
        scaled = _resample(pixels, inner, box)
        return np.pad(scaled, (*margins, (0, 0)), mode="edge") if self.fit == "pad" else scaled

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Map a mask of defective pixels, (H, W) bool, as its image; padded pixels are False."""
        height, width = mask.shape
        if self.size is None or (height, width) == self.size:
            return mask
        inner, box, margins = self._plan(height, width)
        scaled = _scale_mask(mask, 0, box[1], box[3], inner[0])
        return np.pad(_scale_mask(scaled, 1, box[0], box[2], inner[1]), margins)

    def original_box(
        self, box: tuple[int, int, int, int], height: int, width: int
    ) -> tuple[int, int, int, int]:
        """Return the pixels of an original of (height, width) under a box of its mapped image.

        Boxes are left, top, right, bottom. The result covers whole pixels, at least one; a box in
        the padding becomes the nearest border pixels.
        """
        left, top, x_scale, y_scale = self._inverse(height, width)
        x, right = _span(left + box[0] * x_scale, left + box[2] * x_scale, width)
        y, bottom = _span(top + box[1] * y_scale, top + box[3] * y_scale, height)
        return x, y, right, bottom

    def original_area(self, height: int, width: int) -> float:
        """Return the pixels of an original of (height, width) per pixel of its mapped image."""
        _, _, x_scale, y_scale = self._inverse(height, width)
        return x_scale * y_scale

    def to_original(
        self, image: Image.Image, height: int, width: int, resample: Image.Resampling
    ) -> Image.Image:
        """Map an image of `size` back to (height, width); pixels that `crop` cut off are black."""
        if image.size == (width, height):
            return image
        left, top, x_scale, y_scale = self._inverse(height, width)
        places = (1 / x_scale, 0, -left / x_scale, 0, 1 / y_scale, -top / y_scale)
        back: Image.Image = image.transform((width, height), AFFINE, places, resample)
        return back

    def _inverse(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Return the place of the left upper corner in an original, and its pixels per pixel."""
        inner, box, margins = self._plan(height, width)
        x_scale, y_scale = (box[2] - box[0]) / inner[1], (box[3] - box[1]) / inner[0]
        return box[0] - margins[1][0] * x_scale, box[1] - margins[0][0] * y_scale, x_scale, y_scale

    def _plan(
        self, height: int, width: int
    ) -> tuple[tuple[int, int], Box, tuple[tuple[int, int], tuple[int, int]]]:
        """Return the scaled height and width, the scaled part of the image, and the margins."""
        assert self.size is not None
        rows, columns = self.size
        box: Box = (0, 0, width, height)
        if self.fit == "crop":
            factor = max(rows / height, columns / width)
            left, top = (width - columns / factor) / 2, (height - rows / factor) / 2
            box = (max(0.0, left), max(0.0, top), width - max(0.0, left), height - max(0.0, top))
        if self.fit != "pad":
            return self.size, box, ((0, 0), (0, 0))
        factor = min(rows / height, columns / width)
        inner = max(1, round(height * factor)), max(1, round(width * factor))
        top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
        margins = (top, rows - inner[0] - top), (left, columns - inner[1] - left)
        return inner, box, margins


def make_geometry(size: Size | None, fit: str) -> Geometry:
    """Return the geometry of the settings `size` and `fit`, or raise a UserError."""
    if fit not in get_args(Fit):
        raise UserError(f"`fit` is {fit!r}; give one of {', '.join(get_args(Fit))}.")
    if size is None or fit == "tile":
        return Geometry(None, fit)  # type: ignore[arg-type]
    return Geometry(find_sides(size), fit)  # type: ignore[arg-type]


def find_sides(size: Size) -> tuple[int, int]:
    """Return height and width of the setting `size`, or raise a UserError."""
    sides = [size, size] if isinstance(size, int) else list(size)
    if len(sides) != 2 or any(side < 1 for side in sides):
        raise UserError(f"`size` is {size}; give a number of pixels, [height, width], or omit it.")
    if sides[0] * sides[1] > MAX_PIXELS:
        raise UserError(f"`size` is {size}, more than {MAX_PIXELS:,} pixels; give a smaller one.")
    return sides[0], sides[1]


def _span(start: float, stop: float, length: int) -> tuple[int, int]:
    """Return the whole pixels that an interval touches, at least one of those from 0 to length."""
    first = min(max(0, math.floor(start + ROUNDING)), length - 1)
    return first, min(max(first + 1, math.ceil(stop - ROUNDING)), length)


def _scale_mask(mask: np.ndarray, axis: int, start: float, stop: float, count: int) -> np.ndarray:
    """Scale the part of a mask from `start` to `stop` to `count` pixels along an axis.

    Each pixel belongs to the one over its centre. Pillow's box filter loses some of those whose
    centre lies on an edge.
    """
    scale = (stop - start) / count
    if scale <= 1:
        nearest = np.floor(start + (np.arange(count) + 0.5) * scale).astype(int)
        return mask.take(nearest, axis)
    edges = np.ceil(start + np.arange(count + 1) * scale - 0.5).astype(int)
    covered = mask[: edges[-1]] if axis == 0 else mask[:, : edges[-1]]
    return np.logical_or.reduceat(covered, edges[:-1], axis)


def _resample(pixels: np.ndarray, size: tuple[int, int], box: Box) -> np.ndarray:
    """Scale a part of an image, (H, W, C), to `size`, with an antialiased bilinear filter."""
    channels = pixels.shape[2]
    if pixels.dtype == np.uint8 and channels in (1, 3):
        image = Image.fromarray(pixels[..., 0] if channels == 1 else np.ascontiguousarray(pixels))
        scaled = np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box=box))
        return scaled.reshape(*size, channels)
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels[..., channel], np.float32)).resize(
                size[::-1], Image.Resampling.BILINEAR, box=box
            )
        )
        for channel in range(channels)
    ]
    scaled = np.stack(planes, axis=2)
    return np.rint(scaled).astype(pixels.dtype) if pixels.dtype.kind in "iu" else scaled

"""Images that Pillow cannot open, or would read with 8 bits: deep colours, and many channels.

Pillow reads a PNG or TIFF with 16 bits per colour as 8 bits, and no TIFF of more than four
channels. torchvision and tifffile, which scikit-image brings, read both as they are.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

TIFF_SUFFIXES = (".tif", ".tiff")
BITS, ORIENTATION, EXTRA_SAMPLES = 258, 274, 338  # tags of TIFF; the second one also of EXIF
ALPHA = (1, 2)  # of ExtraSamples: the kinds of alpha
PNG_ALPHA = (2, 4)  # channels of a PNG with alpha


class Layout(NamedTuple):
    """Height, width, channels without alpha, and type of number."""

    height: int
    width: int
    channels: int
    dtype: np.dtype


class Stored(NamedTuple):
    """Pixels as they are stored, (H, W, C), alpha as the last channel, and EXIF orientation."""

    pixels: np.ndarray
    has_alpha: bool
    orientation: int


def is_deep(image: Image.Image) -> bool:
    """Return whether an opened image has several channels of more than 8 bits."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(BITS, (1,))  # type: ignore[attr-defined]
        return len(bits) > 1 and max(bits) > 8
    # Pillow names the type of the stored pixels, such as RGB;16B, in the arguments of its decoder.
    tiles: Any = getattr(image, "tile", [])
    is_colour = image.mode in ("RGB", "RGBA", "LA")
    return image.format == "PNG" and is_colour and any(";16" in str(tile.args) for tile in tiles)


def read_deep_png(content: bytes, orientation: int) -> Stored:
    """Return the pixels of a PNG as uint16."""
    import torch
    from torchvision.io import ImageReadMode, decode_png

    buffer = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    pixels = decode_png(buffer, ImageReadMode.UNCHANGED).numpy().transpose(1, 2, 0)
    return Stored(pixels, pixels.shape[2] in PNG_ALPHA, orientation)


def tiff_layout(file: Path, page: int) -> Layout:
    """Return the layout of a page of a TIFF without decoding it."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        found: Any = tiff.pages[page]
        sizes = dict(zip(found.axes, found.shape, strict=True))
        height, width = sizes["Y"], sizes["X"]
        if _tag(found, ORIENTATION, 1) > 4:  # it lies on its side
            height, width = width, height
        channels = sizes.get("S", 1) - _has_alpha(found)
        return Layout(height, width, channels, _kept_type(found.dtype))


def read_tiff(file: Path, page: int) -> Stored:
    """Return the pixels of a page as uint8, uint16 or float32."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        found: Any = tiff.pages[page]
        pixels = found.asarray()
        pixels = pixels.transpose([found.axes.index(axis) for axis in "YXS" if axis in found.axes])
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        pixels = pixels.astype(_kept_type(pixels.dtype), copy=False)
        return Stored(pixels, _has_alpha(found), _tag(found, ORIENTATION, 1))


def _has_alpha(page: Any) -> bool:
    kinds = np.atleast_1d(_tag(page, EXTRA_SAMPLES, 0))
    return bool(kinds[-1] in ALPHA)


def _tag(page: Any, number: int, default: int) -> Any:
    found = page.tags.get(number)
    return default if found is None else found.value


def _kept_type(dtype: Any) -> np.dtype:
    """Return the type that holds the pixels: uint8, uint16, or float32 for all others."""
    return np.dtype(dtype if np.dtype(dtype) in (np.uint8, np.uint16) else np.float32)

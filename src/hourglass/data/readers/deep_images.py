"""Images that Pillow cannot open, or would read with 8 bits: deep colours, and many channels.

Pillow reads a PNG or TIFF with 16 bits per colour as 8 bits, and no TIFF of more than four
channels. imagecodecs and tifffile, which uses it for compressed files, read both as they are.
"""

import io
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

TIFF_SUFFIXES = (".tif", ".tiff")
BITS, ORIENTATION, EXTRA_SAMPLES = 258, 274, 338  # tags of TIFF; the second one also of EXIF
ALPHA = (1, 2)  # of ExtraSamples: the kinds of alpha
PNG_ALPHA = (2, 4)  # channels of a PNG with alpha

Source: TypeAlias = Path | io.BytesIO  # a file, or its content as an open one


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
    """Return whether Pillow, which opened an image, would drop channels or bits of it."""
    if image.format == "TIFF":
        bits = image.tag_v2.get(BITS, (1,))  # type: ignore[attr-defined]
        return len(bits) > 1 and (max(bits) > 8 or len(bits) > len(image.getbands()))
    return (
        image.format == "PNG"
        and len(image.mode) > 1
        and image.mode != "I;16"
        and (";16" in stored_mode(image))
    )


def stored_mode(image: Image.Image) -> str:
    """Return the type of the stored pixels of an opened PNG as Pillow calls it, such as RGB;16B."""
    tiles: Any = getattr(image, "tile", [])
    return str(tiles[0].args) if tiles else ""


def read_deep_png(content: bytes, orientation: int) -> Stored:
    """Return the pixels of a PNG as uint16."""
    from imagecodecs import png_decode

    pixels = png_decode(content)
    return Stored(pixels, pixels.shape[2] in PNG_ALPHA, orientation)


def tiff_layout(file: Source, page: int) -> Layout:
    """Return the layout of a page of a TIFF without decoding it."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        found: Any = _flat_page(tiff, page)
        sizes = dict(zip(found.axes, found.shape, strict=True))
        height, width = sizes["Y"], sizes["X"]
        if _tag(found, ORIENTATION, 1) > 4:  # it lies on its side
            height, width = width, height
        channels = sizes.get("S", 1) - _has_alpha(found)
        return Layout(height, width, channels, _kept_type(found.dtype))


def read_tiff(file: Source, page: int) -> Stored:
    """Return the pixels of a page as uint8, uint16 or float32."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        found: Any = _flat_page(tiff, page)
        pixels = found.asarray()
        pixels = pixels.transpose([found.axes.index(axis) for axis in "YXS" if axis in found.axes])
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        pixels = pixels.astype(_kept_type(pixels.dtype), copy=False)
        return Stored(pixels, _has_alpha(found), _tag(found, ORIENTATION, 1))


def _flat_page(tiff: Any, page: int) -> Any:
    """Return a page of a TIFF; raise a ValueError for a volume, whose depth nothing limits."""
    found = tiff.pages[page]
    if not set(found.axes) <= set("YXS"):
        raise ValueError(f"a page with the axes {found.axes}, of which YXS are those of an image")
    return found


def _has_alpha(page: Any) -> bool:
    kinds = np.atleast_1d(_tag(page, EXTRA_SAMPLES, 0))
    return bool(kinds[-1] in ALPHA)


def _tag(page: Any, number: int, default: int) -> Any:
    found = page.tags.get(number)
    return default if found is None else found.value


def _kept_type(dtype: Any) -> np.dtype:
    """Return the type that holds the pixels: uint8, uint16, or float32 for all others."""
    return np.dtype(dtype if np.dtype(dtype) in (np.uint8, np.uint16) else np.float32)

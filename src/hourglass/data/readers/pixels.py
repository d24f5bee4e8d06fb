"""Conversion of pixels: channels, type of number, and the value of white."""

import numpy as np

from hourglass.core.errors import UserError
from hourglass.data.large_arrays import parts
from hourglass.data.streaming import release_pages

LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, ITU-R 601
LUMA_16 = np.array([19595, 38470, 7471], np.uint32)  # the same in units of 2**-16, as in Pillow
SENSOR_BITS = (10, 12, 14, 16)  # of pixels in files of 16 bits
BYTE = 255.0  # white in 8 bits


def with_channels(pixels: np.ndarray, channels: int, name: object) -> np.ndarray:
    """Return an image, (H, W, C), with another number of channels.

    Colours become grey by their luma, and grey becomes equal colours. Raises a UserError, which
    names the image, for any other change.
    """
    found = pixels.shape[2]
    if found == channels:
        return pixels
    if found == 1 and channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if found == 3 and channels == 1:
        return _luma(pixels)
    raise UserError(
        f"{name} has {found} channels where {channels} are needed; give images with equal channels."
    )


def _luma(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype.kind != "u":
        return (pixels @ LUMA).astype(pixels.dtype)[..., None]
    total = pixels.astype(np.uint32) @ LUMA_16
    return ((total + (1 << 15)) >> 16).astype(pixels.dtype)[..., None]


def as_type(pixels: np.ndarray, dtype: np.dtype, full_scale: float, name: object) -> np.ndarray:
    """Return uint8, uint16 or float32 pixels in the type of a data set whose white is `full_scale`.

    Bytes of a file are scaled from 255. Pixels of more than 8 bits keep their values; raises a
    UserError if the data set has another type.
    """
    if pixels.dtype == dtype:
        return pixels
    if pixels.dtype != np.uint8:
        raise UserError(
            f"{name} has pixels of type {pixels.dtype} where {dtype} is needed; convert it first."
        )
    return scale_bytes(pixels, dtype, full_scale)


def scale_bytes(pixels: np.ndarray, dtype: np.dtype, full_scale: float) -> np.ndarray:
    """Return bytes, of which 255 is white, in another type or with another white."""
    if dtype == np.uint8 and full_scale == BYTE:
        return pixels
    scaled = pixels * (full_scale / BYTE)
    return (np.round(scaled) if np.dtype(dtype).kind == "u" else scaled).astype(dtype)


def plain_type(x: np.ndarray, name: object) -> np.ndarray:
    """Return an array of numbers as uint8, uint16 or float32.

    Booleans become 0 and 255, integers the smallest type that holds them, other floats float32.
    """
    if x.dtype == bool:
        return x.astype(np.uint8) * np.uint8(BYTE)
    if x.dtype in (np.uint8, np.uint16, np.float32):
        return x.astype(x.dtype.newbyteorder("="), copy=False)
    if x.dtype.kind == "f":
        return x.astype(np.float32)
    if x.dtype.kind not in "iu":
        raise UserError(f"{name} holds {x.dtype}, not pixels; give numbers.")
    lowest, highest = (x.min(), x.max()) if x.size else (0, 0)
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise UserError(
            f"{name} holds integers from {lowest} to {highest}; give pixels of 8 or 16 bits, or "
            "floats with `full_scale`."
        )
    return x.astype(np.uint8 if highest <= BYTE else np.uint16)


def find_full_scale(x: np.ndarray, full_scale: float | None, name: object) -> float:
    """Return the value of white in images, (N, C, H, W); `full_scale` is the setting, or None.

    It is 255 for 8 bits; for 16 bits the highest value of the smallest depth of SENSOR_BITS that
    holds all pixels; and 1 or 255 for floats. Raises a UserError for other floats.
    """
    lowest, highest = (0.0, BYTE) if x.dtype == np.uint8 else _range(x)
    return white_of_range(x.dtype, lowest, highest, full_scale, name)


def white_of_range(
    dtype: np.dtype, lowest: float, highest: float, full_scale: float | None, name: object
) -> float:
    """Return the result of `find_full_scale` for images with the lowest and the highest pixel."""
    if dtype == np.uint8:
        if full_scale not in (None, BYTE):
            raise UserError(
                f"`full_scale` is {full_scale:g}, but {name} has 8 bits, of which 255 is white; "
                "omit it."
            )
        return BYTE
    if not np.isfinite([lowest, highest]).all():
        raise UserError(f"{name} holds pixels that are not finite; replace them first.")
    if full_scale is not None:
        if not full_scale > 0:
            raise UserError(f"`full_scale` is {full_scale}; give the value of white, above 0.")
        return float(full_scale)
    if dtype == np.uint16:
        return float(min(2**bits - 1 for bits in SENSOR_BITS if highest < 2**bits))
    if lowest >= 0 and highest <= BYTE:
        return 1.0 if highest <= 1 else BYTE
    raise UserError(
        f"{name} holds pixels from {lowest:g} to {highest:g}; set `full_scale` to the value of "
        "white, or give vectors, not images, as (N, D)."
    )


def _range(x: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest value; NaN if one is NaN."""
    lows, highs = [], []
    for part in parts(x):
        lows.append(x[part].min())
        highs.append(x[part].max())
        release_pages(x)
    return (float(np.min(lows)), float(np.max(highs))) if lows else (0.0, 0.0)

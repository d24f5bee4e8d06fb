"""Readers of image sets for `prepare`: an .npz file, or a folder per class, to uint8 arrays."""

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from PIL import Image

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import quote
from hourglass.data.readers.image_folders import find_images
from hourglass.data.readers.user_files import check_file_type

GREY_MODES = {"1", "L"}  # Pillow's modes for black and white and for 8-bit grey
MAX_PIXELS = 1 << 26  # of an image, 8192 x 8192; a file of kilobytes may declare gigabytes
MAX_NPY_HEADER_BYTES = 10_012  # NumPy's limit; NumPy checks it after reading the header
HIGH_DEPTH_PREFIXES = ("I", "F")  # of Pillow's modes with more than 8 bits per channel


def read_npz(path: Path, size: int | None, grey: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Read (N, C, H, W) uint8 images and (N,) classes, None if the file has no array `y`.

    `size` is the side in pixels to resize to, None for no change; `grey` removes colours.
    """
    x, y = _read_arrays(path)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or 0 in x.shape:
        raise UserError(
            f"The array `x` of {path} is {x.dtype} of shape {x.shape}; give uint8 of shape "
            "(N, H, W), (N, H, W, C) or (N, C, H, W)."
        )
    x = channels_last(x, path)
    if y is not None:
        _require_label_per_sample(x, y, path)
    is_grey = x.shape[3] == 1
    if size is not None or (grey and not is_grey):
        mode = "L" if grey or is_grey else "RGB"
        images = map(Image.fromarray, x[..., 0] if is_grey else x)
        x = np.stack([_to_pixels(image, mode, _square(size)) for image in images])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y


def _require_label_per_sample(x: np.ndarray, y: np.ndarray, path: Path) -> None:
    if y.shape != x.shape[:1]:
        raise UserError(
            f"The array `y` of {path} has shape {y.shape} for {len(x)} samples; give one class per "
            "sample."
        )


def read_folder(
    path: Path, size: int | None, grey: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read (N, C, H, W) uint8 images, (N,) classes and (N,) paths relative to `path`.

    `size` and `grey` are those of `read_npz`.
    """
    classes = find_images(path)
    files = list(classes)
    headers = [read_header(file) for file in files]
    first_width, first_height, _ = headers[0]
    for file, (width, height, _) in zip(files, headers, strict=True):
        if size is None and (width, height) != (first_width, first_height):
            raise UserError(
                f"{file} is {width} x {height} pixels but {files[0].name} is {first_width} x "
                f"{first_height}; give images of one size, or `size` to resize them all."
            )
    mode = "L" if grey or all(mode in GREY_MODES for _, _, mode in headers) else "RGB"
    x = np.stack([decode_image(file, mode, _square(size)) for file in files])
    label = np.array(list(classes.values()))
    ids = np.array([file.relative_to(path).as_posix() for file in files])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), label, ids


def inspect_images(path: Path) -> tuple[np.ndarray, set[tuple[int, int]], int]:
    """Return the classes, (N,) str, the sizes (width, height), and the number of channels.

    `path` is that of `read_npz` or of `read_folder`. Images of a folder are not decoded.
    """
    if not path.is_dir():
        x, y = read_npz(path, None, False)
        label = np.full(len(x), "normal") if y is None else y
        return label, {(x.shape[3], x.shape[2])}, x.shape[1]
    classes = find_images(path)
    headers = [read_header(file) for file in classes]
    sizes = {(width, height) for width, height, _ in headers}
    is_grey = all(mode in GREY_MODES for _, _, mode in headers)
    return np.array(list(classes.values())), sizes, 1 if is_grey else 3


def read_npz_table(path: Path) -> pd.DataFrame | None:
    """Return the rows `x`, (N, F) numbers, and the labels `y` of an .npz file; None for images.

    The features are called x0, x1 and so on.
    """
    x, y = _read_arrays(path)
    if x.ndim != 2 or x.dtype.kind not in "fiu":
        return None
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])])
    if y is not None:
        _require_label_per_sample(x, y, path)
        frame["y"] = y
    return frame.set_index(pd.RangeIndex(1, len(frame) + 1))


def channels_last(x: np.ndarray, path: Path) -> np.ndarray:
    """Return images as (N, H, W, C); raise a UserError if no axis has 1 or 3 channels."""
    if x.ndim == 3:
        return x[..., None]
    if x.shape[3] in (1, 3):
        return x
    if x.shape[1] in (1, 3):
        return x.transpose(0, 2, 3, 1)
    raise UserError(
        f"The array `x` of {path} has shape {x.shape}, in which neither the last nor the second "
        "axis has 1 or 3 channels; remove other channels, such as alpha."
    )


def read_npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, column order and type of an open .npy file, which is then at its content."""
    head = io.BytesIO(file.read(MAX_NPY_HEADER_BYTES))
    version = np.lib.format.read_magic(head)
    read_array_header = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read_array_header = np.lib.format.read_array_header_2_0
    header: tuple[tuple[int, ...], bool, np.dtype[Any]] = read_array_header(head)
    file.seek(head.tell())
    return header


def check_npz_array(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """Check the header of an array, without reading the content.

    Raises a UserError if it declares more bytes than the archive holds, or more than MAX_PIXELS.
    """
    with archive.open(f"{name}.npy") as file:
        shape, _, dtype = read_npy_header(file)
    declared, held = math.prod(shape) * dtype.itemsize, archive.getinfo(f"{name}.npy").file_size
    if not dtype.hasobject and declared > held:
        raise UserError(
            f"the array {name!r} of {path} declares {declared:,} bytes, but the file holds "
            f"{held:,}; write it again with numpy.savez_compressed."
        )
    channels = 3 if len(shape) == 4 else 1
    if len(shape) > 2 and math.prod(shape[1:]) > channels * MAX_PIXELS:
        raise UserError(
            f"the images of {path} have the shape {quote(shape[1:])}, more than {MAX_PIXELS:,} "
            "pixels; resize them first."
        )


def read_header(file: Path) -> tuple[int, int, str]:
    """Return width, height and Pillow mode without decoding the image.

    Raises a UserError for a damaged file, more than 8 bits, or more than MAX_PIXELS.
    """
    check_file_type(file)
    try:
        with Image.open(file) as image:
            width, height, mode = *image.size, image.mode
    except Exception as error:  # Pillow's plug-ins raise many types of errors
        raise _unreadable(file, error) from error
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{file} is {width} x {height} pixels, more than {MAX_PIXELS:,}; resize it first."
        )
    if mode.startswith(HIGH_DEPTH_PREFIXES):
        raise UserError(
            f"{file} has more than 8 bits per pixel (mode {mode}); convert it to 8 bits."
        )
    return width, height, mode


def decode_image(file: Path, mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """Decode an image file to (H, W, C) uint8, or raise a UserError.

    The image is converted to Pillow's `mode` and resized to `size`, (width, height), if given.
    """
    try:
        with Image.open(file) as image:
            return _to_pixels(image, mode, size)
    except Exception as error:  # Pillow's plug-ins raise many types of errors
        raise _unreadable(file, error) from error


def _read_arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the arrays `x` and `y` of an .npz file; `y` is None if it is absent."""
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path} is neither an .npz file nor a folder; give one of these.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = sorted(archive.files)
            for name in {"x", "y"} & {*names}:
                check_npz_array(path, archive.zip, name)
            x = archive["x"] if "x" in names else None
            y = archive["y"].astype(str) if "y" in names else None
    except UserError:
        raise
    # zipfile and NumPy raise many types of errors for a damaged file.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as .npz ({one_line(error)}); write it again with "
            "numpy.savez_compressed, without Python objects in it."
        ) from error
    if x is None:
        raise UserError(f"{path} holds the arrays {names}; name the array of samples 'x'.")
    return x, y


def _square(size: int | None) -> tuple[int, int] | None:
    return None if size is None else (size, size)


def _to_pixels(image: Image.Image, mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """Convert and resize an image, and return its pixels, (H, W, C) uint8."""
    image = image.convert(mode)
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(
        f"{file} cannot be read as an image ({one_line(error)}); replace or remove it."
    )

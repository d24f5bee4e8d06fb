"""Decode images from an .npz file or a folder to uint8 arrays."""

from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.core.errors import UserError, one_line

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
GREY = {"1", "L"}  # Pillow's modes of black and white, and of 8 bits
DEEP = ("I", "F")  # how its modes of more than 8 bits begin


def read_npz(path: Path, size: int | None, grey: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (N, C, H, W) uint8 images and their (N,) classes, None where it names none."""
    x, y = _arrays(path)
    if x.dtype != np.uint8 or x.ndim not in (3, 4) or 0 in x.shape:
        raise UserError(
            f"The array `x` of {path} is {x.dtype} of shape {x.shape}; give uint8 of shape "
            "(N, H, W), (N, H, W, C) or (N, C, H, W)."
        )
    x = channels_last(x, path)
    if y is not None and y.shape != x.shape[:1]:
        raise UserError(
            f"The array `y` of {path} has shape {y.shape} beside {len(x)} images; give one class "
            "an image."
        )
    if size is not None or (grey and x.shape[3] == 3):
        mode = "L" if grey or x.shape[3] == 1 else "RGB"
        pictures = (Image.fromarray(pixels) for pixels in (x[..., 0] if x.shape[3] == 1 else x))
        x = np.stack([_pixels(picture, mode, _square(size)) for picture in pictures])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), y


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path} is neither an .npz file nor a folder; give one of these.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = sorted(archive.files)
            x = archive["x"] if "x" in names else None
            y = archive["y"].astype(str) if "y" in names else None
    # A damaged file makes zipfile and numpy raise errors of a dozen kinds.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read as .npz ({one_line(error)}); write it again with "
            "numpy.savez_compressed, without Python objects in it."
        ) from error
    if x is None:
        raise UserError(f"{path} holds {names}; name the array of images 'x'.")
    return x, y


def channels_last(x: np.ndarray, path: Path) -> np.ndarray:
    """Return images as (N, H, W, C), or raise a UserError where no axis is 1 or 3 channels long."""
    if x.ndim == 3:
        return x[..., None]
    if x.shape[3] in (1, 3):
        return x
    if x.shape[1] in (1, 3):
        return x.transpose(0, 2, 3, 1)
    raise UserError(
        f"The array `x` of {path} has shape {x.shape}, where neither the last axis nor the second "
        "one is 1 or 3 channels long; leave other channels, such as alpha, out."
    )


def read_folder(
    path: Path, size: int | None, grey: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (N, C, H, W) uint8 images, their (N,) classes and their (N,) paths below `path`."""
    files = _image_files(path)
    heads = [head(file) for file in files]
    for file, (width, height, _) in zip(files, heads, strict=True):
        if size is None and (width, height) != heads[0][:2]:
            raise UserError(
                f"{file} is {width} x {height} pixels where {files[0].name} is {heads[0][0]} x "
                f"{heads[0][1]}; make them alike, or give `size` to resize them all."
            )
    mode = "L" if grey or all(each[2] in GREY for each in heads) else "RGB"
    x = np.stack([decode(file, mode, _square(size)) for file in files])
    label = np.array([file.parent.name for file in files])
    ids = np.array([file.relative_to(path).as_posix() for file in files])
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)), label, ids


def _image_files(path: Path) -> list[Path]:
    """Return the images in the subfolders, sorted; hidden files and folders are passed over."""
    found = []
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and p.name[0] != "."):
        files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.name[0] != "."]
        if not files:
            raise UserError(f"{folder} holds no image; put its class's images there or remove it.")
        found += sorted(files)
    loose = sorted(p.name for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if loose or not found:
        held = f"holds {loose[0]} outside of any class" if loose else "holds no class of images"
        raise UserError(f"{path} {held}; sort all images into one subfolder a class.")
    return found


def head(file: Path) -> tuple[int, int, str]:
    """Return width, height and Pillow's mode, without decoding the image, or raise a UserError."""
    try:
        with Image.open(file) as image:
            width, height, mode = *image.size, image.mode
    except Exception as error:  # Pillow's plug-ins raise errors of a dozen kinds
        raise _unreadable(file, error) from error
    if mode.startswith(DEEP):
        raise UserError(f"{file} has more than 8 bits a pixel (mode {mode}); convert it to 8 bits.")
    return width, height, mode


def decode(file: Path, mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """Return an image file as (H, W, C) uint8, or raise a UserError.

    `mode` is Pillow's; `size` (width, height) resizes.
    """
    try:
        with Image.open(file) as image:
            return _pixels(image, mode, size)
    except Exception as error:  # as above
        raise _unreadable(file, error) from error


def _square(size: int | None) -> tuple[int, int] | None:
    return None if size is None else (size, size)


def _pixels(image: Image.Image, mode: str, size: tuple[int, int] | None) -> np.ndarray:
    """Return (H, W, C) uint8."""
    image = image.convert(mode)
    if size is not None:
        image = image.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} cannot be read as an image ({one_line(error)}); mend or remove it.")

"""Images in .npz files and image files, to train on and to score."""

import io
import random
import struct
import zipfile
import zlib
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.core.errors import UserError
from hourglass.data.images import Images
from hourglass.data.readers.chunks import read_chunks
from hourglass.detection.detector import Detector
from tests.robustness.fuzz.case import Case, damage

SHAPE = (1, 6, 5)  # sample shape of the detector: channels, height, width
RESHAPED = ((90,), (3, 30), (3, 6, 5), (3, 6, 5, 1), (3, 5, 6, 1), (1, 3, 6, 5))
WRONG_SHAPES = (
    *("(10**12, 1, 6, 5)", "(1000000000000, 1, 6, 5)", "(-3, 1, 6, 5)", "(3, 1, 6, 6)", "()"),
    *("(3, 1, 99999999999, 99999999999)", "None", "(" * 300, "(3, 1, 6, 5.0)", "(3, 1, 6, 5, 0)"),
)
WAYS = ("whole", "shape", "dtype", "pickle", "lie", "name", "bytes", "bytes", "nothing", "order")


def of_npz(rng: random.Random, folder: Path, detector: Detector | None = None) -> Case:
    """Return an .npz file for `score` with a detector, or for `prepare`."""
    path, right, what = _npz(rng, folder)
    if not detector:
        return Case(f"npz, {what}", lambda: _prepared(path), right, what == "whole")
    return Case(
        f"new npz, {what}", lambda: _chunks(path, detector), _if_it_fits(right), what == "whole"
    )


def _if_it_fits(x: np.ndarray | None) -> np.ndarray | None:
    """Return the images if the detector can score them, else None."""
    return x if x is not None and x.shape[1:] == SHAPE and x.dtype == np.uint8 else None


def _npz(rng: random.Random, folder: Path) -> tuple[Path, np.ndarray | None, str]:
    """Write a mostly malformed archive; return its path, its images and its defect."""
    x = np.frombuffer(rng.randbytes(90), np.uint8).reshape(3, *SHAPE)
    what, name, stored = rng.choice(WAYS), "x", x
    if what == "shape":
        stored = x.reshape(rng.choice(RESHAPED))[: rng.choice([0] + [90] * 9)]
    elif what == "dtype":
        stored = x.astype(rng.choice(["f4", "i2", "?", "S1", "c8", "M8[s]"]))
    elif what == "pickle":
        stored = np.array([{"a": 1}, None], object)
    elif what == "name":
        name = rng.choice(["y", "X", "../x", ""])
    elif what == "order":
        stored = np.asfortranarray(x)
    content = io.BytesIO()
    np.save(content, stored, allow_pickle=True)
    array = content.getvalue()
    if what == "lie":
        array = _wrong_header(rng, array[-90:])
    path = folder / "images.npz"
    compression = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{name}.npy", array)
    if what == "bytes":
        path.write_bytes(damage(path.read_bytes(), rng))
    elif what == "nothing":
        path.write_bytes(rng.choice([b"", b"PK", b"\x93NUMPY", b"PK\x05\x06" + bytes(18)]))
    return path, _reference(path), what


def _wrong_header(rng: random.Random, body: bytes) -> bytes:
    """Return an array whose header declares other content, or is malformed."""
    order, shape = rng.choice(["False", "True", "7"]), rng.choice(WRONG_SHAPES)
    text = f"{{'descr': '|u1', 'fortran_order': {order}, 'shape': {shape}, }}\n"
    version = rng.choice([b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"])
    length = struct.pack("<H" if version[:1] == b"\x01" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode() + body


def _reference(path: Path) -> np.ndarray | None:
    """Return (N, C, H, W) by NumPy and the rules of the documentation; None if one fails."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            (x,) = (archive[name] for name in archive.files)
    except Exception:  # damage raises a dozen kinds
        return None
    if x.dtype.kind not in "biuf" or x.ndim not in (3, 4) or not x.size:
        return None
    if x.dtype.kind == "f":
        x = x.astype(np.float32)
    elif x.min() < 0 or x.max() > 255:
        return None
    else:
        x = x.astype(np.uint8) * np.uint8(255 if x.dtype == bool else 1)
    if x.ndim == 3:
        return x[:, None]
    return x.transpose(0, 3, 1, 2) if x.shape[3] in (1, 3) else x if x.shape[1] in (1, 3) else None


def of_image(rng: random.Random, folder: Path, detector: Detector | None = None) -> Case:
    """Return an image file for `score` with a detector, or a folder with it for `prepare`."""
    path, right, what = _image_file(rng, folder)
    if not detector:
        grey = right is not None and right.shape[1] == 1
        read = partial(_prepared, path.parent.parent, grey)
        return Case(f"image, {what}", read, right, what == "whole")
    right = _if_it_fits(right if right is None else _decoded(path, "L"))
    return Case(f"new image, {what}", lambda: _chunks(path, detector), right, what == "whole")


def _image_file(rng: random.Random, folder: Path) -> tuple[Path, np.ndarray | None, str]:
    what = rng.choice(["whole", "mode", "bytes", "bytes", "bomb", "suffix", "nothing", "chunk"])
    suffix = rng.choice([".png", ".jpg", ".bmp", ".gif", ".tif", ".webp", ".pgm"])
    image = Image.fromarray(np.frombuffer(rng.randbytes(30), np.uint8).reshape(6, 5))
    if what == "mode":
        suffix, mode = ".png", rng.choice(["1", "P", "LA", "RGB", "RGBA", "I;16"])
        image = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    path = folder / "pictures" / "class" / f"image{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    if what == "suffix":
        path = path.rename(path.with_suffix(rng.choice([".png", ".jpg", ".tif"])))
    elif what == "bytes":
        path.write_bytes(damage(path.read_bytes(), rng))
    elif what == "nothing":
        path.write_bytes(rng.choice([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff"]))
    elif what in ("bomb", "chunk"):
        path = path.rename(path.with_suffix(".png"))
        side = rng.choice([1, 40_000, 2**31 - 1])
        path.write_bytes(_png(6, 5, 2 << 20) if what == "chunk" else _png(side, side, 0))
    return path, _decoded(path, None), what


@cache
def _png(width: int, height: int, text_bytes: int) -> bytes:
    """Return a PNG of 30 pixels that declares a size, with a compressed text."""
    png = b"\x89PNG\r\n\x1a\n"
    for kind, content in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(text_bytes), 9)),
        (b"IDAT", zlib.compress(bytes(36))),
        (b"IEND", b""),
    ):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        png += struct.pack(">I", len(content)) + kind + content + checksum
    return png


def _decoded(path: Path, mode: str | None) -> np.ndarray | None:
    """Return the image that Pillow decodes, (1, C, H, W); None if it cannot, or above 8 bits."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                return None
            pixels = np.asarray(image.convert(mode or ("L" if image.mode in ("1", "L") else "RGB")))
    except Exception:  # damage raises a dozen kinds
        return None
    return pixels[None, None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)[None]


def _prepared(path: Path, grey: bool = False) -> np.ndarray:
    """Return the samples that `prepare` would divide."""
    return Images(str(path), grey=grey).load(path).x


def _chunks(path: Path, detector: Detector) -> np.ndarray:
    """Return the samples that `score` would score."""
    chunks = list(read_chunks(path, detector, None, resize=False))
    if not chunks:
        raise UserError("there is nothing to be scored.")  # like the command, in other words
    return np.concatenate([chunk.x for chunk in chunks])

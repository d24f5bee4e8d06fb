"""Read idx files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist)."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from hourglass.errors import Refusal, one_line

UINT8 = 8  # the code of the only element type that these publishers use
GZIP = b"\x1f\x8b"  # how gzip starts; idx starts with two zero bytes


def find_idx(path: Path) -> Path | None:
    """Return `path`, or `path` with ".gz" appended, whichever is there; None where neither is."""
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((file for file in candidates if file.is_file()), None)


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in `path`, or in its gzipped form beside it.

    A Refusal where the file is missing, damaged, of another type, or shorter or longer than its
    header says.
    """
    file = find_idx(path)
    if file is None:
        raise Refusal(
            f"{path} is missing, plain and gzipped; put it there, or set HOURGLASS_DATA to a "
            "folder that has it."
        )
    data = _content(file)
    shape = _shape(data, file)
    start = 4 + 4 * len(shape)
    held, due = len(data) - start, math.prod(shape)
    if held != due or due == 0:
        raise damaged(file, f"holds {held:,} values where its header says {due:,}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, H, W) images and (N,) labels, both uint8, or a Refusal where N differs."""
    x, y = read_idx(images), read_idx(labels)
    for values, path, axes in ((x, images, 3), (y, labels, 1)):
        if values.ndim != axes:
            raise damaged(path, f"has {values.ndim} axes where {axes} belong")
    if len(x) != len(y):
        raise damaged(images, f"holds {len(x):,} images but {labels.name} {len(y):,} labels")
    return x, y


def _content(file: Path) -> bytes:
    try:
        data = file.read_bytes()
        return gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise damaged(file, f"cannot be read ({one_line(error)})") from error


def _shape(data: bytes, file: Path) -> tuple[int, ...]:
    if len(data) < 4:
        raise damaged(file, f"ends after {len(data)} bytes, inside its header")
    zeros, kind, axes = struct.unpack(">HBB", data[:4])
    if zeros != 0 or kind != UINT8 or not 1 <= axes <= 3:
        raise damaged(file, f"starts with {data[:4].hex()}, which is not an idx file of uint8")
    if len(data) < 4 + 4 * axes:
        raise damaged(file, f"ends after {len(data)} bytes, inside its header")
    return struct.unpack_from(f">{axes}I", data, 4)


def damaged(file: Path, what: str) -> Refusal:
    """Return the Refusal of `file`, of which `what` is wrong."""
    return Refusal(
        f"{file} {what}; delete it, and it is downloaded again, or compare it with the "
        "publisher's checksum."
    )

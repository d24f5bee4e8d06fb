"""Read idx files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist)."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

from hourglass.core.errors import UserError, one_line

UINT8 = 8  # the code of the only element type that these publishers use
GZIP = b"\x1f\x8b"  # how gzip starts; idx starts with two zero bytes
LARGEST = 1 << 31  # values; EMNIST's largest file has a third of that
PIECE = 1 << 20  # bytes read at once


def find_idx(path: Path) -> Path | None:
    """Return `path`, or `path` with ".gz" appended, whichever is there; None where neither is."""
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((file for file in candidates if file.is_file()), None)


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array in `path`, or in its gzipped form beside it.

    A UserError where the file is missing, damaged, of another type, or shorter or longer than its
    header says.
    """
    file = find_idx(path)
    if file is None:
        raise UserError(
            f"{path} is missing, plain and gzipped; put it there, or set HOURGLASS_DATA to a "
            "folder that has it."
        )
    try:
        with _opened(file) as stream:
            shape = _shape(stream, file)
            due = math.prod(shape)
            # No more than there must be: a gzipped file of kilobytes may hold terabytes.
            data = _at_most(stream, min(due, LARGEST) + 1)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise damaged(file, f"cannot be read ({one_line(error)})") from error
    if len(data) > due:
        raise damaged(file, f"holds more than the {due:,} values that its header says")
    if len(data) < due or due == 0:
        raise damaged(file, f"holds {len(data):,} values where its header says {due:,}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_pair(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, H, W) images and (N,) labels, both uint8, or a UserError where N differs."""
    x, y = read_idx(images), read_idx(labels)
    for values, path, axes in ((x, images, 3), (y, labels, 1)):
        if values.ndim != axes:
            raise damaged(path, f"has {values.ndim} axes where {axes} belong")
    if len(x) != len(y):
        raise damaged(images, f"holds {len(x):,} images but {labels.name} {len(y):,} labels")
    return x, y


def _opened(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        zipped = stream.read(2) == GZIP
    return cast(IO[bytes], gzip.open(file)) if zipped else file.open("rb")


def _shape(stream: IO[bytes], file: Path) -> tuple[int, ...]:
    start = stream.read(4)
    if len(start) < 4:
        raise damaged(file, f"ends after {len(start)} bytes, inside its header")
    zeros, kind, axes = struct.unpack(">HBB", start)
    if zeros != 0 or kind != UINT8 or not 1 <= axes <= 3:
        raise damaged(file, f"starts with {start.hex()}, which is not an idx file of uint8")
    rest = stream.read(4 * axes)
    if len(rest) < 4 * axes:
        raise damaged(file, f"ends after {4 + len(rest)} bytes, inside its header")
    return struct.unpack(f">{axes}I", rest)


def _at_most(stream: IO[bytes], size: int) -> bytearray:
    """Return the next bytes, at most `size`; memory is taken as they come, not as announced."""
    data = bytearray()
    while len(data) < size and (piece := stream.read(min(PIECE, size - len(data)))):
        data += piece
    return data


def damaged(file: Path, what: str) -> UserError:
    """Return the UserError of `file`, of which `what` is wrong."""
    return UserError(
        f"{file} {what}; delete it, and it is downloaded again, or compare it with the "
        "publisher's checksum."
    )

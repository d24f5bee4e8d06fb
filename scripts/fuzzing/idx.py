"""idx files, plain and gzipped: lying headers, cut and overlong files, changed bytes."""

import gzip
import math
import random
import struct
import zlib
from pathlib import Path

import numpy as np

from fuzzing.cases import Case, damaged
from hourglass.data.torchvision_files import read_idx

SIZES = (0, 1, 2, 3, 255, 256, 2**16, 2**31, 2**32 - 1)


def case(rng: random.Random, folder: Path) -> Case:
    """Return a file of a few small images, mostly malformed."""
    shape = [rng.randint(1, 5) for _ in range(rng.randint(1, 3))]
    body = rng.randbytes(math.prod(shape))
    what = rng.choice(["whole", "header", "kind", "short", "long", "bytes", "bomb"])
    kind, axes, said = 8, len(shape), list(shape)
    if what == "header":
        said[rng.randrange(len(said))] = rng.choice(SIZES)
    elif what == "kind":
        kind, axes = rng.choice([0, 8, 9, 11, 13, 255]), rng.choice([0, 1, 2, 3, 4, 255])
    content = bytes([0, 0, kind, axes]) + struct.pack(f">{len(said)}I", *said) + body
    if what == "short":
        content = content[: rng.randrange(len(content))]
    elif what == "long":
        content += rng.randbytes(rng.choice([1, 100]))
    elif what == "bomb":  # a thousandth of its size as a gzipped file
        content = bytes([0, 0, 8, 1]) + struct.pack(">I", rng.choice([5, 2**32 - 1]))
        content += bytes(8 << 20)
    elif what == "bytes":
        content = damaged(content, rng)
    whole = what == "whole"
    if what == "bomb" or rng.random() < 0.5:
        content = gzip.compress(content, 1)
        if rng.random() < 0.3:
            content, whole = damaged(content, rng), False
    return case_of(content, folder, f"idx, {what}", whole)


def case_of(content: bytes, folder: Path, what: str = "idx", whole: bool = False) -> Case:
    """Return the case of a file of these bytes."""
    path = folder / "images"
    path.write_bytes(content)
    return Case(what, lambda: read_idx(path), _reference(_unzipped(content)), whole)


def _unzipped(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error, struct.error):
        return b""


def _reference(content: bytes) -> np.ndarray | None:
    """Return what the format says, in five lines; None where the file is no idx file of uint8."""
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 3:
        return None
    start = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    whole = len(content) - start == math.prod(shape) > 0
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape) if whole else None

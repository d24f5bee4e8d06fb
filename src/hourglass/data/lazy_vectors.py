"""Vectors of a data set that stay in their files, which are mapped and read when they are taken."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hourglass.core.checksums import CorruptFileError, verify_checksums
from hourglass.core.errors import UserError
from hourglass.data.large_arrays import new_indices, parts, save_array, take_rows
from hourglass.data.lazy_array import LazyArray
from hourglass.data.readers.user_files import resolve_path
from hourglass.data.readers.vector_files import VectorFile, open_file
from hourglass.data.readers.vector_formats import as_floats, map_array
from hourglass.data.streaming import release_pages

MAX_VERIFIED_BYTES = 1 << 30  # of files; of larger ones only the sizes are compared
ROWS_PER_RELEASE = 512  # of rows that do not follow each other; the system maps pages around each


class LazyVectors(LazyArray):
    """Vectors, (N, D) float16 or float32, in .npy and .safetensors files.

    `rows` are the numbers of the vectors in the files, which follow each other; None for all.
    `digests` maps the names of the files below `root` to their SHA-256.

    Indexing raises a UserError, which names file and vector, if a value is not finite.
    """

    saved_as: ClassVar[str] = "rows.npy"

    def __init__(
        self,
        root: Path,
        files: Sequence[VectorFile],
        digests: Mapping[str, str],
        rows: np.ndarray | None = None,
    ) -> None:
        self.ends = np.array(list(accumulate(file.count for file in files)))
        count = int(self.ends[-1]) if rows is None else len(rows)
        dtype = np.result_type(*(file.dtype for file in files))
        super().__init__((count, files[0].width), dtype)
        self.root, self.files, self.digests, self.rows = root, files, digests, rows
        self._maps = dict[int, np.ndarray]()

    def subset(self, rows: slice | np.ndarray) -> "LazyVectors":
        """Return selected vectors without reading them."""
        rows = self.row_numbers(rows)
        chosen = rows if self.rows is None else take_rows(self.rows, rows)
        return LazyVectors(self.root, self.files, self.digests, chosen)

    def identity(self) -> bytes:
        """Return the digests of the files, and a digest of the numbers of the vectors."""
        digest = hashlib.sha256()
        if self.rows is not None:
            for part in parts(self.rows):
                digest.update(self.rows[part].astype(np.int64).tobytes())
        content = [[file.key, self.digests[self._name(file)]] for file in self.files]
        return json.dumps([content, len(self), digest.hexdigest()]).encode()

    def save(self, folder: Path) -> None:
        """Write the numbers of the vectors to a folder, for `load`."""
        rows = self.rows
        if rows is None:
            rows = new_indices(len(self), len(self))
            for part in parts(rows):
                rows[part] = np.arange(part.start, part.stop)
        save_array(folder / self.saved_as, rows)

    def storage(self) -> dict[str, Any]:
        """Return what the data card holds of vectors in files, as JSON values."""
        return {
            "kind": "shards",
            "root": self.root.as_posix(),
            "shards": [
                {"name": self._name(file), "key": file.key, "bytes": file.path.stat().st_size}
                for file in self.files
            ],
        }

    @classmethod
    def load(cls, folder: Path, card: Mapping[str, Any]) -> "LazyVectors":
        """Return the vectors that `save` wrote; raise a UserError if a file is missing or changed.

        Files of more than MAX_VERIFIED_BYTES together are compared by size only.
        """
        storage = card["storage"]
        root, digests = resolve_path(storage["root"]), card["source"]["files"]
        small = sum(shard["bytes"] for shard in storage["shards"]) <= MAX_VERIFIED_BYTES
        files = []
        for shard in storage["shards"]:
            path = root / shard["name"]
            _require_unchanged(path, shard["bytes"], digests[shard["name"]] if small else None)
            files.append(open_file(path, shard["key"]))
        rows = np.load(folder / cls.saved_as, mmap_mode="r", allow_pickle=False)
        return cls(root, files, digests, rows)

    def _compute(self, rows: np.ndarray) -> np.ndarray:
        numbers = rows if self.rows is None else np.asarray(self.rows[rows], np.int64)
        values = np.empty((len(rows), self.shape[1]), self.dtype)
        owner = np.searchsorted(self.ends, numbers, "right")
        for k in np.unique(owner).tolist():
            places = np.flatnonzero(owner == k)
            first = 0 if k == 0 else int(self.ends[k - 1])
            self._read(k, numbers[places] - first, values, places)
        return values

    def _read(self, k: int, rows: np.ndarray, values: np.ndarray, places: np.ndarray) -> None:
        """Copy vectors of one file to places of `values`."""
        file = self.files[k]
        if k not in self._maps:
            self._maps[k] = map_array(file.path, file.header)
        array = self._maps[k]
        # Of consecutive rows, the system maps no pages beyond them.
        is_dense = len(rows) > 1 and rows[-1] - rows[0] < 4 * len(rows)
        step = len(rows) if is_dense else ROWS_PER_RELEASE
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            taken = as_floats(file.take(array, rows[part]), file.header, self.dtype)
            if not all_finite(taken):
                row = int(rows[part][~np.isfinite(taken).all(1)][0])
                raise not_finite(file, row)
            values[places[part]] = taken
            release_pages(array)

    def _name(self, file: VectorFile) -> str:
        return Path(os.path.relpath(file.path, self.root)).as_posix()


def all_finite(values: np.ndarray) -> bool:
    """Return whether no value, float16 or float32, is NaN or infinite."""
    # Faster than np.isfinite, above all for float16: NaN and infinity spread in a sum.
    if values.dtype == np.float16:
        exponent = values.view(np.uint16) & 0x7C00
        return not bool((exponent == 0x7C00).any())
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum())) or bool(np.isfinite(values).all())


def not_finite(file: VectorFile, row: int) -> UserError:
    """Return the error for a vector, counted from 0 in its file, that is not finite."""
    entry = "" if file.positions == 1 else f", of entry {row // file.positions}"
    return UserError(
        f"vector {row} of {file.path}{entry} holds NaN, an infinite value, or one beyond the range "
        f"of {file.dtype}; remove or correct it."
    )


def _require_unchanged(path: Path, size: int, digest: str | None) -> None:
    if not path.is_file():
        raise UserError(
            f"{path} is missing; the data set needs its files: restore it, or run `hourglass "
            "prepare` again."
        )
    found = path.stat()
    if found.st_size != size or not (
        digest is None or _has_digest(path, found.st_mtime_ns, size, digest)
    ):
        raise UserError(
            f"{path} changed since `hourglass prepare` read it; restore it, or prepare the data "
            "set again."
        )


@cache
def _has_digest(path: Path, modified_ns: int, size: int, digest: str) -> bool:
    """Return whether a file has a SHA-256; the first arguments tell versions of it apart."""
    try:
        verify_checksums(path.parent, {path.name: digest})
    except CorruptFileError:
        return False
    return True

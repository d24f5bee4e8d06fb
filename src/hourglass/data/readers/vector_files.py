"""Files of vectors that belong together: which files, which array of each, and its layout."""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.readers.user_files import check_file_type, fixed_part, resolve_table
from hourglass.data.readers.vector_formats import (
    PARQUET,
    SUFFIXES,
    ArrayHeader,
    read_headers,
    title,
)

# Usual names of arrays of vectors, the likeliest first.
KEYS = ("activations", "activation", "acts", "vectors", "embeddings", "embedding", "features",
        "hidden_states", "x", "data", "arr_0")  # fmt: skip


@dataclass(frozen=True)
class VectorFile:
    """A file and its array of vectors, (N, D), (N, T, D) or (N, C, H, W).

    An array with more axes holds a vector per token or position: those of (N, T, D) are along the
    last axis, those of feature maps, (N, C, H, W), along the second, as PyTorch lays them out. The
    vectors of one entry of the first axis follow each other.
    """

    path: Path
    key: str
    header: ArrayHeader
    columns: tuple[str, ...] = ()  # of numbers, of a Parquet file that has no array `key`

    @property
    def width(self) -> int:
        """Return D, the numbers of a vector."""
        return self.header.shape[1 if len(self.header.shape) == 4 else -1]

    @property
    def positions(self) -> int:
        """Return the number of vectors per entry of the first axis."""
        return math.prod(self.header.shape[1:]) // max(1, self.width)

    @property
    def count(self) -> int:
        """Return the number of vectors."""
        return self.header.shape[0] * self.positions

    @property
    def dtype(self) -> np.dtype:
        """Return the type of the values in use: float16 stays, all others become float32."""
        return np.dtype(np.float16 if self.header.dtype == "float16" else np.float32)

    def flat(self, values: np.ndarray) -> np.ndarray:
        """Return the vectors of entries: (n, D), (n, T, D) or (n, C, H, W) -> (m, D)."""
        if values.ndim == 4:
            values = values.transpose(0, 2, 3, 1)
        return values.reshape(-1, self.width)

    def take(self, array: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return vectors of a mapped array by their numbers: (n,) -> (n, D)."""
        if array.ndim == 2:
            if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and _is_ascending(rows):
                return array[int(rows[0]) : int(rows[-1]) + 1]
            taken: np.ndarray = array[rows]
            return taken
        entry, position = np.divmod(rows, self.positions)
        if array.ndim == 4:
            return array.reshape(*array.shape[:2], -1)[entry, :, position]
        return array[entry, position]


def _is_ascending(rows: np.ndarray) -> bool:
    return bool((np.diff(rows) == 1).all())


def find_files(path: str | Sequence[str], others: Collection[Path] = ()) -> list[Path]:
    """Return the files of vectors of a file, folder or pattern, or a list of them.

    Those of a folder or pattern are in the order of their names, numbers by value, without
    `others`. Raises a UserError if there are none.
    """
    found = list[Path]()
    for place in resolve_table(path):
        if place.is_dir():
            files = [file for file in place.rglob("*") if _is_vector_file(file)]
        elif (fixed := fixed_part(str(place))) != place:
            files = [file for file in fixed.glob(str(place.relative_to(fixed))) if file.is_file()]
        else:
            check_file_type(place)
            files = [place]
        chosen = [file for file in files if file.resolve() not in others]
        if not chosen:
            raise UserError(
                f"{place} holds no file of vectors; give .npy, .npz, .safetensors or .parquet "
                "files."
            )
        found += sorted(chosen, key=_natural)
    return found


def _is_vector_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return the key to sort by, so that 2 comes before 10."""
    pieces = re.split(r"(\d+)", str(path))
    return [(int(piece) if piece.isdigit() else -1, piece) for piece in pieces], str(path)


def open_file(path: Path, key: str | None = None, others: Collection[str] = ()) -> VectorFile:
    """Return the array of vectors of a file: `key`, or the only one that can be vectors.

    Of a Parquet file without lists of numbers, the columns of numbers are the vectors. Without
    `key`, `others` are names of arrays with another role. Raises a UserError that names the arrays
    of the file if none or several can be meant, and for arrays without numbers.
    """
    headers = read_headers(path)
    columns = _columns(path, headers, others) if key is None else ()
    if columns:
        dtype = np.result_type(*(headers[name].dtype for name in columns)).name
        rows = headers[columns[0]].shape[0]
        found = VectorFile(path, "", ArrayHeader((rows, len(columns)), dtype), columns)
    else:
        name = _choose(path, headers, others) if key is None else key
        if name not in headers:
            raise UserError(
                f"{path} has no array {name!r}: {suggest_names(name, filter(None, headers))}; "
                "correct `key`."
            )
        found = VectorFile(path, name, headers[name])
    _check(found)
    return found


def _check(file: VectorFile) -> None:
    header, name = file.header, title(file.path, file.key)
    if not header.is_number:
        kind = "text" if header.dtype.strip("<>|=").startswith(("U", "S")) else header.dtype
        raise UserError(f"{name} holds {kind}, not numbers; set another `key`.")
    if len(header.shape) not in (2, 3, 4):
        raise UserError(
            f"{name} has the shape {header.shape}; give vectors as (N, D), (N, T, D) or "
            "(N, C, H, W)."
        )
    if 0 in header.shape:
        raise UserError(
            f"{name} has the shape {header.shape}, without any vector; remove the file."
        )


def open_files(
    paths: Sequence[Path], key: str | None = None, others: Collection[str] = ()
) -> list[VectorFile]:
    """Return the arrays of vectors of files; raise a UserError if their widths differ."""
    files = [open_file(path, key, others) for path in paths]
    for file in files:
        if file.width != files[0].width:
            raise UserError(
                f"the vectors of {file.path} have {file.width:,} numbers, but those of "
                f"{files[0].path} {files[0].width:,}; give files of one width."
            )
    return files


def _columns(
    path: Path, headers: dict[str, ArrayHeader], others: Collection[str]
) -> tuple[str, ...]:
    """Return the columns of numbers of a Parquet file if it has no lists of numbers, else ()."""
    usable = {name: one for name, one in headers.items() if name not in others and one.is_number}
    if path.suffix.lower() not in PARQUET or any(len(one.shape) > 1 for one in usable.values()):
        return ()
    return tuple(usable)


def _choose(path: Path, headers: dict[str, ArrayHeader], others: Collection[str]) -> str:
    usable = [
        name
        for name, header in headers.items()
        if name not in others and header.is_number and len(header.shape) > 1
    ]
    if len(usable) == 1:
        return usable[0]
    known = next((name for name in KEYS if name in usable), None)
    if known is not None:
        return known
    shapes = {name: list(header.shape) for name, header in headers.items()}
    if usable:
        raise UserError(f"{path} holds several arrays of vectors, {shapes}; name one in `key`.")
    found = f"has the shape {shapes['']}" if "" in shapes else f"holds the arrays {shapes}"
    raise UserError(
        f"{path} {found}, none of vectors; give numbers as (N, D), (N, T, D) or (N, C, H, W)."
    )

"""Arrays in .npy, .npz, .safetensors and Parquet files: headers, mapping and reading in parts."""

import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from safetensors import SafetensorError, safe_open

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.numpy_files import (
    ONLY,
    npy_chunks,
    read_npy_header,
    read_npz_headers,
)

PARQUET = (".parquet", ".pq")
MAPPED = (".npy", ".safetensors")
SUFFIXES = (*MAPPED, ".npz", *PARQUET)
BFLOAT16 = "bfloat16"
# Types of safetensors that NumPy lacks are not in this table, except the first.
SAFETENSORS_TYPES = {
    "BF16": BFLOAT16,
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BOOL": "bool",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip
PART_BYTES = 4 << 20
PARQUET_BUFFER_BYTES = 1 << 20  # of a column that is read at a time, instead of a whole row group


@dataclass(frozen=True)
class ArrayHeader:
    """Shape, type and place of an array in a file."""

    shape: tuple[int, ...]
    dtype: str  # NumPy's name, or BFLOAT16
    offset: int | None = None  # of the content from the start of the file; None cannot be mapped
    column_major: bool = False

    @property
    def is_number(self) -> bool:
        """Return whether the values are numbers or truth values."""
        return self.dtype == BFLOAT16 or np.dtype(self.dtype).kind in "biuf"


def read_headers(path: Path) -> dict[str, ArrayHeader]:
    """Return the headers of all arrays of a file by name, without reading their content.

    A Parquet file has one array per column. Raises a UserError that names the file and its defect:
    Python objects, a damaged or truncated file, or another format.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            headers = {ONLY: _npy_header(path)}
        elif suffix == ".npz":
            headers = {
                name: ArrayHeader(shape, _name(dtype), None, column_major)
                for name, (shape, column_major, dtype) in read_npz_headers(path).items()
            }
        elif suffix == ".safetensors":
            headers = _safetensors_headers(path)
        elif suffix in PARQUET:
            headers = _parquet_headers(path)
        else:
            raise UserError(
                f"{path} is no file of vectors; give .npy, .npz, .safetensors or .parquet files."
            )
    # zipfile, NumPy and safetensors raise many types of errors for a damaged file.
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError,
            SafetensorError, pa.ArrowException) as error:  # fmt: skip
        raise UserError(
            f"{path} cannot be read as {suffix} ({one_line(error):.200}); write it again."
        ) from None
    for name, header in headers.items():
        if header.dtype == "object":
            raise UserError(
                f"{title(path, name)} holds Python objects, which are never loaded, as they may "
                "run code; save an array of numbers."
            )
    return headers


def title(path: Path, key: str) -> str:
    """Return the name of an array in messages."""
    return f"the array {key!r} of {path}" if key else f"{path}"


def map_array(path: Path, header: ArrayHeader) -> np.ndarray:
    """Return a mapped array; bfloat16 as uint16, see `as_floats`."""
    dtype = np.dtype(np.uint16 if header.dtype == BFLOAT16 else header.dtype)
    order = "F" if header.column_major else "C"
    if not math.prod(header.shape):
        return np.empty(header.shape, dtype)
    assert header.offset is not None
    return np.memmap(path, dtype, "r", header.offset, header.shape, order)  # type: ignore[call-overload]


def as_floats(values: np.ndarray, header: ArrayHeader, dtype: np.dtype) -> np.ndarray:
    """Return values of `map_array` or `read_parts` as `dtype`, float16 or float32."""
    if header.dtype == BFLOAT16:  # the upper half of a float32
        return (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # infinite values are reported with their row
        return values.astype(dtype, copy=False)


def read_parts(
    path: Path, key: str, header: ArrayHeader, columns: Sequence[str] = ()
) -> Iterator[np.ndarray]:
    """Yield the array in parts of consecutive entries of the first axis, in bounded memory.

    Of a Parquet file, `columns` of numbers replace the array `key`. Raises a UserError for a
    damaged file, and for lists of different lengths.
    """
    suffix = path.suffix.lower()
    try:
        if header.offset is not None:
            array = map_array(path, header)
            step = _rows_per_part(header)
            yield from (array[i : i + step] for i in range(0, len(array), step))
        elif suffix == ".npz":
            with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
                yield from npy_chunks(file, lambda empty: None)
        else:
            yield from _parquet_parts(path, key, header, columns)
    except UserError:
        raise
    except Exception as error:  # see `read_headers`; zlib and Arrow add more types
        raise UserError(
            f"{title(path, key)} cannot be read ({one_line(error):.200}); write it again."
        ) from error


def read_column(path: Path, key: str, header: ArrayHeader) -> np.ndarray:
    """Return one value per vector, (N,), such as labels; a Parquet column of any type as text."""
    if path.suffix.lower() in PARQUET:
        column = parquet.read_table(path, columns=[key])[key]
        if not pa.types.is_integer(column.type) or column.null_count:
            column = column.cast(pa.string()).fill_null("")
        return np.asarray(column.to_numpy())
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            values: np.ndarray = archive[key]
    else:
        values = np.array(map_array(path, header))
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Return the texts in the header of a .safetensors file."""
    with safe_open(path, "numpy") as file:
        return dict(file.metadata() or {})


def _rows_per_part(header: ArrayHeader) -> int:
    itemsize = 2 if header.dtype == BFLOAT16 else np.dtype(header.dtype).itemsize
    return max(1, PART_BYTES // max(1, math.prod(header.shape[1:]) * itemsize))


def _npy_header(path: Path) -> ArrayHeader:
    with path.open("rb") as file:
        shape, column_major, dtype = read_npy_header(file)
        offset = file.tell()
    held, declared = path.stat().st_size - offset, math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared > held:
        raise ValueError(f"it declares {declared:,} bytes of values, but holds {held:,}")
    return ArrayHeader(shape, _name(dtype), offset, column_major)


def _name(dtype: np.dtype[Any]) -> str:
    """Return a name from which NumPy makes the same type, with its byte order."""
    if dtype.hasobject:
        return "object"
    return dtype.name if dtype.kind in "biuf" and dtype.isnative else dtype.str


def _safetensors_headers(path: Path) -> dict[str, ArrayHeader]:
    with safe_open(path, "numpy"):  # checks sizes and offsets
        pass
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        content: dict[str, Any] = json.loads(file.read(size))
    content.pop("__metadata__", None)
    return {
        name: ArrayHeader(
            tuple(entry["shape"]),
            SAFETENSORS_TYPES[entry["dtype"]],
            8 + size + entry["data_offsets"][0],
        )
        for name, entry in content.items()
        if entry["dtype"] in SAFETENSORS_TYPES
    }


def _parquet_headers(path: Path) -> dict[str, ArrayHeader]:
    with parquet.ParquetFile(path) as file:
        rows, headers = file.metadata.num_rows, {}
        for field in file.schema_arrow:
            if _is_list(field.type):
                width = getattr(field.type, "list_size", -1)  # of lists of a fixed size
                width = width if width >= 0 else _first_length(file, field.name)
                name = _arrow_name(field.type.value_type)
                headers[field.name] = ArrayHeader((rows, width), name)
            else:
                headers[field.name] = ArrayHeader((rows,), _arrow_name(field.type))
    return headers


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _arrow_name(kind: pa.DataType) -> str:
    """Return NumPy's name of a numeric type, "U" for any other."""
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return np.dtype(kind.to_pandas_dtype()).name if is_number else "U"


def _first_length(file: parquet.ParquetFile, name: str) -> int:
    for batch in file.iter_batches(1, columns=[name]):
        first = batch.column(0)[0].as_py()
        return len(first or ())
    return 0


def _parquet_parts(
    path: Path, key: str, header: ArrayHeader, columns: Sequence[str]
) -> Iterator[np.ndarray]:
    with parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER_BYTES) as file:
        start = 0
        for batch in file.iter_batches(_rows_per_part(header), columns=list(columns or [key])):
            if columns:
                cells = [batch[name].to_numpy(zero_copy_only=False) for name in columns]
                yield np.stack(cells, 1)
            else:
                yield _list_values(batch.column(0), header.shape[1], path, key, start)
            start += len(batch)


def _list_values(column: pa.Array, width: int, path: Path, key: str, start: int) -> np.ndarray:
    lengths = column.value_lengths() if not pa.types.is_fixed_size_list(column.type) else None
    wrong = column.is_null().to_numpy(zero_copy_only=False)
    if lengths is not None:
        wrong = wrong | (lengths.fill_null(-1).to_numpy(zero_copy_only=False) != width)
    if wrong.any():
        row = int(wrong.argmax())
        found = "is empty" if not column[row].is_valid else f"has {len(column[row])} numbers"
        raise UserError(
            f"row {start + row} of {title(path, key)} {found}, but the first one has {width}; give "
            "vectors of one width."
        )
    values = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
    return values.reshape(-1, width)

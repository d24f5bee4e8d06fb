"""Files of vectors in every format, for tests."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet
from safetensors.torch import save_file


def write_npy(folder: Path, x: np.ndarray) -> Path:
    np.save(folder / "x.npy", x)
    return folder / "x.npy"


def write_column_major(folder: Path, x: np.ndarray) -> Path:
    np.save(folder / "x.npy", np.asfortranarray(x))
    return folder / "x.npy"


def write_npz(folder: Path, x: np.ndarray) -> Path:
    np.savez_compressed(folder / "x.npz", acts=x)
    return folder / "x.npz"


def write_safetensors(folder: Path, x: np.ndarray) -> Path:
    tensors = {"acts": torch.from_numpy(x), "step": torch.arange(3)}
    save_file(tensors, folder / "x.safetensors", metadata={"model": "none"})
    return folder / "x.safetensors"


def write_shards(folder: Path, x: np.ndarray) -> Path:
    """Write shards of different lengths, whose names sort as numbers."""
    for number, part in enumerate(np.split(x, [1, 30, 31, *range(40, 100, 10)])):
        np.save(folder / f"part-{number}.npy", part)
    return folder


def list_column(x: np.ndarray, fixed: bool) -> pa.Array:
    if fixed:
        return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])
    return pa.array(x.tolist(), pa.list_(pa.from_numpy_dtype(x.dtype)))


def write_parquet_lists(folder: Path, x: np.ndarray, fixed: bool = False) -> Path:
    table = pa.table({"number": np.arange(len(x)), "acts": list_column(x, fixed)})
    parquet.write_table(table, folder / "x.parquet", row_group_size=37)
    return folder / "x.parquet"


def write_parquet_fixed_lists(folder: Path, x: np.ndarray) -> Path:
    return write_parquet_lists(folder, x, fixed=True)


def write_parquet_columns(folder: Path, x: np.ndarray) -> Path:
    columns = {f"d{i}": x[:, i] for i in range(x.shape[1])}
    parquet.write_table(pa.table({"name": ["a"] * len(x), **columns}), folder / "x.parquet")
    return folder / "x.parquet"


WRITERS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    function.__name__.removeprefix("write_"): function
    for function in (
        write_npy,
        write_column_major,
        write_npz,
        write_safetensors,
        write_shards,
        write_parquet_lists,
        write_parquet_fixed_lists,
        write_parquet_columns,
    )
}

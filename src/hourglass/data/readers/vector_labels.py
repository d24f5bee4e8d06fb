"""Values that belong to the vectors of files: labels and groups, in the files or in one beside."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.large_arrays import new_array, parts
from hourglass.data.readers.numpy_files import ONLY
from hourglass.data.readers.user_files import resolve_path
from hourglass.data.readers.vector_files import VectorFile
from hourglass.data.readers.vector_formats import (
    map_array,
    read_column,
    read_headers,
    safetensors_metadata,
    title,
)

NAMES_SUFFIX = "_names"  # of metadata of .safetensors files: the names of integer labels, as JSON


def side_file(role: str) -> Path | None:
    """Return the .npy file that a role names, None for the name of an array in each file."""
    return resolve_path(role) if role.lower().endswith(".npy") else None


def read_labels(files: Sequence[VectorFile], role: str) -> np.ndarray:
    """Return the class of each vector of files, (N,) str; a large array lies in a file.

    Raises a UserError if there is no such array or if it does not hold one class per vector or
    entry.
    """
    names, places = _unique(files, role)
    result = new_array(places.shape, names.dtype)
    for part in parts(result):
        result[part] = names[places[part]]
    return result


def read_groups(files: Sequence[VectorFile], role: str) -> np.ndarray:
    """Return a number below N per vector of files, (N,), equal for vectors of one group."""
    return _unique(files, role)[1]


def _unique(files: Sequence[VectorFile], role: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the different values as text, and the place of that of each vector, (N,)."""
    side = side_file(role)
    if side is not None:
        values = [_from_side_file(files, side)]
    else:
        values = [_per_vector(_from_file(file, role), file, role) for file in files]
    if len({each.dtype.kind in "biuf" for each in values}) > 1:
        values = [each.astype(str) for each in values]
    names, places = np.unique(np.concatenate(values), return_inverse=True)
    return names.astype(str), places.ravel()


def _from_file(file: VectorFile, role: str) -> np.ndarray:
    headers = read_headers(file.path)
    if role not in headers:
        raise UserError(
            f"{file.path} has no array {role!r}: {suggest_names(role, filter(None, headers))}; "
            "name one of them, or a .npy file with one value per vector."
        )
    values = read_column(file.path, role, headers[role])
    if file.path.suffix.lower() == ".safetensors" and values.dtype.kind in "iu":
        names = json.loads(safetensors_metadata(file.path).get(f"{role}{NAMES_SUFFIX}", "null"))
        if names is not None:
            return np.array(names)[values]
    return values


def _per_vector(values: np.ndarray, file: VectorFile, role: str) -> np.ndarray:
    entries = file.header.shape[0]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape == (entries,):
        return np.repeat(values, file.positions)
    if values.shape == (file.count,):
        return values
    raise UserError(
        f"{title(file.path, role)} has the shape {values.shape} for {entries} entries; give one "
        "value per entry or vector."
    )


def _from_side_file(files: Sequence[VectorFile], path: Path) -> np.ndarray:
    values = np.array(map_array(path, read_headers(path)[ONLY])).ravel()
    entries, count = sum(file.header.shape[0] for file in files), sum(file.count for file in files)
    if len(values) == entries:
        positions = np.repeat(
            [file.positions for file in files], [file.header.shape[0] for file in files]
        )
        return np.repeat(values, positions)
    if len(values) == count:
        return values
    raise UserError(
        f"{path} holds {len(values):,} values for {entries:,} entries with {count:,} vectors; give "
        "one value per entry or vector."
    )

"""User-provided vectors, such as activations of a network, in one or many files."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.large_arrays import new_array, parts
from hourglass.data.lazy_vectors import LazyVectors, all_finite, not_finite
from hourglass.data.readers.user_files import ClassNames, anomaly_mask
from hourglass.data.readers.vector_files import VectorFile, find_files, open_files
from hourglass.data.readers.vector_formats import as_floats, read_parts
from hourglass.data.readers.vector_labels import read_groups, read_labels, side_file
from hourglass.data.streaming import release_pages
from hourglass.data.vector_encoding import VectorEncoding, vector_columns

VectorScaling: TypeAlias = Literal["none", "standard"]


class Activations(DataSet):
    """Vectors in .npy, .npz, .safetensors or Parquet files; each is a sample, normal by default.

    An array is (N, D): one vector per entry. Of (N, T, D), such as tokens, every one of the N * T
    vectors is a sample, and of feature maps, (N, C, H, W), the C channels at every one of the
    N * H * W positions: they are what later layers see of a token or position. All vectors of an
    entry are in one split. In a Parquet file, a vector is a list, or a row of columns of numbers.
    float16 stays float16 on disk; networks get float32.

    Vectors of .npy and .safetensors files stay there and are read in training; those of .npz and
    Parquet files, which cannot be mapped, are copied into the prepared data.

    Args:
        path: a file, a folder, a pattern such as "acts/*.npy", or a list of them
        key: the name of the array or column of vectors; needed if several can be meant
        label: the array or column of classes in each file, or a .npy file with one class per
            vector, or per entry of (N, T, D) and (N, C, H, W), of all files in order
        normal: the classes that are normal; without it every vector is
        group: like `label`, numbers; vectors with the same one are in one split, such as those of
            one image
        scaling: `none`, as sparse autoencoders centre and scale vectors themselves, or `standard`
            for other variants: zero mean and unit variance per number, on the train split
        fractions: fractions of the splits

    """

    def __init__(
        self,
        path: str | list[str],
        key: str | None = None,
        label: str | None = None,
        normal: ClassNames = None,
        group: str | None = None,
        scaling: VectorScaling = "none",
        fractions: Fractions = Fractions(),
    ) -> None:
        super().__init__(scaling, fractions)
        if scaling not in get_args(VectorScaling):
            raise UserError(
                f"`scaling` of activations is {scaling!r}; give one of "
                f"{', '.join(get_args(VectorScaling))}."
            )
        self.path = path
        self.key = key
        self.label = label
        self.normal = normal
        self.group = group

    def load(self, folder: Path) -> Raw:
        """Load the vectors, (N, D) float16 or float32; `folder` is not read.

        Raises a UserError that names the file, and the vector if one is not finite.
        """
        roles = [role for role in (self.label, self.group) if role]
        beside = [file for role in roles if (file := side_file(role))]
        paths = find_files(self.path, [file.resolve() for file in beside])
        files = open_files(paths, self.key, roles)
        root = _common_folder([*paths, *beside])
        digests = {
            Path(os.path.relpath(path, root)).as_posix(): sha256(path)
            for path in dict.fromkeys([*paths, *beside])
        }
        x: Any = LazyVectors(root, files, digests)
        if any(file.header.offset is None for file in files):
            x = packed(files)
        label, anomaly = self._labels(files, len(x), root)
        return Raw(
            x=cast(np.ndarray, x),
            label=label,
            anomaly=anomaly,
            id=_ids(files, root),
            group=self._groups(files),
            source={
                "name": root.name,
                "licence": "not stated (the user's own vectors)",
                "complete": True,
                "files": digests,
                "vectors": {"key": self.key or files[0].key, "roles": roles},
            },
            columns=vector_columns(files[0].width),
        )

    def fit_encoding(self, raw: Raw, train: np.ndarray) -> VectorEncoding:
        """Return the scaling, fitted to vectors of the train split, (n, D)."""
        return VectorEncoding.fit(raw.columns, train, self.scaling)

    def _labels(
        self, files: Sequence[VectorFile], count: int, root: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes, (N,) str, and the anomalies, (N,) bool."""
        if self.label is None:
            if self.normal is not None:
                raise UserError(
                    f"`normal` is {self.normal!r} but `label` names no array of {root}; name it, "
                    "or omit `normal` if every vector is normal."
                )
            return np.broadcast_to("normal", count), new_array((count,), bool)
        label = read_labels(files, self.label)
        if self.normal is None:  # the classes are known, and all of them are normal
            return label, new_array((count,), bool)
        return label, anomaly_mask(label, self.normal, root, may_be_all=True)

    def _groups(self, files: Sequence[VectorFile]) -> np.ndarray | None:
        """Return a number per vector that only vectors of its group share; None without groups."""
        if self.group is not None:
            return read_groups(files, self.group)
        if all(file.positions == 1 for file in files):
            return None
        entries = [file.header.shape[0] for file in files]
        positions = np.repeat([file.positions for file in files], entries)
        return np.repeat(np.arange(sum(entries)), positions)


def packed(files: Sequence[VectorFile]) -> np.ndarray:
    """Return the vectors of files, (N, D); a large array lies in a file.

    Raises a UserError that names file and vector if one is not finite.
    """
    dtype = np.result_type(*(file.dtype for file in files))
    x, end = new_array((sum(file.count for file in files), files[0].width), dtype), 0
    for file in files:
        first = end
        for values in vectors_of(file, dtype):
            if not all_finite(values):
                row = int((~np.isfinite(values)).any(1).argmax())
                raise not_finite(file, end - first + row)
            x[end : end + len(values)] = values
            end += len(values)
            release_pages(x)
    return x


def vectors_of(file: VectorFile, dtype: np.dtype) -> Iterator[np.ndarray]:
    """Yield the vectors of a file in order, (n, D), in bounded memory."""
    for part in read_parts(file.path, file.key, file.header, file.columns):
        yield file.flat(as_floats(part, file.header, dtype))


def _ids(files: Sequence[VectorFile], root: Path) -> np.ndarray:
    """Return "<file>/<number>" of each vector, counted from 0 in its file."""
    names = [f"{os.path.relpath(file.path, root)}/" for file in files]
    longest = max(len(f"{name}{file.count}") for name, file in zip(names, files, strict=True))
    ids, end = new_array((sum(file.count for file in files),), f"U{longest}"), 0
    for name, file in zip(names, files, strict=True):
        own = ids[end : end + file.count]
        for part in parts(own):
            own[part] = [f"{name}{row}" for row in range(part.start, part.stop)]
            release_pages(ids)
        end += file.count
    return ids


def _common_folder(paths: Sequence[Path]) -> Path:
    """Return the deepest folder that holds all files."""
    folders = [path.parent for path in paths]
    if len({folder.is_absolute() for folder in folders}) > 1:
        folders = [folder.absolute() for folder in folders]
    return Path(os.path.commonpath([*folders, *folders])) if str(folders[0]) != "." else Path()

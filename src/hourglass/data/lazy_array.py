"""Arrays whose rows are computed on access instead of being stored."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


class LazyArray(ABC):
    """A read-only array, (N, *S), whose rows are computed on access.

    An integer, a slice, indices or a mask of rows gives a NumPy array, and `np.asarray` gives all
    rows. It replaces a mapped array, so code that accepts one declares np.ndarray.
    """

    saved_as: ClassVar[str]  # the name of the file that `save` writes

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.shape = shape
        self.dtype = dtype

    @abstractmethod
    def subset(self, rows: slice | np.ndarray) -> "LazyArray":
        """Return selected rows without computing them."""

    @abstractmethod
    def identity(self) -> bytes:
        """Return bytes that differ if any value differs."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the file `saved_as`, which identifies the rows, to a folder of prepared data."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, card: Mapping[str, Any]) -> "LazyArray":
        """Return the array that `save` wrote, with its data card."""

    @abstractmethod
    def storage(self) -> dict[str, Any]:
        """Return the entries of the data card about the files of the values, as JSON values."""

    @abstractmethod
    def _compute(self, rows: np.ndarray) -> np.ndarray:
        """Return the values of rows, (n, *S), for indices from 0 to N - 1."""

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Return the number of values."""
        return int(np.prod(self.shape))

    @property
    def itemsize(self) -> int:
        """Return the bytes of a value."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Return the bytes of all values."""
        return self.size * self.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return values of rows, as NumPy's indexing does."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is None or first is Ellipsis:
            selected: np.ndarray = np.asarray(self)[key]
            return selected
        rows = self.row_numbers(first)
        values = self._compute(np.atleast_1d(rows))
        if rows.ndim == 0:
            values = values[0]
            return values[tuple(rest)] if rest else values
        return values[(slice(None), *rest)] if rest else values

    def row_numbers(self, key: Any) -> np.ndarray:
        """Return the rows, counted from 0, that an integer, a slice, indices or a mask select."""
        if isinstance(key, slice):
            return np.arange(*key.indices(len(self)))
        rows = np.asarray(key)
        if rows.dtype == bool:
            return np.flatnonzero(rows)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"row {key} is out of bounds of {len(self)} rows")
        return np.where(rows < 0, rows + len(self), rows) if (rows < 0).any() else rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self._compute(np.arange(len(self)))
        return values if dtype is None else values.astype(dtype, copy=False)

    def astype(self, dtype: Any) -> np.ndarray:
        """Return all rows in another type."""
        return np.asarray(self, dtype)

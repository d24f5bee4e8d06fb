"""Tables of numbers for tests: their columns and their encoding."""

from collections.abc import Sequence

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.table_encoding import TableEncoding


def number_columns(count: int, names: Sequence[str] = ()) -> list[Column]:
    """Return columns of numbers, named f0, f1 and so on by default."""
    return [Column(name) for name in names or [f"f{i}" for i in range(count)]]


def number_encoding(x: np.ndarray, scaling: ColumnScaling = "standard") -> TableEncoding:
    """Return the encoding of numbers, fitted to `x`, (N, F)."""
    return TableEncoding.fit(number_columns(x.shape[1]), x, scaling)

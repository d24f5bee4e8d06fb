"""The encoding of a table: codes of cells to network inputs, fitted on the train split."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.columns.encoding import ColumnEncoding

Array: TypeAlias = Any  # a NumPy array, or a tensor for networks and the ONNX export

# Scaled numbers beyond this limit grow with the logarithm, so that no square overflows, and a more
# extreme number still has a larger input.
LINEAR_LIMIT = 20.0
MAX_LOG = 690.0  # of an infinite number, so that its input is finite


@dataclass(frozen=True)
class TableEncoding:
    """The map from codes, (N, C) float64, to network inputs, (N, F) float32.

    The cells of a column follow each other, in the order of the columns: see `ColumnEncoding`. The
    value cells of a missing cell are NaN. The last cells are the indicators: 1 for a missing cell,
    0 for any other, of the columns with missing cells in the train split.
    """

    columns: tuple[ColumnEncoding, ...]
    source: np.ndarray = field(init=False, repr=False)  # (F,) the column of each input
    # Constants of a number's input, (x - offset) / scale, as (F,) float64.
    offset: np.ndarray = field(init=False, repr=False)
    scale: np.ndarray = field(init=False, repr=False)
    is_linear: bool = field(init=False, repr=False)  # every input is (x - offset) / scale

    def __post_init__(self) -> None:
        """Collect the constants of all inputs."""
        values = [i for i, column in enumerate(self.columns) for _ in range(column.width)]
        indicators = [i for i, column in enumerate(self.columns) if column.has_indicator]
        constants = {
            "source": np.array([*values, *indicators], np.int64),
            "offset": np.array([self.columns[i].offset for i in values]),
            "scale": np.array([self.columns[i].scale for i in values]),
            "is_linear": not indicators and all(column.is_linear for column in self.columns),
        }
        for name, value in constants.items():
            object.__setattr__(self, name, value)

    @classmethod
    def fit(
        cls, columns: Sequence[Column], train: np.ndarray, scaling: ColumnScaling = "auto"
    ) -> "TableEncoding":
        """Fit the encoding to the codes of the train split, (N, C).

        `scaling` applies to numbers whose column has the scaling "auto".
        """
        fitted = []
        for i, column in enumerate(columns):
            if column.scaling == "auto":
                column = replace(column, scaling=scaling)
            fitted.append(ColumnEncoding.fit(column, np.array(train[:, i])))
        return cls(tuple(fitted))

    def is_extreme(self, x: np.ndarray) -> np.ndarray:
        """Return the mask of the rows with a number beyond LINEAR_LIMIT: (N, C) -> (N,)."""
        return np.asarray((np.abs(self(x)) > LINEAR_LIMIT).any(1))

    def refit(self, train: np.ndarray) -> "TableEncoding":
        """Return an encoding with the same inputs, fitted to other codes, (N, C)."""
        fitted = self.fit([column.column for column in self.columns], train)
        columns = zip(fitted.columns, self.columns, strict=True)
        return replace(
            self,
            columns=tuple(
                replace(new, missing_share=old.missing_share, count=old.count)
                for new, old in columns
            ),
        )

    def with_missing(self, missing: np.ndarray, count: int) -> "TableEncoding":
        """Return the encoding for `count` train rows, with this number of missing cells, (C,)."""
        shares = (missing / count).tolist()
        return replace(
            self,
            columns=tuple(
                replace(column, missing_share=share, count=count)
                for column, share in zip(self.columns, shares, strict=True)
            ),
        )

    @property
    def width(self) -> int:
        """Return F, the number of network inputs of a row."""
        return len(self.source)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of a network input, (F,)."""
        return (self.width,)

    def features(self, x: Array) -> Array:
        """Return the codes of the features, which are all columns: (N, C) -> (N, C)."""
        return x

    @property
    def heads(self) -> list[dict[str, Any]] | None:
        """Return the kind, width, indicator and share of missing cells of each column.

        None stands for a network without heads.
        """
        return [column.head for column in self.columns]

    def __call__(self, x: Array) -> Array:
        """Encode codes, (N, C), as an array or a tensor; the result is float32."""
        if isinstance(x, np.ndarray):
            with np.errstate(over="ignore"):  # `compressed` bounds infinite values
                return self._encode(np, x.astype(np.float64, copy=False), self.offset, self.scale)
        import torch

        offset, scale = (
            torch.from_numpy(constant).to(x.device) for constant in (self.offset, self.scale)
        )
        return self._encode(torch, x.double(), offset, scale)

    def _encode(self, xp: Any, x: Array, offset: Array, scale: Array) -> Array:
        if self.is_linear:
            z = x - offset
            z /= scale
            return compressed(xp, z)
        parts, first = [], 0
        for i, column in enumerate(self.columns):
            cells = slice(first, first + column.width)
            parts.append(column.encode(xp, x[:, i : i + 1], offset[cells], scale[cells]))
            first += column.width
        encoded = compressed(xp, xp.concatenate(parts, 1))
        indicated = self.source[first:]
        if not len(indicated):
            return encoded
        missing = xp.isnan(x[:, indicated])
        return xp.concatenate([encoded, xp.asarray(missing, dtype=encoded.dtype)], 1)

    def inverse(self, encoded: Array) -> Array:
        """Map network inputs or reconstructions, (N, F), to codes, (N, C) float64.

        A category is that of the largest input. Extreme numbers are not restored, see
        LINEAR_LIMIT.
        """
        xp: Any = np
        if isinstance(encoded, np.ndarray):
            encoded = encoded.astype(np.float64)
        else:
            import torch

            xp, encoded = torch, encoded.double()
        codes, first = [], 0
        for column in self.columns:
            codes.append(column.decode(encoded[:, first : first + column.width], xp))
            first += column.width
        return xp.stack(codes, 1) if codes else np.zeros((len(encoded), 0))

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values, for `from_dict`."""
        return {"kind": "table", "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TableEncoding":
        """Return the encoding from the values of `to_dict`."""
        return cls(tuple(map(ColumnEncoding.from_dict, values["columns"])))


def compressed(xp: Any, z: Array) -> Array:
    """Return float32 inputs; those beyond LINEAR_LIMIT grow with the logarithm."""
    with np.errstate(over="ignore"):
        narrow = z.astype(np.float32) if xp is np else z.float()
    if is_within(narrow, LINEAR_LIMIT):
        return narrow
    size = abs(z).clip(LINEAR_LIMIT) / LINEAR_LIMIT
    beyond = xp.sign(z) * LINEAR_LIMIT * (1 + xp.log(size).clip(0, MAX_LOG))
    far = xp.where(abs(z) > LINEAR_LIMIT, beyond, z)
    return far.astype(np.float32) if xp is np else far.float()


def is_within(z: Array, limit: float) -> bool:
    """Return whether no number is beyond +/- `limit`; always False in an ONNX export.

    NaN is a missing cell, and no number.
    """
    if isinstance(z, np.ndarray):
        return not bool((abs(z) > limit).any())  # NaN compares false
    import torch

    def within(numbers: torch.Tensor) -> bool:  # one pass instead of three; NaN if one is NaN
        low, high = numbers.aminmax()
        return bool((low >= -limit) & (high <= limit))

    if torch.compiler.is_exporting():
        return False
    return not z.numel() or within(z) or within(torch.nan_to_num(z, nan=0.0))

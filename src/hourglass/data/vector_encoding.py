"""The encoding of vectors, such as activations: columns of numbers without missing cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.columns.encoding import ColumnEncoding
from hourglass.data.table_encoding import Array, TableEncoding

COLUMN_PREFIX = "x"


def vector_columns(width: int) -> tuple[Column, ...]:
    """Return the columns of vectors with `width` numbers: x0, x1 and so on."""
    return tuple(Column(f"{COLUMN_PREFIX}{i}") for i in range(width))


class VectorEncoding(TableEncoding):
    """The map (x - offset) / scale of vectors, (N, D) -> (N, D) float32.

    Unlike other numbers of a table, large values are neither compressed nor limited in training:
    activations of a transformer have components a thousand times larger than the others, and codes
    of sparse autoencoders must add up to them.
    """

    @classmethod
    def fit(
        cls, columns: Sequence[Column], train: np.ndarray, scaling: ColumnScaling = "none"
    ) -> "VectorEncoding":
        """Fit the encoding to vectors of the train split, (N, D); `scaling` is none or standard."""
        offset, scale = np.zeros(len(columns)), np.ones(len(columns))
        if scaling == "standard":
            values = train.astype(np.float64)
            offset, deviation = values.mean(0), values.std(0)
            scale = np.where(deviation > 0, deviation, 1.0)
        return cls.of(columns, scaling, offset, scale, len(train))

    @classmethod
    def of(
        cls,
        columns: Sequence[Column],
        scaling: ColumnScaling,
        offset: np.ndarray,
        scale: np.ndarray,
        count: int,
    ) -> "VectorEncoding":
        """Return the encoding with these constants, (D,), fitted to `count` vectors."""
        pairs = zip(columns, offset.tolist(), scale.tolist(), strict=True)
        return cls(tuple(ColumnEncoding(c, scaling, o, s, count=count) for c, o, s in pairs))

    @property
    def kind(self) -> ColumnScaling:
        """Return the scaling, none or standard."""
        return self.columns[0].scaling

    def is_extreme(self, x: np.ndarray) -> np.ndarray:
        """Return that no row is extreme: (N, D) -> (N,)."""
        return np.zeros(len(x), bool)

    def refit(self, train: np.ndarray) -> "VectorEncoding":
        """Return the encoding fitted to other vectors, (N, D)."""
        return self.fit([each.column for each in self.columns], train, self.kind)

    @property
    def heads(self) -> None:
        """Return None, as networks reconstruct vectors by the mean squared error, like images."""
        return None

    def __call__(self, x: Array) -> Array:
        """Encode vectors, (N, D), as an array or a tensor; the result is float32."""
        if isinstance(x, np.ndarray):
            x = x.astype(np.float32)
            if self.kind == "none":
                return x
            return (x - self.offset.astype(np.float32)) / self.scale.astype(np.float32)
        import torch

        x = x.to(torch.float32, copy=True)
        if self.kind == "none":
            return x
        offset, scale = (torch.from_numpy(each).float().to(x.device) for each in self._constants)
        return x.sub_(offset).div_(scale)

    def inverse(self, encoded: Array) -> Array:
        """Map network inputs or reconstructions, (N, D), to vectors, (N, D) float64."""
        if isinstance(encoded, np.ndarray):
            return encoded.astype(np.float64) * self.scale + self.offset
        import torch

        offset, scale = (torch.from_numpy(each).to(encoded.device) for each in self._constants)
        return encoded.double() * scale + offset

    @property
    def _constants(self) -> tuple[np.ndarray, np.ndarray]:
        return self.offset, self.scale

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values, for `from_dict`."""
        return {
            "kind": "vectors",
            "scaling": self.kind,
            "count": self.columns[0].count,
            "offset": self.offset.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "VectorEncoding":
        """Return the encoding from the values of `to_dict`."""
        offset, scale = np.array(values["offset"], float), np.array(values["scale"], float)
        columns = vector_columns(len(offset))
        return cls.of(columns, values["scaling"], offset, scale, values["count"])

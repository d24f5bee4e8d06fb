"""The encoding of a series: the channels of each row as network inputs, in windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.columns.encoding import ColumnEncoding
from hourglass.data.table_encoding import Array, TableEncoding
from hourglass.data.windows import Windows, find_windows

RowScore: TypeAlias = Literal["window", "step"]  # whose error counts for a row
Combine: TypeAlias = Literal["max", "mean", "median"]  # of the windows that cover a row
# Settings of a series, as of the data set `Series`, which are part of its encoding.
SETTINGS = ("window", "stride", "step", "max_gap", "clip", "row_score", "combine")


@dataclass(frozen=True)
class SeriesEncoding(TableEncoding):
    """The map from codes of rows, (N, R + C), to inputs of channels, (N, F), and their windows.

    The first R columns are the entity and the time, as far as there are any. The `columns` are
    those of the channels. A network takes windows of the inputs, (F, `window`).
    """

    roles: tuple[str, ...] = ()
    window: int = 1
    stride: int = 1
    step: float = 1.0  # between two rows, in the unit of the time
    max_gap: float = 3.0  # steps between two rows of a window
    clip: float = 5.0  # standard deviations: the limit of inputs
    row_score: RowScore = "window"
    combine: Combine = "max"

    @classmethod
    def fit(
        cls, columns: Sequence[Column], train: np.ndarray, scaling: ColumnScaling = "auto"
    ) -> "SeriesEncoding":
        """Fit the encoding of the channels to the codes of the train split, (N, R + C)."""
        roles = tuple(column.kind for column in columns if not column.is_feature)
        channels = columns[len(roles) :]
        table = TableEncoding.fit(channels, train[:, len(roles) :], scaling)
        return cls(table.columns, roles=roles)

    def refit(self, train: np.ndarray) -> "SeriesEncoding":
        """Return an encoding with the same inputs and windows, fitted to other codes."""
        table = TableEncoding(self.columns).refit(self.features(train))
        return replace(self, columns=table.columns)

    def features(self, x: Array) -> Array:
        """Return the codes of the channels: (N, R + C) -> (N, C)."""
        return x[:, len(self.roles) :]

    def __call__(self, x: Array) -> Array:
        """Encode codes, (N, R + C), as the inputs of single rows, (N, F) float32."""
        return self.encode_features(self.features(x))

    def encode_features(self, features: Array) -> Array:
        """Encode the codes of channels, (N, C), as inputs, (N, F) float32."""
        return super().__call__(features).clip(-self.clip, self.clip)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of a network input, (F, window)."""
        return self.width, self.window

    def windows(self, x: np.ndarray) -> Windows:
        """Return the windows over rows, (N, R + C), in file order."""
        time, entity = self.time(x), self.entity(x)
        return find_windows(time, entity, self.step, self.max_gap, self.window, self.stride)

    def input_count(self, x: np.ndarray) -> int:
        """Return the number of windows over rows, (N, R + C)."""
        return len(self.windows(x).starts)

    def time(self, x: np.ndarray) -> np.ndarray:
        """Return the time of each row, (N,); NaN if it is unknown."""
        if "time" not in self.roles:
            return np.full(len(x), np.nan)
        return np.asarray(x[:, self.roles.index("time")])

    def entity(self, x: np.ndarray) -> np.ndarray | None:
        """Return the code of each row's entity, (N,), if there are entities."""
        return np.asarray(x[:, self.roles.index("entity")]) if "entity" in self.roles else None

    def to_dict(self) -> dict[str, Any]:
        """Return the encoding as JSON values, for `from_dict`."""
        settings = {name: getattr(self, name) for name in SETTINGS}
        return {**super().to_dict(), "kind": "series", "roles": list(self.roles), **settings}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "SeriesEncoding":
        """Return the encoding from the values of `to_dict`."""
        settings = {name: values[name] for name in SETTINGS}
        columns = tuple(map(ColumnEncoding.from_dict, values["columns"]))
        return cls(columns, roles=tuple(values["roles"]), **settings)

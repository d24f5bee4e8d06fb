"""User-provided tables: each row is a sample, each column a feature."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.columns import Column, ColumnScaling
from hourglass.data.readers.table_files import (
    feature_matrix,
    read_table,
    require_columns,
    text_column,
    time_column,
)
from hourglass.data.readers.user_files import ClassNames, anomaly_mask, resolve_path


class Table(DataSet):
    """A CSV or Parquet file; every column without another role is a feature.

    `path` is relative to the working directory, which is the project folder under DVC. `label` is
    the column of classes. `normal` names the normal classes, as text. Without `label` every row is
    normal. `id` is the column of sample ids (default: "<file>/<row>", rows counted from 1). `time`
    is a column of numbers or dates; if it is set, the splits follow time. `drop` lists columns
    to ignore. A row with an empty cell in any other column is an error, or is left out if `missing`
    is "skip".
    """

    def __init__(
        self,
        path: str,
        label: str | None = None,
        normal: ClassNames = None,
        id: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        missing: Literal["refuse", "skip"] = "refuse",
        scaling: ColumnScaling = "auto",
        fractions: Fractions = Fractions(),
    ) -> None:
        super().__init__(scaling, fractions)
        self.path = path
        self.label = label
        self.normal = normal
        self.id = id
        self.time = time
        self.drop = drop
        self.missing = missing

    def load(self, folder: Path) -> Raw:
        """Load the (N, C) table; `folder` is not read.

        Raises a UserError that names the column and the row of an invalid value.
        """
        path = resolve_path(self.path)
        text = [name for name in (self.label, self.id) if name is not None]
        frame = read_table(path, text)
        others = [*text, *([] if self.time is None else [self.time]), *self.drop]
        require_columns(frame, others, path)
        names = tuple(name for name in frame.columns if name not in others)
        _check_names(names, path)
        if self.missing == "skip":
            frame = _without_incomplete_rows(frame, self.drop, path)
        label, anomaly = self._labels(frame, path)
        ids = [f"{path.name}/{row}" for row in frame.index]
        return Raw(
            x=feature_matrix(frame, names, path),
            label=label,
            anomaly=anomaly,
            id=np.array(ids) if self.id is None else text_column(frame, self.id, path),
            source={
                "name": path.stem,
                "licence": "not stated (the user's own table)",
                "complete": True,
                "files": {path.name: sha256(path)},
            },
            columns=tuple(Column(name) for name in names),
            time=None if self.time is None else time_column(frame, self.time, path),
        )

    def _labels(self, frame: pd.DataFrame, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes of the rows, (N,) str, and the anomaly mask, (N,) bool."""
        if self.label is None:
            if self.normal is not None:
                raise UserError(
                    f"`normal` is {self.normal!r} but `label` names no column of {path}; name it, "
                    "or omit `normal` if every row is normal."
                )
            return np.full(len(frame), "normal"), np.zeros(len(frame), dtype=bool)
        label = text_column(frame, self.label, path)
        return label, anomaly_mask(label, self.normal, path)


def _check_names(names: tuple[str, ...], path: Path) -> None:
    if not names:
        raise UserError(f"No column of {path} is left as a feature; drop fewer columns.")
    # Usually row numbers written by pandas; a detector would learn the row order from them.
    unnamed = next((name for name in names if name.startswith("Unnamed: ")), None)
    if unnamed is not None:
        raise UserError(
            f"A column of {path} has no name in the header and would be a feature; name it, or "
            f"remove it with `drop: [{unnamed!r}]`."
        )


def _without_incomplete_rows(
    frame: pd.DataFrame, ignored: Sequence[str], path: Path
) -> pd.DataFrame:
    """Return the rows without an empty cell outside the columns `ignored`; the index is kept."""
    complete = frame.drop(columns=list(ignored)).notna().all(axis=1)
    if not complete.any():
        raise UserError(
            f"Every row of {path} has an empty cell; drop the columns with most of them."
        )
    return frame[complete]

"""Read the user's own table: a row is a sample, a column a feature."""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.readers.table_files import features, moments, read_table, require, texts
from hourglass.data.readers.user_files import Names, anomalous, locate


class Table(DataSet):
    """Take a CSV or Parquet file; all columns but those named here are features.

    `path` is relative to the working directory, which under DVC is the project. `label` is the
    column that names each row's class and `normal` the classes, as text, that are normal; without
    `label` every row is normal. `id` is a column of names for the rows (else "<file>/<row>", rows
    counted from 1), `time` one of numbers or ISO dates that the split is to follow, and `drop`
    are columns to leave out.
    """

    def __init__(
        self,
        path: str,
        label: str | None = None,
        normal: Names = None,
        id: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        scaling: Literal["standard", "minmax", "none"] = "standard",
        fractions: Fractions = Fractions(),
    ) -> None:
        super().__init__(scaling, fractions)
        self.path = path
        self.label = label
        self.normal = normal
        self.id = id
        self.time = time
        self.drop = drop

    def load(self, folder: Path) -> Raw:
        """Return the (N, F) float32 table; `folder` is not read.

        A UserError names the column, and the row, that cannot be used.
        """
        path = locate(self.path)
        roles = [name for name in (self.label, self.id, self.time) if name is not None]
        frame = read_table(path, text=[name for name in (self.label, self.id) if name is not None])
        require(frame, [*roles, *self.drop], path)
        names = tuple(name for name in frame.columns if name not in {*roles, *self.drop})
        _check_names(names, path)
        label, anomaly = self._labels(frame, path)
        ids = [f"{path.name}/{row}" for row in frame.index]
        return Raw(
            x=features(frame, names, path),
            label=label,
            anomaly=anomaly,
            id=np.array(ids) if self.id is None else texts(frame, self.id, path),
            source={
                "name": path.stem,
                "licence": "not stated (the user's own table)",
                "complete": True,
                "files": {path.name: sha256(path)},
            },
            feature_names=names,
            time=None if self.time is None else moments(frame, self.time, path),
        )

    def _labels(self, frame: pd.DataFrame, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows' classes and which rows are anomalous."""
        if self.label is None:
            if self.normal is not None:
                raise UserError(
                    f"`normal` is {self.normal!r} but no column of {path} is named as `label`; "
                    "name it, or leave `normal` out where every row is normal."
                )
            return np.full(len(frame), "normal"), np.zeros(len(frame), dtype=bool)
        label = texts(frame, self.label, path)
        return label, anomalous(label, self.normal, path)


def _check_names(names: tuple[str, ...], path: Path) -> None:
    if not names:
        raise UserError(f"No column of {path} is left as a feature; drop fewer columns.")
    # Mostly the row numbers that pandas writes: a detector would learn the order of the rows.
    unnamed = next((name for name in names if name.startswith("Unnamed: ")), None)
    if unnamed is not None:
        raise UserError(
            f"A column of {path} has no name in the header and would be a feature; name it, or "
            f"leave it out with `drop: [{unnamed!r}]`."
        )

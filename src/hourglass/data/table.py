"""User-provided tables: each row is a sample, each column without another role a feature."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.codes import codes
from hourglass.data.column_inference import Decision, Declared, infer_columns, used_columns
from hourglass.data.columns import Column, ColumnScaling, Kind, Part
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import TableSource, open_table
from hourglass.data.readers.user_files import ClassNames, anomaly_mask, resolve_table
from hourglass.data.table_roles import text_cells, time_values

MAX_CACHED_BYTES = 256 << 20  # of record batches that are read once and used twice


class Table(DataSet):
    """A table; every column without another role is a feature.

    `path` is a file, a folder, a pattern such as "data/own/*.csv", or a list of them, relative to
    the working directory, which is the project folder under DVC. `label` is the column of classes,
    and `normal` names the normal ones; they match by value, so 0 is also 0.0. Without `label` every
    row is normal. `id` is the column of sample ids (default: "<file>/<row>", rows counted from 1).
    `time` is a column of numbers or dates; if it is set, the splits follow time. `drop` lists
    columns to ignore.

    The kinds of all other columns are inferred. `kinds` overrides this by name, `dates` gives
    formats of dates as for strptime, `parts` the parts of dates, `missing_values` further cells
    that mean a missing one, and `optional` names columns that new rows may lack. `scaling` applies
    to all numeric columns, `scalings` to single ones. `read` overrides what is detected about the
    format of the file. Rows with a missing cell in a feature are used; they are left out if
    `missing` is "skip", and an error if it is "refuse".
    """

    def __init__(
        self,
        path: str | list[str],
        label: str | None = None,
        normal: ClassNames = None,
        id: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        missing: Literal["use", "skip", "refuse"] = "use",
        kinds: dict[str, Kind] | None = None,
        dates: dict[str, str] | None = None,
        parts: dict[str, list[Part]] | None = None,
        missing_values: dict[str, list[str | int | float]] | None = None,
        optional: tuple[str, ...] = (),
        scaling: ColumnScaling = "auto",
        scalings: dict[str, ColumnScaling] | None = None,
        read: ReadOptions = ReadOptions(),
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
        self.read = read
        self.declared = Declared(
            kinds=kinds or {},
            dates=dates or {},
            parts=parts or {},
            missing_values={
                name: tuple(map(str, values)) for name, values in (missing_values or {}).items()
            },
            scaling=scalings or {},
            default_scaling=scaling,
            optional=tuple(optional),
        )

    def load(self, folder: Path) -> Raw:
        """Load the table as (N, C) codes of cells; `folder` is not read.

        Raises a UserError that names the column and the row of an invalid value.
        """
        source = open_table(resolve_table(self.path), self.read)
        features = self._features(source)
        batches = _Batches(source, list(dict.fromkeys([*features, *self._roles])))
        declared = self.declared.without(self.time)
        decisions = infer_columns(batches, features, source.path, declared, source.numbers)
        columns = used_columns(decisions)
        if not columns:
            raise UserError(_no_features(decisions, source.path))
        rows = decisions[0].rows
        x = np.empty((rows, len(columns)), np.float64)
        start = 0
        for batch in batches:
            end = start + len(batch)
            x[start:end] = codes(batch, columns, source.path, start + 1, source.numbers)
            start = end
        keep = self._rows(x, columns, batches, source)
        label, anomaly = self._labels(batches, source, rows, keep)
        return Raw(
            x=x if keep is None else x[keep],
            label=label,
            anomaly=anomaly,
            id=self._ids(batches, source, rows, keep),
            source={
                "name": source.path.stem,
                "licence": "not stated (the user's own table)",
                "complete": True,
                "files": _digests(source),
                "format": source.format | {"detected": source.describe()},
                "columns": [decision.to_dict() for decision in decisions],
            },
            columns=columns,
            time=self._times(batches, source, keep),
        )

    @property
    def _roles(self) -> list[str]:
        """Return the columns of labels, ids and times."""
        return [name for name in (self.label, self.id, self.time) if name is not None]

    def _features(self, source: TableSource) -> list[str]:
        """Return the columns without another role; raise a UserError for an unknown role."""
        others = [*self._roles, *self.drop]
        for name in others:
            if name not in source.names:
                raise UserError(
                    f"{source.path} has no column {name!r}: {suggest_names(name, source.names)}; "
                    "name one of its columns."
                )
        return [name for name in source.names if name not in others]

    def _rows(
        self, x: np.ndarray, columns: Sequence[Column], batches: "_Batches", source: TableSource
    ) -> np.ndarray | None:
        """Return the mask of the rows to use, (N,) bool; None for all."""
        if self.missing == "use":
            return None
        missing = np.isnan(x)
        keep = ~missing.any(1)
        if self.missing == "refuse":
            if keep.all():
                return None
            row = int(np.flatnonzero(~keep)[0])
            name = columns[int(missing[row].argmax())].name
            raise UserError(
                f"Column {name!r} of {source.path} is empty in row {row + 1}, and {(~keep).sum():,}"
                f" of {len(keep):,} rows have such a cell; fill it in, or set `missing: use`."
            )
        for name in self._roles:
            keep &= text_cells(batches, name, source.path, empty_allowed=True) != ""
        if not keep.any():
            raise UserError(
                f"Every row of {source.path} has an empty cell; set `missing: use`, or drop the "
                "columns with most of them."
            )
        return keep

    def _labels(
        self, batches: "_Batches", source: TableSource, rows: int, keep: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes of the rows, (N,) str, and the anomaly mask, (N,) bool."""
        if self.label is None:
            if self.normal is not None:
                raise UserError(
                    f"`normal` is {self.normal!r} but `label` names no column of {source.path}; "
                    "name it, or omit `normal` if every row is normal."
                )
            count = rows if keep is None else int(keep.sum())
            return np.full(count, "normal"), np.zeros(count, dtype=bool)
        label = text_cells(batches, self.label, source.path, keep, self._empty_is_normal)
        return label, anomaly_mask(label, self.normal, source.path)

    @property
    def _empty_is_normal(self) -> bool:
        return self.normal == "" or (isinstance(self.normal, list) and "" in self.normal)

    def _ids(
        self, batches: "_Batches", source: TableSource, rows: int, keep: np.ndarray | None
    ) -> np.ndarray:
        if self.id is not None:
            return text_cells(batches, self.id, source.path, keep)
        numbers = np.arange(1, rows + 1) if keep is None else np.flatnonzero(keep) + 1
        return np.array([f"{source.path.name}/{row}" for row in numbers.tolist()])

    def _times(
        self, batches: "_Batches", source: TableSource, keep: np.ndarray | None
    ) -> np.ndarray | None:
        if self.time is None:
            return None
        form = self.declared.dates.get(self.time)
        return time_values(batches, self.time, form, source, keep)


class _Batches:
    """The record batches of some columns; small tables are read once and kept."""

    def __init__(self, source: TableSource, columns: Sequence[str]) -> None:
        self.source = source
        self.columns = columns
        self.cached: list[pa.RecordBatch] | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        if self.cached is not None:
            yield from self.cached
            return
        kept: list[pa.RecordBatch] | None = []
        size = 0
        for batch in self.source.batches(self.columns):
            size += batch.nbytes
            if kept is not None:
                kept = [*kept, batch] if size <= MAX_CACHED_BYTES else None
            yield batch
        self.cached = kept


def _no_features(decisions: Sequence[Decision], path: Path) -> str:
    reasons = ", ".join(f"{decision.name} ({decision.reason})" for decision in decisions[:8])
    found = f"the others are no features: {reasons}" if decisions else "none is left"
    return (
        f"No column of {path} is left as a feature ({found}); drop fewer columns, or declare their "
        "`kinds`."
    )


def _digests(source: TableSource) -> Mapping[str, str]:
    """Return the SHA-256 of each file, by its name below the folder of all."""
    base = source.path if source.path.is_dir() else source.files[0].parent
    return {
        file.relative_to(base).as_posix() if file.is_relative_to(base) else file.name: sha256(file)
        for file in source.files
    }

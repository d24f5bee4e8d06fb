"""User-provided tables: each row is a sample, each column without another role a feature."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hourglass.core.atomic import sha256
from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.base import DataSet, Fractions, Raw
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column, ColumnScaling, Kind, Missing, Part
from hourglass.data.columns.decision import Decision, Declared
from hourglass.data.columns.inference import infer_columns, used_columns
from hourglass.data.inferred_table import InferredTable, RepeatedBatches
from hourglass.data.large_arrays import new_array, parts, take_rows, true_rows
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import TableSource, open_table
from hourglass.data.readers.user_files import ClassNames, anomaly_mask, resolve_table
from hourglass.data.streaming import release_pages
from hourglass.data.table_roles import text_cells, time_column, time_values


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
    `missing` is "skip", and an error if it is "refuse". Rows without a label, or without any value,
    are left out.
    """

    def __init__(
        self,
        path: str | list[str],
        label: str | None = None,
        normal: ClassNames = None,
        id: str | None = None,
        time: str | None = None,
        drop: tuple[str, ...] = (),
        missing: Missing = "use",
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
        return self.load_inferred(self.infer())

    def infer(self, source: TableSource | None = None) -> InferredTable:
        """Open the table, or take an open one, and infer the kinds of its columns in one pass."""
        if source is None:
            source = open_table(resolve_table(self.path), self.read)
        features = self._features(source)
        batches = RepeatedBatches(source, list(dict.fromkeys([*features, *self._roles])))
        share = 1.0 if self.time is None else self.fractions.train
        declared = replace(self.declared.without(self.time), train_share=share)
        decisions = infer_columns(batches, features, source.path, declared, source.numbers)
        return InferredTable(source, batches, decisions)

    def load_inferred(self, table: InferredTable) -> Raw:
        """Load a table whose columns were inferred."""
        source, batches, decisions = table.source, table.batches, table.decisions
        columns = used_columns(decisions)
        if not columns:
            raise UserError(_no_features(decisions, source.path))
        x = new_array((table.rows, len(columns)), np.float64)
        start = 0
        for batch in batches:
            end = start + len(batch)
            x[start:end] = codes(batch, columns, source.path, start + 1, source.numbers)
            start = end
            release_pages(x)
        label = self.row_labels(table)
        keep = self._rows(x, columns, label, table)
        rows = None if keep is None else true_rows(keep)
        roles, x = self.with_roles(table, x, rows)
        if rows is not None:
            label = None if label is None else take_rows(label, rows)
        if label is None:
            label, anomaly = np.broadcast_to("normal", len(x)), new_array((len(x),), bool)
        else:
            anomaly = anomaly_mask(label, self.normal, source.path, self.label)
        return Raw(
            x=x,
            label=label,
            anomaly=anomaly,
            id=self._ids(table, rows),
            source={
                "name": source.path.stem,
                "licence": "not stated (the user's own table)",
                "complete": True,
                "files": _digests(source),
                "rows": table.rows,
                "left_out_rows": table.rows - len(x),
                "format": source.format | {"detected": source.describe()},
                "read": {key: value for key, value in vars(self.read).items() if value is not None},
                "columns": [decision.to_dict() for decision in decisions],
            },
            columns=(*roles, *columns),
            time=self.times(table, rows),
        )

    def with_roles(
        self, table: InferredTable, x: np.ndarray, rows: np.ndarray | None
    ) -> tuple[tuple[Column, ...], np.ndarray]:
        """Return the columns that precede the features, and the codes, (N, C), of `rows` with them.

        Tables have none. `x` holds the features' codes of all rows; `rows` None stands for all.
        """
        return (), x if rows is None else take_rows(x, rows)

    def row_labels(self, table: InferredTable) -> np.ndarray | None:
        """Return the labels of all rows, (N,) str, "" where the cell is empty; None without them.

        Raises a UserError if `normal` is set without `label`, or if most cells are empty.
        """
        path = table.source.path
        if self.label is None:
            if self.normal is not None:
                raise UserError(
                    f"`normal` is {self.normal!r} but `label` names no column of {path}; name it, "
                    "or omit `normal` if every row is normal."
                )
            return None
        label = text_cells(table.batches.only(self.label), self.label)
        row, count = _empty_cells(label)
        too_many = self.missing == "refuse" or count > len(label) / 2
        if count and too_many and not self._empty_is_normal:
            raise UserError(
                f"Column {self.label!r} of {path} is empty in row {row + 1}, one of "
                f"{count:,} of {len(label):,} rows without a label; fill it in, or set "
                '`normal: [""]` if these rows are normal.'
            )
        return label

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
        features = [name for name in source.names if name not in others]
        if not features:
            raise UserError(_no_features([], source.path))
        return features

    def _rows(
        self,
        x: np.ndarray,
        columns: Sequence[Column],
        label: np.ndarray | None,
        table: InferredTable,
    ) -> np.ndarray | None:
        """Return the mask of the rows to use, (N,) bool; None for all.

        A row without a label, or without any value, is not used. The setting `missing` decides
        about missing features.
        """
        path, use = table.source.path, new_array((len(x),), bool)
        incomplete, first = 0, 0
        for part in parts(x):
            missing = np.isnan(x[part])
            gaps = missing.any(1)
            if gaps.any() and not incomplete:
                first = part.start + int(gaps.argmax())
            incomplete += int(gaps.sum())
            use[part] = ~missing.all(1) if self.missing == "use" else ~gaps
            if label is not None and not self._empty_is_normal:
                use[part] &= label[part] != ""
            release_pages(x)
        if self.missing == "refuse" and incomplete:
            name = columns[int(np.isnan(x[first]).argmax())].name
            raise UserError(
                f"Column {name!r} of {path} is empty in row {first + 1}, and "
                f"{incomplete:,} of {len(x):,} rows have such a cell; fill it in, or set "
                "`missing: use`."
            )
        if self.missing != "use" and not use.any():
            raise UserError(
                f"Every row of {path} has an empty cell; set `missing: use`, or drop the columns "
                "with most of them."
            )
        return None if use.all() else use

    @property
    def _empty_is_normal(self) -> bool:
        return self.normal == "" or (isinstance(self.normal, list) and "" in self.normal)

    def _ids(self, table: InferredTable, rows: np.ndarray | None) -> np.ndarray:
        """Return the ids of rows, None for all, by default "<file>/<row>"."""
        path = table.source.path
        if self.id is None:
            prefix, count = f"{path.name}/", table.rows if rows is None else len(rows)
            names = new_array((count,), f"U{len(prefix) + len(str(table.rows))}")
            for part in parts(names):
                numbers = range(part.start, part.stop) if rows is None else rows[part].tolist()
                names[part] = [prefix + str(row + 1) for row in numbers]
                release_pages(names)
            return names
        ids = text_cells(table.batches.only(self.id), self.id)
        ids = ids if rows is None else take_rows(ids, rows)
        row, count = _empty_cells(ids)
        if count:
            raise UserError(
                f"Column {self.id!r} of {path} is empty in row "
                f"{(row if rows is None else rows[row]) + 1}; fill it in, or omit `id`."
            )
        return ids

    def times(self, table: InferredTable, rows: np.ndarray | None) -> np.ndarray | None:
        """Return the times of rows, None for all, if there is a column of times."""
        if self.time is None:
            return None
        return time_values(table, self.time_column(table, self.time), rows)

    def time_column(self, table: InferredTable, name: str) -> Column:
        """Return the column of times; raise a UserError if a cell is no time."""
        form = self.declared.dates.get(name)
        return time_column(table.batches.only(name), name, form, table.source)


def _empty_cells(cells: np.ndarray) -> tuple[int, int]:
    """Return the first row with an empty text, and the number of such rows."""
    first, count = 0, 0
    for part in parts(cells):
        empty = np.flatnonzero(cells[part] == "")
        if len(empty) and not count:
            first = part.start + int(empty[0])
        count += len(empty)
        release_pages(cells)
    return first, count


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

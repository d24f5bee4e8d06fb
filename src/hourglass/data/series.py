"""Users' time series: each row is a sample, scored in the windows of rows around it."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import suggest_names
from hourglass.data.base import Fractions, Raw
from hourglass.data.columns.column import NUMBER, Column, ColumnScaling, Kind
from hourglass.data.columns.decision import Decision
from hourglass.data.columns.row_numbers import COUNTER, TIME_NAME
from hourglass.data.inferred_table import InferredTable
from hourglass.data.intervals import FILE, in_intervals, read_intervals
from hourglass.data.large_arrays import new_array, parts
from hourglass.data.prepared_data import Split
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.readers.table_source import TableSource, open_table
from hourglass.data.readers.user_files import ClassNames, resolve_table
from hourglass.data.series_encoding import SETTINGS, Combine, RowScore, SeriesEncoding
from hourglass.data.series_split import SplitBy, split_series
from hourglass.data.table import Table
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.table_roles import role_codes
from hourglass.data.windows import check_regular, find_step, find_windows

MAX_WINDOW, MIN_WINDOW = 96, 8  # of the default


class Series(Table):
    """Time series: the rows are samples, and a network sees windows of `window` steps.

    `path` is a file, a folder, a pattern or a list of them, as for `Table`. `time` is the column of
    times: dates of any form, or numbers. By default, it is the first column of dates, or one that
    rises and is named like a time; without one, the rows follow each other. `entity` is the column
    that tells several series apart, such as a machine; "file" stands for the name of the file
    without its suffix, unless the table has a column of this name.

    `label` is the column of classes, and `normal` names the normal ones. Instead, `intervals` names
    the anomalous stretches: a list of [start, end] or [start, end, entity], or a .csv or .json file
    of them; without an entity, a stretch is one of all entities. All other columns are channels, of
    the kinds that `Table` knows; missing cells are masked.

    `step` is the time between two rows, by default the median. Each row is placed on the nearest
    step; a step without a row repeats the one before. A gap of more than `max_gap` steps ends a
    run: no window crosses it. A window starts every `stride` steps.

    Every row has a score: the largest of the windows that cover it, or their mean or median, as
    `combine` says. The error of a whole window counts for each of its rows; with `row_score: step`,
    only the errors at the row itself do, which locates an anomaly more exactly but detects worse.

    The splits follow each other in time, with a gap of a window between them, or hold whole
    entities if `split_by` is "entity". Anomalous rows of the splits train, validation and
    calibration are left out.

    `window` is MAX_WINDOW by default, or fewer for short series: a sixth of the train rows, or half
    of the median run. Scaled channels are limited to `clip` standard deviations. The defaults were
    chosen on the public series of docs/benchmarks/series.md.
    """

    def __init__(
        self,
        path: str | list[str],
        time: str | None = None,
        entity: str | None = None,
        label: str | None = None,
        normal: ClassNames = None,
        intervals: str | list[list[str | int | float]] | None = None,
        window: int | None = None,
        stride: int = 1,
        step: float | None = None,
        max_gap: float = 3.0,
        clip: float = 5.0,
        row_score: RowScore = "window",
        combine: Combine = "max",
        split_by: SplitBy = "time",
        id: str | None = None,
        drop: tuple[str, ...] = (),
        kinds: dict[str, Kind] | None = None,
        dates: dict[str, str] | None = None,
        missing_values: dict[str, list[str | int | float]] | None = None,
        optional: tuple[str, ...] = (),
        scaling: ColumnScaling = "auto",
        scalings: dict[str, ColumnScaling] | None = None,
        read: ReadOptions = ReadOptions(),
        fractions: Fractions = Fractions(),
    ) -> None:
        for name, value, minimum in (("window", window, 2), ("stride", stride, 1)):
            if value is not None and value < minimum:
                raise UserError(f"{name} is {value}, but must be at least {minimum}.")
        for name, number in (("step", step), ("max_gap", max_gap), ("clip", clip)):
            if number is not None and not 0 < number < np.inf:
                raise UserError(f"{name} is {number}, but must be above 0 and finite.")
        if intervals is not None and label is not None:
            raise UserError("`label` and `intervals` both name anomalies; omit one of them.")
        if split_by == "entity" and entity is None:
            raise UserError('split_by is "entity", but `entity` names no column; name it.')
        super().__init__(
            path,
            label=label,
            normal=normal,
            id=id,
            time=time,
            drop=drop,
            kinds=kinds,
            dates=dates,
            missing_values=missing_values,
            optional=optional,
            scaling=scaling,
            scalings=scalings,
            read=read,
            fractions=fractions,
        )
        if entity == FILE and read.file_column is None:
            self.read = replace(read, file_column=FILE)
        self.entity = entity
        self.intervals = intervals
        self.window = window
        self.stride = stride
        self.step = step
        self.max_gap = max_gap
        self.clip = clip
        self.row_score = row_score
        self.combine = combine
        self.split_by = split_by

    def infer(self, source: TableSource | None = None) -> InferredTable:
        """Open the table, or take an open one; find the column of times and the channels."""
        source = source or open_table(resolve_table(self.path), self.read)
        if self.entity is not None and self.entity not in source.names:
            raise UserError(
                f"{source.path} has no column {self.entity!r}: "
                f"{suggest_names(self.entity, source.names)}; name one of its columns as `entity`."
            )
        table = super().infer(source)
        if self.time is None:
            self.time = find_time(table.decisions)
            if self.time is None:
                return table
            print(f"{source.path}: column {self.time!r} is the time", file=sys.stderr)
            kept = [each for each in table.decisions if each.name != self.time]
            table = replace(table, decisions=kept)
        return table

    def load_inferred(self, table: InferredTable) -> Raw:
        """Load a series whose columns were inferred."""
        raw = super().load_inferred(table)
        encoding = SeriesEncoding((), tuple(c.kind for c in raw.columns if not c.is_feature))
        time, entity = encoding.time(raw.x), encoding.entity(raw.x)
        # Before the steps are laid out: each run is as long as a window.
        if self.window is not None and self.window > len(time):
            raise UserError(
                f"window is {self.window:,}, but {table.source.path} has {len(time):,} rows; "
                "set a smaller `window`."
            )
        step = self.step or find_step(time, entity)
        find = partial(find_windows, time, entity, step, self.max_gap)
        window = self.window or self._suited_window(np.diff(find(1).bounds))
        if self.stride > window:
            raise UserError(
                f"stride is {self.stride}, but windows of {window} rows would leave rows between "
                "them without a score; set a smaller `stride`."
            )
        windows = find(window, self.stride)
        check_regular(windows, step, table.source.path)
        series = {"step": step, "runs": len(windows.bounds) - 1, "window": window}
        raw = replace(raw, time=time, source={**raw.source, "series": series})
        if self.intervals is None:
            return raw
        column = raw.columns[encoding.roles.index("time")]
        found = read_intervals(self.intervals, column, table.source, self.entity)
        anomaly = in_intervals(time, entity, found, table.source.path)
        return replace(raw, anomaly=anomaly, label=np.where(anomaly, "anomaly", "normal"))

    def _suited_window(self, runs: np.ndarray) -> int:
        """Return the default window for runs of these numbers of steps."""
        most = int(min(self.fractions.train * runs.sum() / 6, np.median(runs) / 2))
        return min(MAX_WINDOW, max(MIN_WINDOW, most))

    def with_roles(
        self, table: InferredTable, x: np.ndarray, rows: np.ndarray | None
    ) -> tuple[tuple[Column, ...], np.ndarray]:
        """Return the columns of entity and time, and the codes of `rows` with them.

        Without a column of times, the time of a row is its number among those of its entity.
        """
        columns, codes = [], []
        if self.entity is not None:
            columns.append(Column(self.entity, "entity"))
            codes.append(role_codes(table, columns[0], rows))
        if self.time is not None:
            columns.append(self.time_column(table, self.time))
            times = self.times(table, rows)
            assert times is not None
            codes.append(times)
        else:
            columns.append(Column("row number", "time", date_format=NUMBER, optional=True))
            numbers = np.arange(len(x)) if rows is None else rows
            codes.append(_numbers_within(codes[0]) if codes else numbers)
        joined = new_array((len(codes[0]), len(codes) + x.shape[1]), np.float64)
        for part in parts(joined):
            for i, code in enumerate(codes):
                joined[part, i] = code[part]
            joined[part, len(codes) :] = x[part if rows is None else rows[part]]
        return tuple(columns), joined

    def split(
        self, raw: Raw, seed: int, copies: np.ndarray | None = None
    ) -> dict[Split, np.ndarray]:
        """Return the rows of each split, in file order; see the class."""
        assert raw.time is not None
        entity = raw.x[:, 0] if self.entity is not None else None
        series = raw.source["series"]
        gap = series["window"] * series["step"]
        return split_series(raw.time, entity, raw.anomaly, self.fractions, gap, self.split_by)

    def fit_encoding(self, raw: Raw, train: np.ndarray) -> TableEncoding:
        """Return the encoding of the channels, fitted to train rows, (N, R + C), with windows."""
        encoding = SeriesEncoding.fit(raw.columns, train, self.scaling)
        settings = {name: getattr(self, name) for name in SETTINGS}
        series = raw.source["series"]
        settings |= {"step": series["step"], "window": series["window"]}
        return replace(encoding, **settings)

    @property
    def _roles(self) -> list[str]:
        """Return the columns of labels, ids, times and entities."""
        return [*super()._roles, *([] if self.entity is None else [self.entity])]


def find_time(decisions: Sequence[Decision]) -> str | None:
    """Return the first column of dates, else of rising numbers with a name like a time, if any."""
    dates = [each.name for each in decisions if each.kind == "datetime"]
    counters = [
        each.name for each in decisions if each.reason == COUNTER and TIME_NAME.fullmatch(each.name)
    ]
    return next(iter(dates + counters), None)


def _numbers_within(entity: np.ndarray) -> np.ndarray:
    """Return the number of each row among the rows of its entity, (N,)."""
    order = np.argsort(entity, kind="stable")
    _, first, counts = np.unique(entity[order], return_index=True, return_counts=True)
    numbers = np.empty(len(entity))
    numbers[order] = np.arange(len(entity)) - np.repeat(first, counts)
    return numbers

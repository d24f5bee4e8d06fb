"""Statistics of a column in one pass over record batches, in bounded memory."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.data.columns.arrow_cells import (
    DATES,
    ISO,
    MAYBE_DATE,
    TIME_OF_DAY,
    dates,
    form_of,
    has_marks,
    is_missing,
    numbers,
    plain,
    texts,
)
from hourglass.data.readers.numbers import NumberFormat

MAX_COUNTED = 10_000  # distinct values per column; cells of later ones are counted together
MAX_SAMPLE = 20_000  # numbers per column that are kept for quantiles
MIN_DATE_SHARE = 0.9  # of the cells that a date format must fit
DATE_SAMPLE = 200  # cells that choose the formats of dates to try


@dataclass
class NumberStatistics:
    """Range, order and fill values of a column of numbers, or of dates in seconds."""

    count: int = 0
    least: float = np.inf
    most: float = -np.inf
    least_count: int = 0  # cells that hold `least`
    most_count: int = 0
    whole: bool = True  # all are integers
    midnight: bool = True  # all are whole days, if they are seconds
    sum: int = 0  # of integers, exact
    rising: int = 0  # steps from cell to cell
    least_step: float = np.inf  # as long as all of them rise
    most_step: float = -np.inf
    previous: float = np.nan
    sample: list[np.ndarray] = field(default_factory=list)
    stride: int = 1

    def add(self, values: np.ndarray) -> None:
        """Add numbers, (N,), none of them NaN, in the order of the rows."""
        if not len(values):
            return
        self.count += len(values)
        low, high = float(values.min()), float(values.max())
        if low <= self.least:
            same = self.least_count if low == self.least else 0
            self.least, self.least_count = low, same + int((values == low).sum())
        if high >= self.most:
            same = self.most_count if high == self.most else 0
            self.most, self.most_count = high, same + int((values == high).sum())
        self.whole = self.whole and bool((values == np.floor(values)).all())
        self.midnight = self.midnight and bool((values % 86_400 == 0).all())
        if self.whole and max(abs(low), abs(high)) < 2**53:
            self.sum += int(values.astype(np.int64).sum())
        steps = np.diff(values, prepend=self.previous)
        self.rising += int((steps > 0).sum())
        if 0 < self.rising == self.count - 1:  # all so far; the first one is NaN
            self.least_step = min(self.least_step, float(np.nanmin(steps)))
            self.most_step = max(self.most_step, float(np.nanmax(steps)))
        self.previous = float(values[-1])
        self.sample.append(values[:: self.stride].copy())
        if sum(map(len, self.sample)) > MAX_SAMPLE:
            self.sample = [np.concatenate(self.sample)[::2]]
            self.stride *= 2

    @property
    def quantile_sample(self) -> np.ndarray:
        """Return numbers from all parts of the column."""
        return np.concatenate(self.sample) if self.sample else np.empty(0)


@dataclass
class DateStatistics:
    """Cells that one format of dates fits."""

    seconds: NumberStatistics = field(default_factory=NumberStatistics)
    fits: int = 0
    odd: tuple[str, int] | None = None  # a cell that is no date, and its row


@dataclass
class ColumnStatistics:
    """Statistics of one column: missing cells, distinct values, numbers, dates."""

    name: str
    max_counted: int = MAX_COUNTED
    missing_values: tuple[str, ...] = ()
    formats: tuple[str, ...] | None = None  # of dates, if the user names them
    rows: int = 0
    empty: int = 0  # cells without content
    markers: int = 0  # cells that hold a missing marker
    types: set[str] = field(default_factory=set)
    type_name: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # of the values, including markers
    uncounted: int = 0  # cells with a value that came after `max_counted` others
    numbers: NumberStatistics = field(default_factory=NumberStatistics)
    odd: tuple[str, int] | None = None  # the first cell that is neither number nor missing, its row
    odd_cells: int = 0
    dates: dict[str, DateStatistics] = field(default_factory=dict)
    differ: set[tuple[str, str]] = field(default_factory=set)  # formats that read other dates
    is_time: bool = False  # typed times of day
    _dates_tried: bool = False

    @property
    def present(self) -> int:
        """Return the number of cells that are not missing, if markers are."""
        return self.rows - self.empty - self.markers

    def add(self, column: pa.Array, form: NumberFormat = NumberFormat()) -> None:
        """Add the cells of a record batch; `form` is the format of numbers in text."""
        array = plain(column)
        kind = form_of(array.type)
        first_row, self.rows = self.rows + 1, self.rows + len(array)
        empty = int(array.null_count)
        missing = is_missing(array, self.missing_values)
        if kind == "text":
            blank = pc.sum(pc.equal(array, "")).as_py() or 0
            empty += blank
        elif kind == "number":
            empty = int(missing.sum())
        self.empty += empty
        self.markers += int(missing.sum()) - empty
        if len(missing) == missing.sum():
            return
        self.types.add(kind)
        self.type_name = str(array.type)
        if kind == "other":
            return
        found = numbers(array, form)
        is_number = ~np.isnan(found) & ~missing
        self.numbers.add(found[is_number])
        odd = np.flatnonzero(~is_number & ~missing)
        if kind in ("text", "date"):
            self._add_odd(array, odd, first_row)
            if len(odd) > is_number.sum() or self.dates:
                self._add_dates(array, missing, first_row)
        if self.uncounted and not self.odd_cells:
            self.uncounted += int(is_number.sum())
        else:
            self._count(array)

    def _count(self, array: pa.Array) -> None:
        """Count values until there are too many; then count those known only."""
        if self.uncounted:
            known = pc.index_in(texts(array), value_set=pa.array(list(self.counts), pa.string()))
            places = known.drop_null().to_numpy(zero_copy_only=False)
            found = np.bincount(places, minlength=len(self.counts)).tolist()
            self.counts = {
                text: old + new for (text, old), new in zip(self.counts.items(), found, strict=True)
            }
            self.uncounted += int(known.null_count) - int(array.null_count)
            return
        values = pc.value_counts(array.drop_null())
        names = texts(values.field("values")).to_pylist()
        for name, count in zip(names, values.field("counts").to_pylist(), strict=True):
            if name in self.counts or len(self.counts) < self.max_counted:
                self.counts[name] = self.counts.get(name, 0) + count
            else:
                self.uncounted += count
        self.counts.pop("", None)

    def _add_odd(self, array: pa.Array, odd: np.ndarray, first_row: int) -> None:
        self.odd_cells += len(odd)
        if not len(odd):
            return
        cells = array.take(pa.array(odd))
        if self.odd is None:
            self.odd = (str(cells[0].as_py()), first_row + int(odd[0]))

    def _add_dates(self, array: pa.Array, missing: np.ndarray, first_row: int) -> None:
        """Read the cells by every date format that fitted so far."""
        rows = np.flatnonzero(~missing)
        if not self._dates_tried:
            self._dates_tried = True
            self.dates = {form: DateStatistics() for form in self._date_formats(array, rows)}
        self.is_time = self.is_time or pa.types.is_time(array.type)
        cells = array.take(pa.array(rows)) if len(rows) < len(array) else array
        found = dict[str, np.ndarray]()
        for form, statistics in list(self.dates.items()):
            seconds = found[form] = dates(cells, form)
            fits = ~np.isnan(seconds)
            statistics.fits += int(fits.sum())
            statistics.seconds.add(seconds[fits])
            if not fits.all() and statistics.odd is None:
                place = int(np.flatnonzero(~fits)[0])
                statistics.odd = (str(cells[place].as_py()), first_row + int(rows[place]))
            if fits.sum() < MIN_DATE_SHARE * len(rows) and self.formats is None:
                del self.dates[form], found[form]
        forms = list(found)
        for i, one in enumerate(forms):
            for other in forms[i + 1 :]:
                if not np.array_equal(found[one], found[other], equal_nan=True):
                    self.differ.add((one, other))

    def _date_formats(self, array: pa.Array, rows: np.ndarray) -> tuple[str, ...]:
        """Return the formats to try: those that fit most of the first cells."""
        if self.formats is not None:
            return self.formats
        if form_of(array.type) == "date":
            return (TIME_OF_DAY if pa.types.is_time(array.type) else ISO,)
        cells = array.take(pa.array(rows[:DATE_SAMPLE]))
        first = [text for text in cells[:5].to_pylist() if MAYBE_DATE.match(text)]
        fitting = []
        for form in (ISO, TIME_OF_DAY, *DATES) if first else ():
            if not any(has_marks(text, form) for text in first):
                continue  # without the parser, which takes milliseconds per format
            found = dates(cells, form)
            if form != ISO:  # cells in ISO form are read whatever the format is
                found = np.where(np.isnan(dates(cells, ISO)), found, np.nan)
            if (~np.isnan(found)).mean() >= MIN_DATE_SHARE:
                fitting.append(form)
        return tuple(fitting)

"""Recognition of a time series in a table: the column of times, the entities and the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hourglass.cli.roles import Roles
from hourglass.cli.suggested_settings import blocks_needed
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, quote
from hourglass.data.columns.column import NUMBER, Column
from hourglass.data.columns.inference import MAX_LEVELS
from hourglass.training.suggested_sizes import MIN_WINDOW, suggested_window

if TYPE_CHECKING:
    from hourglass.data.inferred_table import InferredTable

MIN_REGULAR_SHARE = 0.9  # of the steps between consecutive rows
MAX_MULTIPLE = 3  # of the median step, that a regular step may be; `max_gap` of `Series`
STEP_TOLERANCE = 0.1  # in median steps, for months of different lengths and clocks that jitter
MIN_SORTED_SHARE = 0.9  # of the steps, in a file in order of time
MIN_REPEATED_SHARE = 0.1  # of the rows whose times occur in other rows as well
# Least autocorrelation at a lag of one row. In windows of independent rows, a single anomaly is
# hard to detect.
MIN_AUTOCORRELATION, MAX_COLUMNS = 0.3, 50
UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True)
class SeriesForm:
    """The form of a series: its roles, the step between two rows, and the window."""

    time: str
    entity: str | None
    step: float  # in the unit of the times
    is_date: bool
    rows: int
    entities: int  # 1 without a column of entities
    runs: int  # of consecutive rows
    window: int  # rows
    is_found: bool  # the column of entities was not named by the user

    @property
    def sentence(self) -> str:
        """Return what the user is told about the series."""
        every = step_text(self.step) if self.is_date else f"{self.step:g}"
        runs = counted(self.runs, "run")
        if self.entity is not None:
            values = counted(self.entities, "entity", "entities")
            runs += f" of {values} (column {self.entity!r})"
        found = ""
        if self.is_found:
            found = f" {self.entity!r} is the entity: times repeat, but not within its values."
        return (
            f"A time series: a row every {every} (column {self.time!r}), "
            f"{counted(self.rows, 'row')} in {runs}; scored in windows of {self.window} rows."
            f"{found} Add --rows to treat rows as independent."
        )


class _NoSeriesError(Exception):
    """The rows are no time series; the message is the reason, "" if the user need not know it."""


def find_series(
    table: "InferredTable", roles: Roles, normal: int, alphas: Sequence[float]
) -> SeriesForm | str:
    """Return the form of the series in a table; otherwise why its rows count as independent.

    `normal` is the number of normal rows, and `alphas` are false-alarm rates of the threshold, by
    preference; both limit the window. The reason is "" if nothing suggests a series.
    """
    try:
        return _find(table, roles, normal, alphas)
    except _NoSeriesError as error:
        return str(error)


def refuse_series_options(roles: Roles, reason: str, file: Path) -> None:
    """Raise a UserError if the user gives an option of series, but `file` holds none."""
    if roles.of_series:
        reason = reason or "no column holds times in order; name one with --time"
        raise UserError(f"{roles.of_series} needs a time series, but {file} is none: {reason}.")


def _find(table: "InferredTable", roles: Roles, normal: int, alphas: Sequence[float]) -> SeriesForm:
    from hourglass.data.windows import find_windows, is_regular

    column, time = _times(table, roles)
    entity = roles.entity or _found_entity(table, roles, column.name, time)
    codes = None if entity is None else _codes(table, entity)
    step = _regular_step(column.name, time, codes)
    if not roles.of_series:
        _require_dependence(table, time, codes)
    find = partial(find_windows, time, codes, step, MAX_MULTIPLE)
    lengths = np.diff(find(1).bounds)
    entities = 1 if codes is None else len(np.unique(codes))
    window = _window(column.name, lengths, normal, alphas, entities)
    while window > MIN_WINDOW and not is_regular(find(window)):
        window = max(MIN_WINDOW, window // 2)
    if not is_regular(find(window)):
        raise _NoSeriesError(f"too many steps along column {column.name!r} have no row")
    is_date, is_found = column.date_format != NUMBER, entity != roles.entity
    return SeriesForm(
        column.name, entity, step, is_date, len(time), entities, len(lengths), window, is_found
    )


def _times(table: "InferredTable", roles: Roles) -> tuple[Column, np.ndarray]:
    """Return the column of times, named or found, and the times, (N,)."""
    from hourglass.data.series import find_time
    from hourglass.data.table_roles import role_codes, time_column

    name = roles.time or find_time(table.decisions)
    if name is None:
        raise _NoSeriesError()
    missing = sum(each.missing for each in table.decisions if each.name == name)
    if missing:
        raise _NoSeriesError(f"column {name!r} has {counted(missing, 'cell')} without a time")
    column = time_column(table.batches.only(name), name, None, table.source)
    time = role_codes(table, column, None)
    if np.isnan(time).any():
        raise _NoSeriesError(f"column {name!r} has an empty cell")
    steps = np.diff(time)
    is_sorted = max((steps >= 0).sum(), (steps <= 0).sum()) >= MIN_SORTED_SHARE * len(steps)
    if not (is_sorted or roles.entity):
        raise _NoSeriesError(f"times in column {name!r} are in no order" if roles.time else "")
    return column, time


def _codes(table: "InferredTable", entity: str) -> np.ndarray:
    """Return the codes of the entities, (N,)."""
    from hourglass.core.suggestions import suggest_names
    from hourglass.data.table_roles import role_codes

    if entity not in table.source.names:
        raise UserError(
            f"{table.source.path} has no column {entity!r}: "
            f"{suggest_names(entity, table.source.names)}; name one of its columns with --entity."
        )
    return role_codes(table, Column(entity, "entity"), None)


def _found_entity(table: "InferredTable", roles: Roles, name: str, time: np.ndarray) -> str | None:
    """Return the column within whose values times are regular; None if no time repeats."""
    if len(np.unique(time)) > (1 - MIN_REPEATED_SHARE) * len(time):
        return None
    names = []
    for each in table.decisions:
        is_few = 2 <= each.distinct <= MAX_LEVELS and not (each.capped or each.missing)
        if is_few and each.kind != "datetime" and each.name not in (name, *roles.columns):
            codes = _codes(table, each.name)
            if regular_share(time, codes) >= MIN_REGULAR_SHARE:
                names.append(each.name)
    if len(names) == 1:
        return names[0]
    such = f", such as {' or '.join(map(quote, names))}," if names else ""
    raise _NoSeriesError(
        f"times in column {name!r} repeat; if a column{such} tells several series apart, name it "
        "with --entity"
    )


def _regular_step(name: str, time: np.ndarray, entity: np.ndarray | None) -> float:
    from hourglass.data.windows import find_step

    share = regular_share(time, entity)
    if share < MIN_REGULAR_SHARE:
        raise _NoSeriesError(
            f"the times in column {name!r} are irregular: {share:.0%} of the steps are 1 to "
            f"{MAX_MULTIPLE} times the median step"
        )
    return find_step(time, entity)


def _require_dependence(
    table: "InferredTable", time: np.ndarray, entity: np.ndarray | None
) -> None:
    """Raise the reason if no column of numbers depends on the row before."""
    from hourglass.data.table_roles import role_codes
    from hourglass.data.windows import row_order

    order, highest = row_order(time, entity), 0.0
    columns = [each.column for each in table.decisions if each.column and each.kind == "numeric"]
    for column in columns[:MAX_COLUMNS]:
        values = role_codes(table, column, None)[order]
        known = ~np.isnan(values)
        pair = known[:-1] & known[1:]
        if pair.sum() > 2 and values[:-1][pair].std() > 0 and values[1:][pair].std() > 0:
            found = np.corrcoef(values[:-1][pair], values[1:][pair])[0, 1]
            highest = max(highest, abs(float(found)))
    if columns and highest < MIN_AUTOCORRELATION:
        raise _NoSeriesError(
            "no column depends on the row before (autocorrelation up to "
            f"{highest:.2f}); --intervals or --entity makes it a time series"
        )


def regular_share(time: np.ndarray, entity: np.ndarray | None) -> float:
    """Return the share of steps between rows that are 1 to MAX_MULTIPLE times the median step.

    `time` and `entity` are (N,). A step to another entity does not count.
    """
    from hourglass.data.windows import find_step, row_order

    order = row_order(time, entity)
    steps = np.diff(time[order]) / find_step(time, entity)
    if entity is not None:
        steps = steps[np.diff(entity[order]) == 0]
    multiple = np.rint(steps)
    near = np.abs(steps - multiple) <= STEP_TOLERANCE
    regular = near & (multiple >= 1) & (multiple <= MAX_MULTIPLE)
    return float(regular.mean()) if len(steps) else 0.0


def _window(
    name: str, runs: np.ndarray, normal: int, alphas: Sequence[float], entities: int
) -> int:
    """Return the window for runs of these lengths, (R,)."""
    least = blocks_needed(alphas[-1:], entities)
    if normal < least * MIN_WINDOW:
        raise _NoSeriesError(
            f"its {counted(normal, 'normal row')} are too few for windows along column {name!r}, "
            f"which need {least * MIN_WINDOW:,}"
        )
    ordered = np.sort(runs)
    typical = int(ordered[np.searchsorted(ordered.cumsum(), ordered.sum() / 2)])  # of a row
    if typical < MIN_WINDOW:
        raise _NoSeriesError(
            f"most rows are in runs of {typical} or fewer regular steps along column {name!r}"
        )
    # The rate in the middle leaves windows long enough to detect well, and enough of them.
    wanted = blocks_needed(alphas[len(alphas) // 2 :][:1], entities)
    return suggested_window(normal, typical, wanted)


def step_text(seconds: float) -> str:
    """Return a duration in the largest unit that fits it, such as "5 minutes" or "hour"."""
    for unit, size in UNITS:
        number = seconds / size
        if number >= 1 and abs(number - round(number)) < 1e-6 * number:
            return unit if round(number) == 1 else f"{round(number)} {unit}s"
    return f"{seconds:.3g} seconds"

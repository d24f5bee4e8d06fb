"""Inspection of a user's table: its usable features, and the reason for every other column."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_integer_dtype, is_numeric_dtype

from hourglass.core.suggestions import quote
from hourglass.data.readers.table_files import LARGEST, parsed_dates

LABEL_NAMES = {"label", "labels", "class", "target", "y", "anomaly", "outlier", "is_anomaly"}
TIME_NAMES = {"time", "timestamp", "date", "datetime"}
ID_NAMES = {"id", "index", "row", "uid", "uuid"}
MAX_LABELS = 10  # a column with more different values is not taken for the label
MAX_EMPTY_SHARE = 0.5  # of the cells of a feature
MIN_COMPLETE_SHARE = 0.5  # of the rows
MIN_ROWS_OF_COUNTER = 10  # fewer rows may rise by chance

WITH_COMMA = re.compile(r"\s*[+-]?\d[\d.]*(?:,\d+)*(?:\.\d+)?\s*")

# Kinds of columns that are not features, each with a remedy.
NO_NAME = "No name in the header, so probably row numbers: give it a name to use it."
EMPTY = "Empty cells, too many: fill them to use the column."
CONSTANT = "The same value in every row: remove the line to use it."
INVALID = "Cells that are not finite numbers: correct them to use the column."
LABEL = "The label, by its name: set `label` to it, and `normal` to its normal values."
COUNTER = "Rises from row to row, as a time or a row number: set `time` to it to split by it."
DATES = "Dates: set `time` to it to split by it."
TEXT = "Text: make one 0/1 column per value to use it; if it is the label, set `label` to it."
NUMBERS_WITH_COMMA = "Numbers with commas: write them without, and with a decimal point, to use it."
NUMBER_ID = "A number per row, by its name: set `id` to it to find the rows by it."
ID = "Text, different in every row: set `id` to it to find the rows by it."


@dataclass(frozen=True)
class UnusableColumn:
    """A column that is not a feature: its kind, a constant of this module, and an example."""

    name: str
    kind: str
    found: str = ""


@dataclass(frozen=True)
class Inspection:
    """The features of a table, its other columns, and its complete rows."""

    features: list[str]
    unusable: list[UnusableColumn]
    complete: np.ndarray  # (N,) bool: False if a feature, the label, the id or the time is empty


def inspect_table(frame: pd.DataFrame, roles: Sequence[str], drop: Sequence[str]) -> Inspection:
    """Find the features among the columns outside `roles` (label, id, time) and `drop`.

    Rows with an empty cell cannot be used, so features with many empty cells are left out: one
    with more than half of its cells empty; one that costs a larger share of the rows than its share
    of the features; and, until half of the rows are complete, the one with most empty cells.
    """
    others = [str(name) for name in frame.columns if name not in {*roles, *drop}]
    problems = {name: _problem(frame[name]) for name in others}
    features = [name for name in others if problems[name] is None]
    known = frame[list(roles)].notna().all(axis=1).to_numpy()
    empty = frame[features].isna().to_numpy()
    while features and (worst := _too_empty(empty[known])) is not None:
        name = features.pop(worst)
        problems[name] = _mostly_empty(frame[name])
        empty = np.delete(empty, worst, axis=1)
    unusable = [problem for problem in problems.values() if problem]
    return Inspection(features, unusable, known & ~empty.any(1))


def _too_empty(empty: np.ndarray) -> int | None:
    """Return the index of the feature to leave out next; `empty` is (N, F) bool."""
    counts = empty.sum(1)
    gain = empty[counts == 1].sum(0)  # the rows that would be complete without the feature
    if gain.max(initial=0) / len(empty) > 1 / empty.shape[1]:
        return int(gain.argmax())
    return int(empty.sum(0).argmax()) if (counts == 0).mean() < MIN_COMPLETE_SHARE else None


def _problem(column: pd.Series) -> UnusableColumn | None:
    """Return the reason why a column is not a feature, or None if it is one."""
    name, values = str(column.name), column.dropna()
    if name.startswith("Unnamed: "):
        return UnusableColumn(name, NO_NAME)
    if column.isna().mean() > MAX_EMPTY_SHARE:
        return _mostly_empty(column)
    first = values.iloc[0]
    if (values == first).all() if np.isscalar(first) else False:
        return UnusableColumn(name, CONSTANT, _shown(first))
    if is_numeric_dtype(column):
        return _number_problem(name, values)
    return _text_problem(name, values)


def _number_problem(name: str, values: pd.Series) -> UnusableColumn | None:
    numbers = values.to_numpy(dtype=np.float64)
    invalid = np.flatnonzero(~(np.abs(numbers) <= LARGEST))
    if len(invalid):
        return _invalid(values, invalid[0])
    if name.lower() in LABEL_NAMES and len(np.unique(numbers)) <= MAX_LABELS:
        return UnusableColumn(name, LABEL, _counts(values))
    is_id = is_integer_dtype(values) and len(np.unique(numbers)) == len(numbers)
    if is_id and name.lower() in ID_NAMES:
        return UnusableColumn(name, NUMBER_ID)
    steps = np.diff(numbers)
    rises = (steps >= 0).all() if name.lower() in TIME_NAMES else (steps > 0).all()
    is_counter = len(numbers) >= MIN_ROWS_OF_COUNTER and rises
    return UnusableColumn(name, COUNTER) if is_counter else None


def _text_problem(name: str, values: pd.Series) -> UnusableColumn | None:
    """Return the reason why a column of text is not a feature; None if it holds only numbers."""
    first = values.iloc[0]
    if is_datetime64_any_dtype(values) or _are_dates(values):
        return UnusableColumn(name, DATES, f"{_shown(first)} in row {values.index[0]}")
    if not isinstance(first, str | float | int):
        return _invalid(values, 0)
    numbers = pd.to_numeric(values.astype(object), errors="coerce")
    text = np.flatnonzero(numbers.isna())
    if not len(text):
        return None
    if len(text) < len(values) / 2:
        return _invalid(values, text[0])
    if values.astype(str).str.fullmatch(WITH_COMMA).mean() > 0.5:
        return UnusableColumn(name, NUMBERS_WITH_COMMA, f"{_shown(first)} in row {values.index[0]}")
    count = values.nunique()
    if count == len(values):
        return UnusableColumn(name, ID, f"{_shown(first)} in row {values.index[0]}")
    return UnusableColumn(
        name, TEXT, _counts(values) if count <= MAX_LABELS else f"{count} different values"
    )


def _invalid(values: pd.Series, position: int) -> UnusableColumn:
    found = f"{_shown(values.iloc[position])} in row {values.index[position]}"
    return UnusableColumn(str(values.name), INVALID, found)


def _mostly_empty(column: pd.Series) -> UnusableColumn:
    return UnusableColumn(str(column.name), EMPTY, f"{column.isna().mean():.0%} of the cells")


def _counts(values: pd.Series) -> str:
    """Return the values and their numbers, the most frequent ones first."""
    counts = values.value_counts()
    return ", ".join(f"{_shown(value)} {count:,} times" for value, count in counts.items())


def _shown(value: Any) -> str:
    return quote(value) if isinstance(value, str) else quote(str(value))[1:-1]


def _are_dates(values: pd.Series) -> bool:
    is_text = isinstance(values.iloc[0], str | datetime.date)
    return is_text and parsed_dates(values) is not None

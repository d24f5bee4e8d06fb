"""Cells of a table as values: plain Arrow types, missing markers, numbers, truth values, dates."""

import re
import warnings
from collections import Counter
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.data.readers.numbers import MISSING_MARKERS, NumberFormat, parse_numbers
from hourglass.data.readers.user_files import is_number

Form: TypeAlias = Literal["text", "number", "boolean", "date", "empty", "other"]

# Texts that mean a missing cell. Where most cells of a text column hold one, it is a level instead.
MARKERS = (
    *MISSING_MARKERS,
    *("#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
    *("0000-00-00", "0000-00-00 00:00:00"),  # of MySQL
)
TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "ja", "j", "on"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "nein", "off"), 0.0),
}
TRUTH_PAIRS = (
    *({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"ja", "nein"}, {"j", "n"}),
    {"on", "off"},
)
ISO, TIME_OF_DAY = "ISO8601", "time of day"
# Dates as people write them, without the time; the time may follow in one of TIMES.
DATES = (
    *("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d %B %Y"),
    "%d/%b/%Y:%H:%M:%S %z",  # of web servers
)
TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
MAYBE_DATE = re.compile(r"\d{1,4}[-/. ]|\d{1,2}:\d{2}|[A-Za-z]{3} \d")
CODES = re.compile("%.")  # of strptime
SECONDS_PER_DAY = 86_400
LARGEST = float(np.finfo(np.float64).max)


def form_of(type_: pa.DataType) -> Form:
    """Return what the cells of an Arrow type are."""
    if pa.types.is_dictionary(type_):
        return form_of(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType):
        return form_of(type_.storage_type)
    is_ = pa.types
    if is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_):
        return "text"
    if is_.is_integer(type_) or is_.is_floating(type_) or is_.is_decimal(type_):
        return "number"
    if is_.is_duration(type_):
        return "number"
    if is_.is_timestamp(type_) or is_.is_date(type_) or is_.is_time(type_):
        return "date"
    if is_.is_boolean(type_):
        return "boolean"
    return "empty" if is_.is_null(type_) else "other"


def plain(array: pa.Array) -> pa.Array:
    """Return an array without dictionary or extension type; texts without spaces around them."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if form_of(array.type) == "text":
        array = pc.utf8_trim_whitespace(array.cast(pa.string()))
    return array


def is_missing(array: pa.Array, extra: tuple[str, ...] = ()) -> np.ndarray:
    """Return the mask, (N,) bool, of empty cells, NaN and MARKERS of a plain array.

    `extra` are further texts, or numbers as texts, that mean a missing cell.
    """
    form = form_of(array.type)
    if form == "text":
        # Null is in the set, so that empty cells are found as well.
        markers = pa.array([None, *MARKERS, *extra], pa.string())
        return _numpy(pc.is_in(array, value_set=markers))
    mask = _numpy(array.is_null(nan_is_null=True))
    if extra and form == "number":
        marked = [float(text) for text in extra if is_number(text)]
        mask |= np.isin(numbers(array), marked)
    return mask


def numbers(array: pa.Array, form: NumberFormat = NumberFormat()) -> np.ndarray:
    """Return the cells of a plain array as (N,) float64: NaN where a cell is not a number.

    Truth values are 1 and 0, and durations are in seconds. Infinity is the largest number. `form`
    is the format of numbers in text.
    """
    kind = form_of(array.type)
    if kind == "text":
        values = _floats(parse_numbers(array, form))
    elif kind == "boolean":
        values = _floats(array.cast(pa.uint8()))
    elif kind == "number" and pa.types.is_duration(array.type):
        values = _floats(array.cast(pa.duration("us"), safe=False).cast(pa.int64())) / 1e6
    elif kind == "number":
        values = _floats(array)
    else:
        values = np.full(len(array), np.nan)
    return np.clip(values, -LARGEST, LARGEST)


def truths(array: pa.Array, levels: tuple[str, ...] = ()) -> np.ndarray:
    """Return the cells of a plain array as (N,) float64: 0 for false, 1 for true, otherwise NaN.

    `levels` are the texts of false and of true of this column; common words, 0 and 1 are truth
    values, too.
    """
    if form_of(array.type) == "text":
        words = {**TRUTHS, **{text.lower(): float(i) for i, text in enumerate(levels)}}
        folded = pc.utf8_lower(array)
        found = _floats(pc.index_in(folded, value_set=pa.array(list(words))))
        values = np.append(list(words.values()), np.nan)[np.nan_to_num(found, nan=-1).astype(int)]
        if not np.isnan(values).any():
            return values
        values = np.where(np.isnan(values), _plain_numbers(array), values)
    else:
        values = numbers(array)
    return np.where((values == 0) | (values == 1), values, np.nan)


def dates(array: pa.Array, form: str = ISO) -> np.ndarray:
    """Return the cells of a plain array as (N,) float64 seconds since 1970 in UTC, otherwise NaN.

    A date without a zone is in UTC. A time of day is in seconds since midnight. `form` is the
    format of texts: ISO, TIME_OF_DAY, or one of `strptime`; one without a time may be followed by
    one. Texts of another form are read as ISO if possible.
    """
    kind = form_of(array.type)
    if kind == "text":
        return _text_dates(array, form)
    if kind != "date":
        return np.full(len(array), np.nan)
    if pa.types.is_time(array.type):
        return _floats(array.cast(pa.time64("us"), safe=False).cast(pa.int64())) / 1e6
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    return _floats(array.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())) / 1e6


def has_marks(text: str, form: str) -> bool:
    """Return whether a text has the marks of a format of dates, such as two slashes."""
    marks = "" if form == ISO else ":" if form == TIME_OF_DAY else CODES.sub("", form)
    return all(text.count(mark) >= count for mark, count in Counter(marks).items())


def texts(array: pa.Array) -> pa.Array:
    """Return the cells of a plain array as text; whole numbers and seconds have no decimals."""
    if form_of(array.type) == "boolean":
        return pc.if_else(array, "True", "False")
    if form_of(array.type) == "other":
        return pa.nulls(len(array), pa.string())
    if pa.types.is_decimal(array.type) or pa.types.is_float16(array.type):
        array = array.cast(pa.float64(), safe=False)
    text = array.cast(pa.string())
    is_date = form_of(array.type) == "date"
    return pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1") if is_date else text


def canonical(array: pa.Array) -> pa.Array:
    """Return texts such that equal numbers and equal truth values are the same text."""
    values = _plain_numbers(array)
    is_number = pa.array(~np.isnan(values))
    as_text = pc.cast(pa.array(values), pa.string())
    lower = pc.utf8_lower(array)
    folded = pc.if_else(pc.is_in(lower, value_set=pa.array(["true", "false"])), lower, array)
    return pc.if_else(is_number, as_text, folded)


def _plain_numbers(array: pa.Array) -> np.ndarray:
    """Return texts as (N,) float64: NaN for anything but a number without marks and units."""
    encoded = array.dictionary_encode()
    cells = encoded.dictionary.to_pandas().astype(object)
    return take_values(pd.to_numeric(cells, errors="coerce").to_numpy(np.float64), encoded)


def _text_dates(array: pa.Array, form: str) -> np.ndarray:
    encoded = array.dictionary_encode()
    unique = encoded.dictionary
    values = _unique_dates(unique, form)
    if form != ISO and np.isnan(values).any():
        values = np.where(np.isnan(values), _unique_dates(unique, ISO), values)
    return take_values(values, encoded)


def _unique_dates(unique: pa.Array, form: str) -> np.ndarray:
    if form == ISO:
        try:
            return _floats(unique.cast(pa.timestamp("us")).cast(pa.int64())) / 1e6
        except pa.ArrowInvalid:  # another precision, a zone, or no date
            return _parsed(unique.to_pandas(), ISO)
    cells = unique.to_pandas().astype(object)
    formats = list(TIMES)
    if form != TIME_OF_DAY:
        has_time = any(f"%{part}" in form for part in "HIMSTX")
        formats = [form, *([] if has_time else [f"{form} {time}" for time in TIMES])]
    values = np.full(len(cells), np.nan)
    for each in formats:
        open_ = np.isnan(values)
        if not open_.any():
            break
        values[open_] = _parsed(cells[open_], each)
    return values % SECONDS_PER_DAY if form == TIME_OF_DAY else values


def _parsed(cells: pd.Series, form: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zones and of formats that fit no cell
        found = pd.to_datetime(cells, errors="coerce", utc=True, format=form)
    micros = found.astype("datetime64[us, UTC]").astype("int64").to_numpy(np.float64)
    return np.where(found.isna(), np.nan, micros / 1e6)


def take_values(values: np.ndarray, encoded: pa.DictionaryArray) -> np.ndarray:
    """Return the values of the cells from those of the dictionary; NaN for empty cells."""
    indices = encoded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return np.append(values, np.nan)[indices]


def _floats(array: pa.Array) -> np.ndarray:
    cells = array.cast(pa.float64(), safe=False)
    return np.array(cells.to_numpy(zero_copy_only=False), np.float64)  # nulls become NaN


def _numpy(mask: pa.Array) -> np.ndarray:
    return np.array(mask.to_numpy(zero_copy_only=False), bool)

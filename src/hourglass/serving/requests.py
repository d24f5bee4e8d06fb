"""What callers send, as samples in the detector's own order and type.

A table is found by the names of its columns, in any order; others are passed over, and numbers in
quotes are numbers, as in `hourglass score`. Images are whole numbers from 0 to 255, never scaled
ones: those would be rounded to black. Everything else is refused in one sentence.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.image_chunks import as_features, as_images, pieces
from hourglass.data.readers.user_files import suggest_names
from hourglass.detection.detector import Detector

Columns: TypeAlias = Mapping[str, Sequence[Any]]  # of a table, by name
Content: TypeAlias = Columns | list[Any] | np.ndarray

BYTES = 64 << 20  # of a request, at most: beyond, its caller had better wait for several
FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
SHOWN = 40  # characters of a value that is refused
REQUEST = Path("the request")  # in sentences, where others have a file
EMPTY = "the request holds no samples; send at least one."
# What damaged content makes json, numpy and Arrow raise.
UNREADABLE = (
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, OSError, EOFError),
    *(RuntimeError, pa.ArrowException),
)


class Unsupported(UserError):
    """Say that a request is of a kind that is not read."""


class TooLarge(UserError):
    """Say that a request has more bytes than are read."""


def samples(body: bytes, kind: str, detector: Detector) -> np.ndarray:
    """Return the samples of a request's body, (N, *S); `kind` is its media type.

    Raises a UserError: TooLarge, Unsupported, or another where it holds no samples of this detector.
    """
    if len(body) > BYTES:
        raise TooLarge(
            f"the request has {len(body):,} bytes, but at most {BYTES:,} are read; send fewer "
            "samples at once."
        )
    if kind not in READERS:
        raise Unsupported(
            f"the request is of type {kind or 'none'}; send one of {', '.join(READERS)}."
        )
    try:
        content = READERS[kind](body)
    except UNREADABLE as error:
        raise UserError(
            f"the request cannot be read as {kind} ({one_line(error)}); correct it and send it "
            "again."
        ) from None
    return of_object(content, detector)


def of_object(content: Any, detector: Detector) -> np.ndarray:
    """Return the samples of a table, rows or an array, (N, *S): float32 features or uint8 images.

    Raises a UserError where they do not fit the detector.
    """
    names = detector.feature_names
    table = hasattr(content, "keys")
    if table and not names:
        raise UserError(
            "the request is a table, but this detector takes images; send them as an array."
        )
    if not len(content):
        raise UserError(EMPTY)
    if not names:
        return _images(content, detector)
    if isinstance(content, np.ndarray):
        with np.errstate(over="ignore"):  # to infinity, which is refused
            return _complete(as_features(content, REQUEST, detector), names)
    return _complete(_features(content if table else _rows(content, names), names), names)


def _rows(rows: list[Any], names: list[str]) -> Columns:
    """Return the columns of rows whose values are in the order of the names."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != len(names):
            found = f"{len(row)} values" if isinstance(row, list) else repr(row)[:SHOWN]
            raise UserError(
                f"row {number} of the request holds {found} for {len(names)} columns; send one in "
                "each."
            )
    return _named(names, zip(*rows, strict=True))


def _named(names: Iterable[str], columns: Iterable[Sequence[Any]]) -> Columns:
    """Return columns by name; of two that share a name it is unclear which one counts."""
    found: dict[str, Sequence[Any]] = {}
    for name, column in zip(names, columns, strict=True):
        if name in found:
            raise UserError(f"the request has two columns named {name!r}; rename one of them.")
        found[name] = column
    return found


def _features(columns: Columns, names: list[str]) -> np.ndarray:
    """Return the features of a table, (N, F) float64, empty ones as NaN."""
    found = [str(name) for name in columns]
    for name in names:
        if name not in found:
            raise UserError(
                f"the request has no column {name!r}: {suggest_names(name, found)}; the detector "
                "needs every feature that it was trained on, in any order."
            )
    read = [_numbers(name, columns[name]) for name in names]
    if len({len(each) for each in read}) > 1:
        raise UserError("the request's columns are not equally long; send a value a row in each.")
    return np.stack(read, 1)


def _numbers(name: str, values: Sequence[Any]) -> np.ndarray:
    """Return a column in double precision, (N,); an empty value is NaN."""
    try:
        found = np.asarray(values, np.float64)
    except (ValueError, TypeError, OverflowError):
        row, value = next(each for each in enumerate(values, 1) if not _is_number(each[1]))
        raise UserError(
            f"{name!r} of the request holds {repr(value)[:SHOWN]} in row {row}, which is no number;"
            " mend it."
        ) from None
    if found.ndim != 1:
        raise UserError(f"{name!r} of the request is no list of numbers; send a value a row.")
    return found


def _is_number(value: Any) -> bool:
    try:
        return np.asarray(value, np.float64).ndim == 0
    except (ValueError, TypeError, OverflowError):
        return False


def _complete(x: np.ndarray, names: list[str]) -> np.ndarray:
    """Return rows (N, F) as float32; raise a UserError where there is none, or one is not finite."""
    if not len(x):
        raise UserError(EMPTY)
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    bad = np.argwhere(~np.isfinite(narrow))
    if len(bad):
        row, place = bad[0]
        raise UserError(
            f"{names[place]!r} of the request is empty or not finite in row {row + 1}; mend it, or "
            "leave that row out."
        )
    return narrow


def _images(content: Any, detector: Detector) -> np.ndarray:
    """Return images (N, C, H, W) of uint8; fractions are refused, not cut off."""
    try:
        x = np.asarray(content)
    except ValueError:
        raise UserError("the request's images are not of one size; send equal ones.") from None
    if x.size and x.dtype.kind in "iuf":
        if x.dtype.kind == "f" or x.min() < 0 or x.max() > 255:
            raise UserError(
                f"the request's pixels are {x.dtype} from {x.min():g} to {x.max():g}; send whole "
                "numbers from 0 to 255, not scaled."
            )
        x = x.astype(np.uint8, copy=False)
    return as_images(x, REQUEST, detector, lambda shape: shape == detector.sample_shape)


def _json(body: bytes) -> Content:
    """Return what one of MLflow's four JSON formats holds."""
    given = orjson.loads(body)  # which is faster than json, and takes no NaN
    if not isinstance(given, dict):
        raise ValueError("it is no JSON object")
    keys = [key for key in given if key != "params"]
    if len(keys) != 1 or keys[0] not in FORMATS or given.get("params"):
        named = ", ".join(map(repr, given)) or "nothing"
        raise ValueError(f"it holds {named}, not one of {', '.join(FORMATS)}")
    content = given[keys[0]]
    if keys[0] == "dataframe_split":
        return _split(content)
    if not isinstance(content, list | dict):
        raise ValueError(f"{keys[0]} is neither a list nor an object")
    if isinstance(content, dict) or not content or not isinstance(content[0], dict):
        return content
    return _records(content)


def _split(content: Any) -> Columns:
    """Return the columns of a table that is sent as names and rows."""
    if not isinstance(content, dict) or {"columns", "data"} - content.keys():
        raise ValueError("dataframe_split is no object with columns and data")
    names, rows = content["columns"], content["data"]
    return _rows(rows, names) if rows else {}


def _records(rows: list[dict[str, Any]]) -> Columns:
    """Return the columns of a table that is sent as an object a row."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _csv(body: bytes) -> Columns:
    """Return the columns of a CSV file; as in training, only an empty cell is a missing value."""
    from pyarrow import csv

    convert = csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    table = csv.read_csv(pa.BufferReader(body), convert_options=convert)
    return _named(table.column_names, (column.to_pylist() for column in table.columns))


def _parquet(body: bytes) -> Columns:
    from pyarrow import parquet

    table = parquet.read_table(pa.BufferReader(body))
    return _named(table.column_names, (column.to_pylist() for column in table.columns))


def _npy(body: bytes) -> np.ndarray:
    """Return an array as numpy.save writes it: images take an eighth of the time of JSON."""
    return np.concatenate(list(pieces(io.BytesIO(body))))


READERS: dict[str, Callable[[bytes], Content]] = {
    "application/json": _json,
    "text/csv": _csv,
    "application/vnd.apache.parquet": _parquet,
    "application/x-npy": _npy,
}

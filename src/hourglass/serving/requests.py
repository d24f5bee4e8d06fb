"""Parse request bodies into samples with the feature order and type of a detector.

The columns of a table are matched by name, in any order, as in `hourglass score`. Other columns are
ignored, and numbers in quotes count as numbers. Pixels are integers from 0 to 255, because scaled
pixels would round to black. Any other input raises a UserError with a message of one sentence.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.image_chunks import as_features, as_images, npy_chunks
from hourglass.data.readers.user_files import suggest_names
from hourglass.detection.detector import Detector

Columns: TypeAlias = Mapping[str, Sequence[Any]]  # name -> values of one column of a table
Content: TypeAlias = Columns | list[Any] | np.ndarray

MAX_REQUEST_BYTES = 64 << 20  # 64 MiB
JSON_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
QUOTED_CHARACTERS = 40  # maximum length of a rejected value in a message
REQUEST = Path("the request")  # replaces the file name in messages of the file readers
NO_SAMPLES = "the request holds no samples; send at least one."


class UnsupportedMediaTypeError(UserError):
    """No reader exists for the media type of a request."""


class RequestTooLargeError(UserError):
    """A request has, or declares, more bytes than the server reads."""


def parse_request(body: bytes, media_type: str, detector: Detector) -> np.ndarray:
    """Return the samples of a request body, (N, *S).

    Raises RequestTooLargeError, UnsupportedMediaTypeError, or a plain UserError if the body does
    not hold samples for this detector.
    """
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestTooLargeError(
            f"the request has {len(body):,} bytes, but at most {MAX_REQUEST_BYTES:,} are read; "
            "send fewer samples per request."
        )
    if media_type not in READERS:
        raise UnsupportedMediaTypeError(
            f"the request is of type {media_type or 'none'}; send one of {', '.join(READERS)}."
        )
    try:
        content = READERS[media_type](body)
    except UserError:
        raise
    # The parsers raise about a dozen types of exceptions for malformed bytes.
    except Exception as error:
        raise UserError(
            f"the request cannot be read as {media_type} ({one_line(error)}); correct it and send "
            "it again."
        ) from None
    return to_samples(content, detector)


def to_samples(content: Any, detector: Detector) -> np.ndarray:
    """Convert a table, a list of rows or an array to samples, (N, *S).

    Features are float32, images uint8. Raises a UserError if the content does not fit the detector.
    """
    names = detector.feature_names
    is_table = hasattr(content, "keys")
    if is_table and not names:
        raise UserError(
            "the request is a table, but this detector takes images; send them as an array."
        )
    if not len(content):
        raise UserError(NO_SAMPLES)
    if not names:
        return _images(content, detector)
    if isinstance(content, np.ndarray):
        with np.errstate(over="ignore"):  # _finite_rows rejects infinity
            return _finite_rows(as_features(content, REQUEST, detector), names)
    if not is_table:
        read_rows = _records if isinstance(content[0], dict) else _rows
        content = read_rows(content, names)
    return _finite_rows(_features(content, names), names)


def _rows(rows: list[Any], names: list[str]) -> Columns:
    """Convert rows, with values in the order of `names`, to columns."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != len(names):
            content = f"{len(row)} values" if isinstance(row, list) else _quote(row)
            raise UserError(
                f"row {number} of the request holds {content} for {len(names)} columns; send one "
                "value per column."
            )
    return _by_name(names, zip(*rows, strict=True))


def _records(rows: list[Any], names: list[str]) -> Columns:
    """Convert rows, sent as one object per row, to columns.

    Columns outside `names` stay empty, because every object may have other keys, and full columns
    could exhaust memory.
    """
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(
                f"row {number} of the request holds {_quote(row)}; send one object per row."
            )
    wanted, present = set(names), dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] if name in wanted else () for name in present}


def _by_name(names: Iterable[Any], columns: Iterable[Sequence[Any]]) -> Columns:
    """Return columns by name; raise a UserError if a name occurs twice."""
    by_name: dict[str, Sequence[Any]] = {}
    for name, column in zip(map(str, names), columns, strict=True):
        if name in by_name:
            raise UserError(f"the request has two columns named {name!r}; rename one of them.")
        by_name[name] = column
    return by_name


def _features(columns: Mapping[Any, Sequence[Any]], names: list[str]) -> np.ndarray:
    """Return the features of a table, (N, F) float64; an empty value is NaN."""
    keys = {str(key): key for key in columns.keys()}  # noqa: SIM118  (a DataFrame is no Mapping)
    for name in names:
        if name not in keys:
            raise UserError(
                f"the request has no column {name!r}: {suggest_names(name, keys)}; the detector "
                "needs every feature that it was trained on, in any order."
            )
    features = [_numbers(name, columns[keys[name]]) for name in names]
    if len({len(column) for column in features}) > 1:
        raise UserError(
            "the columns of the request differ in length; send one value per row in each."
        )
    return np.stack(features, 1)


def _numbers(name: str, values: Any) -> np.ndarray:
    """Return a column in double precision, (N,); an empty value is NaN."""
    if isinstance(values, pa.ChunkedArray):
        values = values.to_pylist()
    if not isinstance(values, str | bytes | Mapping):
        try:
            numbers = np.asarray(values, np.float64)
            if numbers.ndim == 1:
                return numbers
        except (ValueError, TypeError, OverflowError):
            for row, value in enumerate(values, 1):
                if not _is_number(value):
                    raise UserError(
                        f"{name!r} of the request holds {_quote(value)} in row {row}, which is not "
                        "a number; correct that value."
                    ) from None
    raise UserError(f"{name!r} of the request is not a list of numbers; send one value per row.")


def _is_number(value: Any) -> bool:
    try:
        return np.asarray(value, np.float64).ndim == 0
    except (ValueError, TypeError, OverflowError):
        return False


def _quote(value: Any) -> str:
    """Return a rejected value for a message, cut to QUOTED_CHARACTERS."""
    return repr(value)[:QUOTED_CHARACTERS].replace(". ", " ")


def _finite_rows(x: np.ndarray, names: list[str]) -> np.ndarray:
    """Return features, (N, F), as float32.

    Raises a UserError if there are no rows, or if a value is not finite.
    """
    if not len(x):
        raise UserError(NO_SAMPLES)
    with np.errstate(over="ignore"):
        narrow = x.astype(np.float32)
    not_finite = np.argwhere(~np.isfinite(narrow))
    if len(not_finite):
        row, column = not_finite[0]
        raise UserError(
            f"{names[column]!r} of the request is empty or not finite in row {row + 1}; correct "
            "it, or leave that row out."
        )
    return narrow


def _images(content: Any, detector: Detector) -> np.ndarray:
    """Return images, (N, C, H, W) uint8.

    Raises a UserError for pixels of a floating-point type, instead of rounding them.
    """
    try:
        x = np.asarray(content)
    except ValueError:
        raise UserError("the images of the request differ in size; send equal ones.") from None
    if x.size and x.dtype.kind in "iuf":
        if x.dtype.kind == "f" or x.min() < 0 or x.max() > 255:
            raise UserError(
                f"the pixels of the request are {x.dtype} from {x.min():g} to {x.max():g}; send "
                "whole numbers from 0 to 255, not scaled."
            )
        x = x.astype(np.uint8, copy=False)
    return as_images(x, REQUEST, detector, lambda shape: shape == detector.sample_shape)


def _json(body: bytes) -> Content:
    """Parse one of the four JSON formats of MLflow."""
    request = orjson.loads(body)  # faster than json, and rejects NaN
    if not isinstance(request, dict):
        raise ValueError("it is not a JSON object")
    keys = [key for key in request if key != "params"]
    if len(keys) != 1 or keys[0] not in JSON_FORMATS or request.get("params"):
        present = ", ".join(map(repr, request)) or "nothing"
        raise ValueError(f"it holds {present}, not one of {', '.join(JSON_FORMATS)}")
    content = request[keys[0]]
    if keys[0] == "dataframe_split":
        if not isinstance(content, dict) or {"columns", "data"} - content.keys():
            raise ValueError("dataframe_split is not an object with columns and data")
        return _rows(content["data"], content["columns"]) if content["data"] else {}
    if not isinstance(content, list | dict):
        raise ValueError(f"{keys[0]} is neither a list nor an object")
    return content


def _csv(body: bytes) -> Columns:
    """Parse CSV into columns; as in training, only an empty field is a missing value."""
    from pyarrow import csv

    convert = csv.ConvertOptions(null_values=[""], strings_can_be_null=True)
    table = csv.read_csv(pa.BufferReader(body), convert_options=convert)
    return _by_name(table.column_names, table.columns)


def _parquet(body: bytes) -> Columns:
    """Parse Parquet into columns.

    The declared size of the table is checked first, because compression hides it.
    """
    from pyarrow import parquet

    file = parquet.ParquetFile(pa.BufferReader(body))
    declared = file.metadata.num_rows * max(1, file.metadata.num_columns) * 8
    if declared > MAX_REQUEST_BYTES:
        raise RequestTooLargeError(
            f"the request declares {file.metadata.num_rows:,} rows of "
            f"{file.metadata.num_columns:,} columns, more than {MAX_REQUEST_BYTES:,} bytes; send "
            "fewer samples per request."
        )
    return _by_name(file.schema_arrow.names, file.read().columns)


def _npy(body: bytes) -> np.ndarray:
    """Parse an array in the npy format; for images, it takes an eighth of the time of JSON."""
    return np.concatenate(list(npy_chunks(io.BytesIO(body))))


READERS: dict[str, Callable[[bytes], Content]] = {
    "application/json": _json,
    "text/csv": _csv,
    "application/vnd.apache.parquet": _parquet,
    "application/x-npy": _npy,
}

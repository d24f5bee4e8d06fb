"""Parse request bodies into samples with the feature order and type of a detector.

The columns of a table are matched by name, in any order, as in `hourglass score`. Other columns are
ignored, and numbers in quotes count as numbers. Pixels are integers from 0 to 255, because scaled
pixels would round to black. Any other input raises a UserError with a message of one sentence.
"""

import csv
import io
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import orjson
import pyarrow as pa

from hourglass.core.errors import UserError, one_line
from hourglass.data.readers.image_chunks import as_features, as_images, npy_chunks
from hourglass.data.readers.user_files import quote, suggest_names
from hourglass.detection.detector import Detector

Columns: TypeAlias = Mapping[str, Sequence[Any]]  # name -> values of one column of a table
Content: TypeAlias = Columns | list[Any] | np.ndarray

JSON_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
MAX_KEYS_SHOWN = 5  # of a JSON object in a message
MAX_IMAGE_AXES = 4  # (N, C, H, W)
ROWS_VARIABLE = "HOURGLASS_MAX_REQUEST_ROWS"
BYTES_VARIABLE = "HOURGLASS_MAX_REQUEST_BYTES"
REQUEST = Path("the request")  # replaces the file name in messages of the file readers
NO_SAMPLES = "the request holds no samples; send at least one."
TAKES_IMAGES = "the request is a table, but this detector takes images; send them as an array."


class UnsupportedMediaTypeError(UserError):
    """No reader exists for the media type of a request."""


class RequestTooLargeError(UserError):
    """A request has, or declares, more bytes or rows than the limits allow."""


@dataclass(frozen=True)
class Limits:
    """The maximum size of a request."""

    rows: int = 100_000
    bytes: int = 16 << 20  # also of a table that a compressed request declares

    @classmethod
    def from_environment(cls, is_server: bool) -> "Limits":
        """Read HOURGLASS_MAX_REQUEST_ROWS and HOURGLASS_MAX_REQUEST_BYTES.

        Outside a scoring server the default number of rows is unlimited, because the caller already
        holds the samples in memory.
        """
        rows = cls.rows if is_server else sys.maxsize
        return cls(_positive(ROWS_VARIABLE, rows), _positive(BYTES_VARIABLE, cls.bytes))

    def check_rows(self, count: int) -> None:
        """Raise RequestTooLargeError if a request has more rows."""
        if count > self.rows:
            raise RequestTooLargeError(
                f"the request has {count:,} rows, but at most {self.rows:,} are scored; send fewer "
                f"per request, or set {ROWS_VARIABLE} on the server."
            )

    def check_bytes(self, count: int, verb: str = "has") -> None:
        """Raise RequestTooLargeError if a request has more bytes."""
        if count > self.bytes:
            raise RequestTooLargeError(
                f"the request {verb} {count:,} bytes, but at most {self.bytes:,} are read; send "
                f"fewer samples per request, or set {BYTES_VARIABLE} on the server."
            )


def _positive(variable: str, default: int) -> int:
    text = os.environ.get(variable)
    if text is None:
        return default
    if not re.fullmatch("[1-9][0-9]{0,17}", text):
        raise UserError(f"{variable} is {quote(text)}; give a whole number above 0.")
    return int(text)


def parse_request(
    body: bytes, media_type: str, detector: Detector, limits: Limits = Limits()
) -> np.ndarray:
    """Return the samples of a request body, (N, *S).

    Raises RequestTooLargeError, UnsupportedMediaTypeError, or a plain UserError if the body does
    not hold samples for this detector.
    """
    limits.check_bytes(len(body))
    if media_type not in READERS:
        raise UnsupportedMediaTypeError(
            f"the request is of type {quote(media_type)}; send one of {', '.join(READERS)}."
        )
    if body.startswith(b"\x1f\x8b"):
        raise UnsupportedMediaTypeError("the request is compressed by gzip; send it uncompressed.")
    try:
        content = READERS[media_type](body, detector, limits)
    except UserError:
        raise
    # The parsers raise about a dozen types of exceptions for malformed bytes.
    except Exception as error:
        raise UserError(
            f"the request cannot be read as {media_type} ({one_line(error)}); correct it and send "
            "it again."
        ) from None
    return to_samples(content, detector, limits)


def to_samples(content: Any, detector: Detector, limits: Limits) -> np.ndarray:
    """Convert a table, a list of rows or an array to samples, (N, *S).

    Features are float32, images uint8. Raises a UserError if the content does not fit the detector
    or has too many rows.
    """
    names = detector.feature_names
    is_table = hasattr(content, "keys")
    if is_table and not names:
        raise UserError(TAKES_IMAGES)
    if not len(content):
        raise UserError(NO_SAMPLES)
    if not is_table:
        limits.check_rows(len(content))
    if not names:
        return _images(content, detector)
    if isinstance(content, np.ndarray):
        with np.errstate(over="ignore"):  # _finite_rows rejects infinity
            return _finite_rows(as_features(content, REQUEST, detector), names)
    if not is_table:
        read_rows = _records if isinstance(content[0], dict) else _rows
        content = read_rows(content, names)
    return _finite_rows(_features(content, names, limits), names)


def _rows(rows: list[Any], names: list[str]) -> Columns:
    """Convert rows, with values in the order of `names`, to columns."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list):
            raise UserError(
                f"row {number} of the request is {quote(row)}; send a list of rows, each a list of "
                f"{len(names)} values or an object."
            )
        if len(row) != len(names):
            raise UserError(
                f"row {number} of the request holds {len(row)} values for {len(names)} columns; "
                "send one value per column."
            )
    return _by_name(names, zip(*rows, strict=True))


def _records(rows: list[Any], names: list[str]) -> Columns:
    """Convert rows, sent as one object per row, to columns.

    The first missing key ends the conversion, so that the columns never take more memory than the
    objects.
    """
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(
                f"row {number} of the request holds {quote(row)}; send one object per row."
            )
    columns = {}
    for name in names:
        try:
            columns[name] = [row[name] for row in rows]
        except KeyError:
            number, row = next((n, row) for n, row in enumerate(rows, 1) if name not in row)
            raise _missing(f"row {number} of the request", name, row) from None
    return columns


def _by_name(names: Iterable[Any], columns: Iterable[Sequence[Any]]) -> Columns:
    """Return columns by name; raise a UserError if a name occurs twice."""
    by_name: dict[str, Sequence[Any]] = {}
    for name, column in zip(map(str, names), columns, strict=True):
        if name in by_name:
            raise UserError(f"the request has two columns named {quote(name)}; rename one of them.")
        by_name[name] = column
    return by_name


def _require_columns(names: list[str], present: Sequence[str]) -> None:
    """Raise a UserError if a feature is absent or occurs twice."""
    unique = set(present)
    for name in names:
        if name not in unique:
            raise _missing("the request", name, unique)
        if len(unique) < len(present) and present.count(name) > 1:
            raise UserError(f"the request has two columns named {name!r}; rename one of them.")


def _missing(where: str, name: str, present: Collection[str]) -> UserError:
    return UserError(
        f"{where} has no column {name!r}: {suggest_names(name, present)}; the detector needs every "
        "feature that it was trained on, in any order."
    )


def _features(columns: Mapping[Any, Sequence[Any]], names: list[str], limits: Limits) -> np.ndarray:
    """Return the features of a table, (N, F) float64; an empty value is NaN."""
    keys = {str(key): key for key in columns.keys()}  # noqa: SIM118  (a DataFrame is no Mapping)
    _require_columns(names, list(keys))
    wanted = {name: columns[keys[name]] for name in names}
    limits.check_rows(max(len(c) if hasattr(c, "__len__") else 1 for c in wanted.values()))
    features = [_numbers(name, column) for name, column in wanted.items()]
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
                        f"{name!r} of the request holds {quote(value)} in row {row}, which is not "
                        "a number; correct that value."
                    ) from None
    raise UserError(f"{name!r} of the request is not a list of numbers; send one value per row.")


def _is_number(value: Any) -> bool:
    try:
        return np.asarray(value, np.float64).ndim == 0
    except (ValueError, TypeError, OverflowError):
        return False


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
    x = _pixels(content) if isinstance(content, list) else np.asarray(content)
    if x.size and x.dtype.kind in "iuf":
        if x.dtype.kind == "f" or x.min() < 0 or x.max() > 255:
            raise _not_pixels(f"{x.dtype} from {x.min():g} to {x.max():g}")
        x = x.astype(np.uint8, copy=False)
    return as_images(x, REQUEST, detector, lambda shape: shape == detector.sample_shape)


def _pixels(images: list[Any]) -> np.ndarray:
    """Convert nested lists to an array of uint8.

    NumPy would convert text, too, and give every pixel the memory of the longest text.
    """
    shape, values = [len(images)], images
    while values and isinstance(values[0], list) and len(shape) < MAX_IMAGE_AXES:
        length = len(values[0])
        if not all(isinstance(value, list) and len(value) == length for value in values):
            raise UserError("the images of the request differ in size; send equal ones.")
        shape.append(length)
        values = list(chain.from_iterable(values))
    try:
        if bool not in map(type, values[:1]):  # a mask would be almost black
            return np.frombuffer(bytes(values), np.uint8).reshape(shape)
    except (TypeError, ValueError):  # bytes() takes integers from 0 to 255 only
        values = [value for value in values if type(value) is not int or not 0 <= value < 256]
    raise _not_pixels(quote(values[0]))


def _not_pixels(content: str) -> UserError:
    return UserError(
        f"the pixels of the request are {content}; send whole numbers from 0 to 255, not scaled."
    )


def _json(body: bytes, detector: Detector, limits: Limits) -> Content:
    """Parse one of the four JSON formats of MLflow."""
    request = orjson.loads(body)  # faster than json, and rejects NaN
    if not isinstance(request, dict):
        raise ValueError("it is not a JSON object")
    if request.pop("params", None):
        raise UserError("the request has params, but a detector takes none; leave them out.")
    if len(request) != 1 or not request.keys() <= {*JSON_FORMATS}:
        present = ", ".join(map(quote, islice(request, MAX_KEYS_SHOWN))) or "nothing"
        raise ValueError(f"it holds {present}, not one of {', '.join(JSON_FORMATS)}")
    ((form, content),) = request.items()
    if form == "dataframe_split":
        if not isinstance(content, dict) or {"columns", "data"} - content.keys():
            raise ValueError("dataframe_split is not an object with columns and data")
        limits.check_rows(len(content["data"]))
        return _rows(content["data"], content["columns"]) if content["data"] else {}
    if not isinstance(content, list | dict):
        raise ValueError(f"{form} is neither a list nor an object")
    return content


def _csv(body: bytes, detector: Detector, limits: Limits) -> Columns:
    """Parse the features of a CSV table; as in training, only an empty field is a missing value.

    Rows and columns are counted first, because a row or a column takes many times its bytes.
    """
    from pyarrow import csv as arrow_csv

    limits.check_rows(max(body.count(b"\n"), body.count(b"\r")) - 1)
    header = re.split(rb"[\r\n]", body.lstrip(b"\r\n"), maxsplit=1)[0]
    present = next(csv.reader([header.decode("utf-8-sig")]), [])
    if not present:
        raise ValueError("it is empty")
    names = detector.feature_names
    if not names:
        raise UserError(TAKES_IMAGES)
    _require_columns(names, present)
    table = arrow_csv.read_csv(
        pa.BufferReader(body),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(body) + 1),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=names, null_values=[""], strings_can_be_null=True
        ),
    )
    return dict(zip(names, table.columns, strict=True))


def _parquet(body: bytes, detector: Detector, limits: Limits) -> Columns:
    """Parse the features of a Parquet table.

    Its declared types and size are checked first, because compression hides the size. Text has no
    declared size.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(pa.BufferReader(body)) as file:
        schema, metadata, names = file.schema_arrow, file.metadata, detector.feature_names
        if not names:
            raise UserError(TAKES_IMAGES)
        limits.check_rows(metadata.num_rows)
        _require_columns(names, schema.names)
        for name in names:
            if not _is_numeric(schema.field(name).type):
                raise UserError(
                    f"{name!r} of the request has the type {quote(str(schema.field(name).type))}; "
                    "store numbers as a numeric type of Parquet."
                )
        # Not `column(i)` of a row group: for a damaged file, it ends the process.
        groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
        stored = sum(group.total_byte_size for group in groups)
        limits.check_bytes(max(metadata.num_rows * len(names) * 8, stored), "declares")
        table = file.read(columns=names, use_threads=False)
    return {name: table[name] for name in names}


def _is_numeric(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(check(type_) for check in (*checks, pa.types.is_boolean, pa.types.is_null))


def _npy(body: bytes, detector: Detector, limits: Limits) -> np.ndarray:
    """Parse an array in the npy format; for images, it takes an eighth of the time of JSON."""
    return np.concatenate(list(npy_chunks(io.BytesIO(body), lambda x: limits.check_rows(len(x)))))


READERS: dict[str, Callable[[bytes, Detector, Limits], Content]] = {
    "application/json": _json,
    "text/csv": _csv,
    "application/vnd.apache.parquet": _parquet,
    "application/x-npy": _npy,
}

"""Convert the content of a request to samples with the feature order and type of a detector.

The columns of a table are matched by name, in any order, and read by the code that reads files, as
in `hourglass score`. Other columns are ignored. Images are encoded, see `request_images`, or arrays
of pixels. Those of a detector of 8 bits are integers from 0 to 255, because scaled pixels would
round to black. Any other content raises a UserError with a message of one sentence.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, quote
from hourglass.data.columns.arrow_cells import form_of
from hourglass.data.columns.codes import codes, present_columns
from hourglass.data.frames import cells_of_series
from hourglass.data.readers.chunks import Chunk
from hourglass.data.readers.image_chunks import as_images, check_features
from hourglass.data.readers.numbers import NumberFormat
from hourglass.data.readers.table_chunks import array_chunk
from hourglass.detection.detector import Detector
from hourglass.serving.request_images import decode_images, encoded_images
from hourglass.serving.request_limits import Limits

Columns: TypeAlias = Mapping[str, Sequence[Any]]  # name -> values of one column of a table

MAX_IMAGE_AXES = 4  # (N, C, H, W)
REQUEST = Path("the request")  # replaces the file name in messages of the file readers
NO_SAMPLES = "the request holds no samples; send at least one."


def to_samples(
    content: Any, detector: Detector, limits: Limits, numbers: NumberFormat = NumberFormat()
) -> Chunk:
    """Convert a table, a list of rows or an array to samples, (N, *S).

    `numbers` is the format of numbers in text. Raises a UserError if the content does not fit the
    detector or has too many rows.
    """
    if not len(content):
        raise UserError(NO_SAMPLES)
    if not detector.columns:
        encoded = encoded_images(content)
        if encoded is not None:
            limits.check_rows(len(encoded))
            return _image_chunk(decode_images(encoded, detector, limits))
    if hasattr(content, "keys"):
        return _table(content, detector, limits, numbers)
    limits.check_rows(len(content))
    if not detector.columns:
        return _image_chunk(_images(content, detector, limits))
    if isinstance(content, np.ndarray):
        check_features(content, REQUEST, detector)
        ids = _row_numbers(len(content))
        return array_chunk(content, ids, detector.columns, REQUEST, "use")
    if isinstance(content[0], dict):
        return _table(_records(content, detector), detector, limits, numbers)
    return _table(rows_to_columns(content, detector.feature_names), detector, limits, numbers)


def require_features(detector: Detector, present: Iterable[str]) -> list[str]:
    """Return the names of the features that are present.

    Raises a UserError if the detector takes images, if a feature that is not optional is absent,
    or if one occurs twice.
    """
    if not detector.columns:
        raise UserError(
            "the request is a table, but this detector takes images; send them as an array."
        )
    return [c.name for c in present_columns(list(present), detector.columns, REQUEST)]


def rows_to_columns(rows: list[Any], names: Sequence[str]) -> Columns:
    """Convert rows, with values in the order of `names`, to columns."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list):
            raise UserError(
                f"row {number} of the request is {quote(row)}; send a list of rows, each a list of "
                f"{counted(len(names), 'value')} or an object."
            )
        if len(row) != len(names):
            raise UserError(
                f"row {number} of the request holds {counted(len(row), 'value')} for "
                f"{counted(len(names), 'column')}; "
                "send one value per column."
            )
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _records(rows: list[Any], detector: Detector) -> Columns:
    """Convert rows, sent as one object per row, to columns.

    The first missing key ends the conversion, so the columns take no more memory than the objects.
    """
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise UserError(
                f"row {number} of the request holds {quote(row)}; send one object per row."
            )
    columns = {}
    for column in detector.columns:
        name = column.name
        if column.optional:
            columns[name] = [row.get(name) for row in rows]
            continue
        try:
            columns[name] = [row[name] for row in rows]
        except KeyError:
            number, row = next((n, row) for n, row in enumerate(rows, 1) if name not in row)
            present_columns(list(map(str, row)), detector.columns, f"row {number} of the request")
            raise
    return columns


def _table(
    columns: Mapping[Any, Any], detector: Detector, limits: Limits, numbers: NumberFormat
) -> Chunk:
    """Return the rows of a table; a row without any value gets no score."""
    keys = list(columns.keys())  # a DataFrame is no Mapping
    names = require_features(detector, map(str, keys))
    by_name = {str(key): key for key in keys}
    wanted = {name: columns[by_name[name]] for name in names}
    limits.check_rows(max(len(c) if hasattr(c, "__len__") else 1 for c in wanted.values()))
    arrays = [_cells(name, column) for name, column in wanted.items()]
    if len({len(array) for array in arrays}) > 1:
        raise UserError(
            "the columns of the request differ in length; send one value per row in each."
        )
    if not len(arrays[0]):
        raise UserError(NO_SAMPLES)
    cells = pa.RecordBatch.from_arrays(arrays, names)
    x = codes(cells, detector.columns, REQUEST, number_format=numbers)
    return Chunk(_row_numbers(len(x)), x, ~np.isnan(x).all(1), cells)


def _cells(name: str, values: Any) -> pa.Array:
    """Return a column; values of different types become text."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
        raise UserError(f"{name!r} of the request is not a list; send one value per row.")
    if hasattr(values, "dtype"):  # of pandas or NumPy
        import pandas as pd

        return cells_of_series(pd.Series(values))
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError):
        _require_scalars(name, values)
        array = pa.array([None if v is None else str(v) for v in values], pa.string())
    if form_of(array.type) == "other":
        _require_scalars(name, values)
    return array


def _require_scalars(name: str, values: Iterable[Any]) -> None:
    for row, value in enumerate(values, 1):
        if not isinstance(value, str | int | float | None):
            raise UserError(
                f"{name!r} of the request holds {quote(value)} in row {row}, which is not a value "
                "of a cell; send a number, text, true, false or null."
            )


def _row_numbers(count: int) -> pa.Array:
    return pa.array(np.arange(1, count + 1))


def _image_chunk(x: np.ndarray) -> Chunk:
    return Chunk(_row_numbers(len(x)), x, np.ones(len(x), bool))


def _images(content: Any, detector: Detector, limits: Limits) -> np.ndarray:
    """Return images, (N, C, H, W), of an array or nested lists, in the type of the detector.

    Raises a UserError for scaled pixels where bytes are needed, instead of rounding them.
    """
    form = detector.image_format
    x = _pixels(content, form.dtype) if isinstance(content, list) else np.asarray(content)
    if form.geometry.size is not None:  # to which small images may be scaled
        limits.check_pixels(len(x) * math.prod(form.geometry.size))
    if form.dtype == np.uint8 and x.size and x.dtype.kind in "iuf":
        if x.dtype.kind == "f" or x.min() < 0 or x.max() > 255:
            raise _not_pixels(f"{x.dtype} from {x.min():g} to {x.max():g}")
        x = x.astype(np.uint8, copy=False)
    return as_images(x, REQUEST, detector, detector.accepts)


def _pixels(images: list[Any], dtype: np.dtype) -> np.ndarray:
    """Convert nested lists to an array of a detector's type.

    NumPy would also convert text, and give every pixel the memory of the longest text.
    """
    shape, values = [len(images)], images
    while values and isinstance(values[0], list) and len(shape) < MAX_IMAGE_AXES:
        length = len(values[0])
        if not all(isinstance(value, list) and len(value) == length for value in values):
            raise UserError("the images of the request differ in size; send equal ones.")
        shape.append(length)
        values = list(chain.from_iterable(values))
    if dtype != np.uint8:
        return _deep_pixels(values, dtype).reshape(shape)
    try:
        if bool not in map(type, values[:1]):  # bytes() would read a mask as zeros and ones
            return np.frombuffer(bytes(values), np.uint8).reshape(shape)
    except (TypeError, ValueError):  # a value is not an integer from 0 to 255
        values = [value for value in values if type(value) is not int or not 0 <= value < 256]
    raise _not_pixels(quote(values[0]))


def _deep_pixels(values: list[Any], dtype: np.dtype) -> np.ndarray:
    """Return the pixels of a list in a type of more than 8 bits, (n,)."""
    allowed = (int,) if dtype.kind == "u" else (int, float)
    highest = np.iinfo(dtype).max if dtype.kind == "u" else float(np.finfo(dtype).max)
    lowest = 0 if dtype.kind == "u" else -highest
    for value in values:
        if type(value) not in allowed or not lowest <= value <= highest:
            raise UserError(
                f"the pixels of the request are {quote(value)}; send {dtype} numbers, as in the "
                "images of the training."
            )
    return np.array(values, dtype)


def _not_pixels(content: str) -> UserError:
    return UserError(
        f"the pixels of the request are {content}; send whole numbers from 0 to 255, not scaled."
    )

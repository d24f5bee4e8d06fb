"""Convert the content of a request to samples with the feature order and type of a detector.

The columns of a table are matched by name, in any order, as in `hourglass score`. Other columns are
ignored, and numbers in quotes count as numbers. Pixels are integers from 0 to 255, because scaled
pixels would round to black. Any other content raises a UserError with a message of one sentence.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted, quote, suggest_names
from hourglass.data.readers.image_chunks import as_features, as_images
from hourglass.detection.detector import Detector
from hourglass.serving.request_limits import Limits

Columns: TypeAlias = Mapping[str, Sequence[Any]]  # name -> values of one column of a table

MAX_IMAGE_AXES = 4  # (N, C, H, W)
REQUEST = Path("the request")  # replaces the file name in messages of the file readers
NO_SAMPLES = "the request holds no samples; send at least one."


def to_samples(content: Any, detector: Detector, limits: Limits) -> np.ndarray:
    """Convert a table, a list of rows or an array to samples, (N, *S).

    Features are float32, images uint8. Raises a UserError if the content does not fit the detector
    or has too many rows.
    """
    names = detector.feature_names
    if not len(content):
        raise UserError(NO_SAMPLES)
    if hasattr(content, "keys"):
        return _finite_rows(_features(content, detector, limits), names)
    limits.check_rows(len(content))
    if not names:
        return _images(content, detector)
    if isinstance(content, np.ndarray):
        with np.errstate(over="ignore"):  # _finite_rows rejects infinity
            return _finite_rows(as_features(content, REQUEST, detector), names)
    read_rows = _records if isinstance(content[0], dict) else rows_to_columns
    return _finite_rows(_features(read_rows(content, names), detector, limits), names)


def require_features(detector: Detector, present: Iterable[str]) -> list[str]:
    """Return the names of the features.

    Raises a UserError if the detector takes images, or if a feature is absent or occurs twice.
    """
    names = detector.feature_names
    if not names:
        raise UserError(
            "the request is a table, but this detector takes images; send them as an array."
        )
    counts = Counter(present)
    for name in names:
        if not counts[name]:
            raise _missing("the request", name, counts)
        if counts[name] > 1:
            raise UserError(f"the request has two columns named {name!r}; rename one of them.")
    return names


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


def _records(rows: list[Any], names: list[str]) -> Columns:
    """Convert rows, sent as one object per row, to columns.

    The first missing key ends the conversion, so the columns take no more memory than the objects.
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


def _missing(where: str, name: str, present: Collection[str]) -> UserError:
    return UserError(
        f"{where} has no column {name!r}: {suggest_names(name, present)}; the detector needs every "
        "feature that it was trained on, in any order."
    )


def _features(columns: Mapping[Any, Any], detector: Detector, limits: Limits) -> np.ndarray:
    """Return the features of a table, (N, F) float64; an empty value is NaN."""
    keys = list(columns.keys())  # a DataFrame is no Mapping
    names = require_features(detector, map(str, keys))
    by_name = {str(key): key for key in keys}
    wanted = {name: columns[by_name[name]] for name in names}
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

    NumPy would also convert text, and give every pixel the memory of the longest text.
    """
    shape, values = [len(images)], images
    while values and isinstance(values[0], list) and len(shape) < MAX_IMAGE_AXES:
        length = len(values[0])
        if not all(isinstance(value, list) and len(value) == length for value in values):
            raise UserError("the images of the request differ in size; send equal ones.")
        shape.append(length)
        values = list(chain.from_iterable(values))
    try:
        if bool not in map(type, values[:1]):  # bytes() would read a mask as zeros and ones
            return np.frombuffer(bytes(values), np.uint8).reshape(shape)
    except (TypeError, ValueError):  # a value is not an integer from 0 to 255
        values = [value for value in values if type(value) is not int or not 0 <= value < 256]
    raise _not_pixels(quote(values[0]))


def _not_pixels(content: str) -> UserError:
    return UserError(
        f"the pixels of the request are {content}; send whole numbers from 0 to 255, not scaled."
    )

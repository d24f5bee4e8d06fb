"""Parse request bodies in JSON, CSV, Parquet, npy or an image format into samples for a detector.

The size of a table or an array is checked before its content is read, because content may take many
times the bytes of the body. A body that cannot be scored raises a UserError with a message of one
sentence.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import quote
from hourglass.data.columns.arrow_cells import form_of
from hourglass.data.readers.chunks import Chunk
from hourglass.data.readers.csv_tables import open_csv
from hourglass.data.readers.numbers import NumberFormat
from hourglass.data.readers.numpy_files import npy_chunks
from hourglass.data.readers.read_options import ReadOptions
from hourglass.detection.detector import Detector
from hourglass.serving.request_images import MEDIA_TYPES, encoded_images
from hourglass.serving.request_limits import Limits
from hourglass.serving.request_samples import (
    REQUEST,
    Columns,
    require_features,
    rows_to_columns,
    to_samples,
)


@dataclass(frozen=True)
class Table:
    """A table of text, with the format of its numbers."""

    columns: Columns
    numbers: NumberFormat


Content: TypeAlias = Columns | Table | list[Any] | np.ndarray


@dataclass(frozen=True)
class WithMaps:
    """The content of a request that asks for anomaly maps."""

    content: Content


class Request(NamedTuple):
    """The samples of a request, and whether the answer is to hold anomaly maps and defects."""

    samples: Chunk
    with_maps: bool = False


JSON_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs", "images")
MAX_KEYS_SHOWN = 5  # of a JSON object in a message


class UnsupportedMediaTypeError(UserError):
    """No reader exists for the media type of a request."""


def parse_request(
    body: bytes, media_type: str, detector: Detector, limits: Limits = Limits()
) -> Request:
    """Return the samples of a request body.

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
    with_maps = isinstance(content, WithMaps)
    if isinstance(content, WithMaps):
        content = content.content
    if isinstance(content, Table):
        return Request(to_samples(content.columns, detector, limits, content.numbers))
    return Request(to_samples(content, detector, limits), with_maps)


def _json(body: bytes, detector: Detector, limits: Limits) -> Content | WithMaps:
    """Parse one of the four JSON formats of MLflow, or a list of images in base64."""
    request = orjson.loads(body)  # faster than json, and rejects NaN
    if not isinstance(request, dict):
        raise UserError(
            'the request is not a JSON object; send {"instances": [...]}, a list with one item per '
            "sample."
        )
    if request.pop("params", None):
        raise UserError("the request has params, but a detector takes none; leave them out.")
    _require_lists("", request, detector)
    with_maps = False if detector.columns else request.pop("map", False)
    if type(with_maps) is not bool:
        raise UserError(f"`map` of the request is {quote(with_maps)}; send true or false.")
    if len(request) != 1 or not request.keys() <= {*JSON_FORMATS}:
        present = ", ".join(map(quote, islice(request, MAX_KEYS_SHOWN))) or "nothing"
        raise ValueError(f"it holds {present}, not one of {', '.join(JSON_FORMATS)}")
    ((form, content),) = request.items()
    _require_lists(form, content, detector)
    if form == "dataframe_split":
        if not isinstance(content, dict) or {"columns", "data"} - content.keys():
            raise ValueError("dataframe_split is not an object with columns and data")
        limits.check_rows(len(content["data"]))
        if not content["data"]:
            return {}
        names = [str(name) for name in content["columns"]]
        if detector.columns or len(names) != 1:  # one column may hold images in base64
            require_features(detector, names)
        content = rows_to_columns(content["data"], names)
    if not isinstance(content, list | dict):
        raise ValueError(f"{form} is neither a list nor an object")
    if form == "images" and not detector.columns and encoded_images(content) is None and content:
        raise ValueError("images is not a list of text in base64")
    return WithMaps(content) if with_maps else content


def _require_lists(form: str, content: Any, detector: Detector) -> None:
    """Raise a UserError if the content is one sample, an object with one value per feature."""
    names = detector.feature_names
    if not names or not isinstance(content, dict) or names[0] not in content:
        return
    if not any(isinstance(content.get(name), list | dict) for name in names):
        raise UserError(
            f"{form or 'the request'} is an object with one value per column; send a list of such "
            'objects, {"dataframe_records": [{...}]}, also for one row.'
        )


def _csv(body: bytes, detector: Detector, limits: Limits) -> Table:
    """Parse the features of a CSV table by the reader of files.

    Rows are counted and columns are checked first, because each takes many times its bytes.
    """
    limits.check_rows(max(body.count(b"\n"), body.count(b"\r")) - 1)
    if not body.strip():
        raise ValueError("it is empty")
    table = open_csv(REQUEST, ReadOptions(header=True), lambda: io.BytesIO(body))
    names = require_features(detector, table.names)
    rows = pa.Table.from_batches(table.read(names), _text_schema(names))
    if table.left_out:
        raise UserError(
            f"the last row of the request, {quote(table.left_out[0])}, is no sample; leave it out."
        )
    numbers = NumberFormat(table.decimal or ".", table.thousands)
    return Table({name: rows[name] for name in names}, numbers)


def _text_schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


def _parquet(body: bytes, detector: Detector, limits: Limits) -> Columns:
    """Parse the features of a Parquet table.

    The declared size is checked first, because compression hides it. Text has no declared size, so
    it is read as a dictionary, whose size is checked before it is expanded.
    """
    from pyarrow import parquet

    schema = parquet.read_schema(pa.BufferReader(body))
    names = require_features(detector, schema.names)
    texts = []
    for name in names:
        kind = schema.field(name).type
        form = form_of(kind)
        if form == "other":
            raise UserError(
                f"{name!r} of the request has the type {quote(str(kind))}; store numbers, text, "
                "booleans or dates."
            )
        texts += [name] if form == "text" else []
    with parquet.ParquetFile(pa.BufferReader(body), read_dictionary=texts) as file:
        metadata = file.metadata
        limits.check_rows(metadata.num_rows)
        # Not `column(i)` of a row group: for a damaged file, it ends the process.
        groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
        stored = sum(group.total_byte_size for group in groups)
        limits.check_bytes(max(metadata.num_rows * len(names) * 8, stored), "declares")
        table = file.read(columns=names, use_threads=False)
    limits.check_bytes(sum(_text_bytes(table[name]) for name in texts), "declares")
    return {name: table[name] for name in names}


def _text_bytes(column: pa.ChunkedArray) -> int:
    """Return the size of text that is stored as a dictionary, once it is expanded."""
    size = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
            size += pc.sum(lengths.take(chunk.indices)).as_py() or 0
    return size


def _npy(body: bytes, detector: Detector, limits: Limits) -> np.ndarray:
    """Parse an array in the npy format; for images, it takes an eighth of the time of JSON."""
    return np.concatenate(list(npy_chunks(io.BytesIO(body), lambda x: limits.check_rows(len(x)))))


def _image(body: bytes, detector: Detector, limits: Limits) -> list[Any]:
    """Return the one image of a body; its format is known by its first bytes."""
    if detector.columns:
        raise UserError(
            "the request is an image, but this detector takes rows of a table; send them as JSON, "
            "CSV or Parquet."
        )
    return [body]


READERS: dict[str, Callable[[bytes, Detector, Limits], Content | WithMaps]] = {
    "application/json": _json,
    "text/csv": _csv,
    "application/vnd.apache.parquet": _parquet,
    "application/x-npy": _npy,
    **dict.fromkeys(MEDIA_TYPES, _image),
}

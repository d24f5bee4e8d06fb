"""Check that the files of a detector fit together."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import IMAGE_TYPES, input_shape
from hourglass.data.readers.image_format import ImageFormat
from hourglass.data.readers.read_options import ReadOptions
from hourglass.data.scaling import Encoding, Scaling
from hourglass.data.table_encoding import TableEncoding
from hourglass.networks import Network

DTYPES = (*IMAGE_TYPES, np.float64, np.float16)  # of images, tables and vectors


def check_consistency(
    metadata: dict[str, Any], network: Network, scaling: Encoding, arrays: dict[str, np.ndarray]
) -> None:
    """Raise a ValueError or TypeError if the parts of a detector do not fit together."""
    shape, names = tuple(metadata["sample_shape"]), metadata["feature_names"]
    inputs = input_shape(scaling, shape)
    if list(inputs) != list(network.init_args["sample_shape"]):
        raise ValueError(f"sample_shape is {shape!s:.40}, not that of the network")
    all_columns = [Column.from_dict(column) for column in metadata["columns"]]
    columns = [column for column in all_columns if column.is_feature]
    elements = len(columns) or math.prod(inputs)
    ReadOptions(**metadata["read"]).check()
    if [column.name for column in columns] != names:
        raise ValueError("feature_names are not those of the columns")
    if all_columns and shape != (len(all_columns),):
        raise ValueError(f"sample_shape is {shape!s:.40}, not that of the columns")
    if names != [] and not (len(names) == elements and all(type(name) is str for name in names)):
        raise ValueError(f"feature_names are not {elements} names")
    dtype = metadata["dtype"]
    if not isinstance(metadata["data"], str) or np.dtype(dtype) not in DTYPES:
        raise ValueError(f"dtype is {dtype!r:.40}")
    if len(shape) == 3:
        ImageFormat.of_inputs(metadata).check()
    if isinstance(scaling, TableEncoding):
        encoded = [replace(each.column, scaling="auto") for each in scaling.columns]
        if encoded != [replace(column, scaling="auto") for column in columns]:
            raise ValueError("scaling does not fit the columns")
    if "columns" in arrays and arrays["columns"].shape != (elements,):
        raise ValueError("the bins of the columns do not fit the samples")
    if isinstance(scaling, Scaling) and (scaling.offset.shape or scaling.scale.shape):
        raise ValueError("scaling does not fit the samples")
    if not (np.isfinite(scaling.offset).all() and np.isfinite(scaling.scale).all()):
        raise ValueError("scaling holds unusable numbers")
    profile = [arrays["error_mean"], arrays["error_scale"]]
    scores = arrays["calibration_scores"]
    if any(array.shape != (elements,) or array.dtype != np.float32 for array in profile):
        raise ValueError("the error profile does not fit the samples")
    if not (scores.ndim == 1 and scores.dtype == np.float64 and np.isfinite(scores).all()):
        raise ValueError("the calibration scores are not finite numbers")
    if not (scaling.scale > 0).all() or not all(np.isfinite(array).all() for array in profile):
        raise ValueError("the scaling or the error profile holds unusable numbers")

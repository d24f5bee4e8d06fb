"""Samples of the estimator: checked arrays and DataFrames, and their splits in memory."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.columns.decision import Declared
from hourglass.data.columns.inference import infer_columns, used_columns
from hourglass.data.columns.levels import keep_train_levels
from hourglass.data.frames import frame_batches
from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
from hourglass.data.scaling import Encoding, Scaling
from hourglass.data.splits import divide
from hourglass.data.table_encoding import TableEncoding

MIN_SAMPLES = 10  # of a fit, so that each split holds at least one


def read_samples(estimator: BaseEstimator, X: Any, fitting: bool, minimum: int = 1) -> np.ndarray:
    """Return rows as (N, C) float64, or images as (N, C, H, W) uint8 or float32.

    Images are arrays of three or four axes. Rows may hold NaN, a missing cell; those of a DataFrame
    with columns other than numbers are codes of cells. If `fitting`, sets the attributes of
    `estimator` that describe its samples, and otherwise compares with them. Raises scikit-learn's
    errors, and a UserError for samples that cannot be used.
    """
    samples = X.to_pandas() if hasattr(X, "to_pandas") else X  # a frame of polars or Arrow
    if fitting:
        estimator._columns = None
    if _is_mixed(samples) if fitting else estimator._columns:
        return _frame_codes(estimator, samples, fitting, minimum)
    is_images = len(getattr(samples, "shape", ())) in (3, 4)
    x = _pixels(np.asarray(samples)) if is_images else samples
    kind = f"images of shape {x.shape[1:]} and type {x.dtype}" if is_images else "rows of a table"
    if fitting:
        estimator._sample_kind = kind
    elif kind != estimator._sample_kind:
        raise UserError(f"X holds {kind}, but the fit had {estimator._sample_kind}; convert X.")
    rows = x.reshape(len(x), -1) if is_images else x
    rows = validate_data(
        estimator,
        rows,
        reset=fitting,
        dtype=x.dtype if is_images else np.float64,
        ensure_min_samples=minimum,
        ensure_all_finite=True if is_images else "allow-nan",
    )
    if fitting:
        estimator.sample_shape_ = samples.shape[1:] if is_images else rows.shape[1:]
    return rows.reshape(x.shape) if is_images else rows


def has_value(x: np.ndarray) -> np.ndarray:
    """Return the mask of the samples, (N,) bool: False for a row of a table without any value."""
    return ~np.isnan(x).all(1) if x.ndim == 2 else np.ones(len(x), bool)


def with_values(x: np.ndarray) -> np.ndarray:
    """Return the samples without rows of a table that have no value."""
    known = has_value(x)
    return x if known.all() else x[known]


def _is_mixed(X: Any) -> bool:
    """Return whether samples are a DataFrame with a column that does not hold numbers."""
    if not hasattr(X, "dtypes") or not hasattr(X, "columns"):
        return False
    return any(getattr(dtype, "kind", "O") not in "iuf" for dtype in X.dtypes)


def _frame_codes(estimator: BaseEstimator, X: Any, fitting: bool, minimum: int) -> np.ndarray:
    """Return the codes of a DataFrame, (N, C); if `fitting`, infer its columns."""
    if not hasattr(X, "columns"):
        names = ", ".join(column.name for column in estimator._columns[:3])
        raise UserError(f"X has no columns; give a DataFrame with the columns {names} and so on.")
    if len(X) < minimum:
        raise UserError(f"X has {counted(len(X), 'row')}, but at least {minimum} are needed.")
    if fitting:
        validate_data(estimator, X, reset=True, skip_check_array=True)  # names of the features
        estimator._sample_kind = "rows of a DataFrame"
        estimator._columns = _inferred_columns(X)
        estimator.sample_shape_ = (len(estimator._columns),)
    return codes(X, estimator._columns, "X")


def _inferred_columns(frame: Any) -> tuple[Column, ...]:
    """Return the columns of a DataFrame that are features; a warning names the others.

    A column of the type "category" of pandas is a category, also if its values are numbers.
    """
    names = [str(name) for name in frame.columns]
    types = dict(zip(names, frame.dtypes, strict=True))
    categories = [name for name in names if str(types[name]) == "category"]
    declared = Declared(dict.fromkeys(categories, "categorical"))
    decisions = infer_columns((batch for _, batch in frame_batches(frame)), names, "X", declared)
    columns = used_columns(decisions)
    # A remedy names settings that only a workspace has.
    dropped = [f"{d.name} ({d.reason.cause})" for d in decisions if d.reason is not None]
    if not columns:
        raise UserError(f"no column of X is a feature: {', '.join(dropped)}; give others.")
    if dropped:
        warnings.warn(
            f"{counted(len(dropped), 'column')} left out: {', '.join(dropped[:8])}.",
            stacklevel=6,  # the caller of `fit`
        )
    return columns


def with_train_levels(
    parts: dict[Split, np.ndarray], columns: Sequence[Column]
) -> tuple[dict[Split, np.ndarray], tuple[Column, ...]]:
    """Return the splits and the columns with the levels that are frequent in the train split."""
    x = np.concatenate(list(parts.values()))
    bounds = np.cumsum([len(part) for part in parts.values()])
    first = bounds[list(parts).index("train")] - len(parts["train"])
    train = np.arange(first, first + len(parts["train"]))
    columns = keep_train_levels(columns, x, train)
    return dict(zip(parts, np.split(x, bounds[:-1]), strict=True)), columns


def _pixels(images: np.ndarray) -> np.ndarray:
    """Return (N, H, W) or (N, C, H, W) as (N, C, H, W), uint8 or float32 in [0, 1]."""
    if images.ndim == 3:
        images = images[:, None]
    if images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        raise UserError(
            f"images have the shape {images.shape[1:]}, but the channels must come first; give "
            "X.transpose(0, 3, 1, 2)."
        )
    if images.dtype == np.uint8:
        return images
    images = images.astype(np.float32)
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise UserError(
            f"pixels lie between {images.min()} and {images.max()}; give uint8, or floats between "
            "0 and 1."
        )
    return images


def divide_samples(
    x: np.ndarray, given: dict[Split, np.ndarray], fractions: dict[Split, float], seed: int
) -> dict[Split, np.ndarray]:
    """Return the splits train, validation and calibration: those `given`, others from `x`.

    `fractions` are those of `x` in the validation and the calibration split, at random by the seed;
    the order of the samples is kept. Raises a UserError if a split would be empty.
    """
    parts = {name: share for name, share in fractions.items() if name not in given}
    if sum(parts.values()) >= 1:
        raise UserError(
            "validation_fraction and calibration_fraction leave no samples for training; lower "
            "them."
        )
    for name, share in parts.items():
        if not 0 < share < 1:
            raise UserError(f"{name}_fraction is {share}, but must be between 0 and 1.")
    shares: dict[Split, float] = {"train": 1 - sum(parts.values()), **parts}
    if len(shares) == 1:
        return {"train": x, **given}
    order = np.random.default_rng(seed).permutation(len(x))
    # Copies stay where chance puts them: calibration samples must be as often copies of training
    # samples as new ones are, or the false-alarm rate would exceed alpha.
    divided = divide(order, shares)
    for name, indices in divided.items():
        if not len(indices):
            raise UserError(
                f"none of the {len(x)} samples would be left for {name}; give more samples, or "
                "change validation_fraction or calibration_fraction."
            )
    return {name: x[np.sort(indices)] for name, indices in divided.items()} | given


def prepare_in_memory(
    parts: dict[Split, np.ndarray],
    kind: ColumnScaling,
    columns: Sequence[Column],
) -> PreparedInMemory:
    """Return the splits of normal samples with a scaling of the `kind`, fitted to `train`."""
    train = parts["train"]
    scaling: Encoding
    if train.ndim == 2:
        if kind not in (kinds := get_args(ColumnScaling)):
            raise UserError(f"scaling is {kind!r}; use {', '.join(map(repr, kinds))}.")
        scaling = TableEncoding.fit(columns, train, kind)
    else:
        scaling = Scaling.of_images(255 if train.dtype == np.uint8 else 1)
    card = {
        "data": "Autoencoder",
        "sample_shape": list(train.shape[1:]),
        "dtype": str(train.dtype),
        "feature_names": [column.name for column in columns],
        "columns": [column.to_dict() for column in columns],
        "scaling": scaling.to_dict(),
    }
    samples = {name: Samples.normal(x) for name, x in parts.items()}
    return PreparedInMemory(Path("Autoencoder"), card, samples)

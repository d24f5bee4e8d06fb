"""Samples of the estimator: checked arrays, and their splits and scaling in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from hourglass.core.errors import UserError
from hourglass.data.columns import Column, ColumnScaling
from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
from hourglass.data.scaling import Encoding, Scaling
from hourglass.data.splits import divide
from hourglass.data.table_encoding import TableEncoding

MIN_SAMPLES = 10  # of a fit, so that each split holds at least one


def read_samples(estimator: BaseEstimator, X: Any, fitting: bool, minimum: int = 1) -> np.ndarray:
    """Return rows as (N, F) float64, or images as (N, C, H, W) uint8 or float32, all finite.

    Images are arrays of three or four axes. If `fitting`, sets the attributes of `estimator` that
    describe its samples, and otherwise compares with them. Raises scikit-learn's errors, and a
    UserError for images that cannot be used.
    """
    is_images = len(getattr(X, "shape", ())) in (3, 4)
    x = _pixels(np.asarray(X)) if is_images else X
    kind = f"images of shape {x.shape[1:]} and type {x.dtype}" if is_images else "rows of a table"
    if fitting:
        estimator._sample_kind = kind
    elif kind != estimator._sample_kind:
        raise UserError(f"X holds {kind}, but the fit had {estimator._sample_kind}; convert X.")
    rows = x.reshape(len(x), -1) if is_images else x
    options = {"dtype": x.dtype if is_images else np.float64, "ensure_min_samples": minimum}
    rows = validate_data(estimator, rows, reset=fitting, **options)
    if fitting:
        estimator.sample_shape_ = X.shape[1:] if is_images else rows.shape[1:]
    return rows.reshape(x.shape) if is_images else rows


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
    samples = {
        name: Samples(x, np.full(len(x), "normal"), np.zeros(len(x), bool), np.full(len(x), ""))
        for name, x in parts.items()
    }
    return PreparedInMemory(Path("Autoencoder"), card, samples)

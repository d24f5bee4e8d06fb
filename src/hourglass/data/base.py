"""Interface of a data set: its samples, their anomaly labels and their source."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.prepared_data import IMAGE_TYPES, Split
from hourglass.data.table_encoding import TableEncoding
from hourglass.data.tiling import Tiling


@dataclass(frozen=True)
class Raw:
    """All samples of a data set, before they are split and scaled."""

    # (N, C, H, W) images of type IMAGE_TYPES, (N, C) float64 codes of a table's cells, or (N, D)
    # float16 or float32 vectors.
    x: np.ndarray
    label: np.ndarray  # (N,) str: the class by name, such as "7" or "fraud"
    anomaly: np.ndarray  # (N,) bool
    id: np.ndarray  # (N,) str: position in the source, such as "mnist/test/17"
    # For card.json: name, licence, complete, files {name: SHA-256}; subset if not complete.
    source: dict[str, Any]
    full_scale: float | None = None  # pixel value of white, such as 255; None for tables
    columns: tuple[Column, ...] = ()  # of a table: the roles of a series, then the features
    official_test: np.ndarray | None = None  # (N,) bool: the publisher's test part, if any
    mask: np.ndarray | None = None  # (N, H, W) bool: defective pixels of images, if known
    tiling: Tiling | None = None  # of large images; if padded, `x` has a channel more
    time: np.ndarray | None = None  # (N,) float, any unit; if set, splits follow time
    group: np.ndarray | None = None  # (N,) int below N; samples of a group stay in one split

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of a table's features; empty for images."""
        return tuple(column.name for column in self.columns if column.is_feature)

    def __post_init__(self) -> None:
        """Check shapes, types and keys; the ValueErrors address authors of data sets, not users."""
        n = len(self.x)
        for name in ("label", "anomaly", "id", "official_test", "time", "group"):
            values = getattr(self, name)
            if values is not None and values.shape != (n,):
                raise ValueError(f"Raw.{name} has shape {values.shape} for {n} samples")
        if self.mask is not None and self.mask.shape != (n, *self.x.shape[2:]):
            raise ValueError(f"Raw.mask has shape {self.mask.shape} for x of {self.x.shape}")
        is_images = self.x.ndim == 4 and self.x.dtype in IMAGE_TYPES and self.full_scale is not None
        is_table = self.x.ndim == 2 and self.x.dtype.kind == "f" and self.full_scale is None
        if not (is_images or is_table):
            raise ValueError(
                f"Raw.x is {self.x.dtype} with {self.x.ndim} axes and full scale "
                f"{self.full_scale}: neither uint8, uint16 or float32 images nor floats of a table"
            )
        for name, kind in (("label", "U"), ("id", "U"), ("anomaly", "b")):
            dtype = getattr(self, name).dtype
            if dtype.kind != kind:
                raise ValueError(f"Raw.{name} is {dtype}, not {'str' if kind == 'U' else 'bool'}")
        if is_table and len(self.columns) != self.x.shape[1]:
            raise ValueError(f"{len(self.columns)} columns for {self.x.shape[1]} features")
        missing = {"name", "licence", "complete", "files"} - self.source.keys()
        if missing:
            raise ValueError(f"Raw.source lacks {sorted(missing)}")


@dataclass(frozen=True)
class Fractions:
    """Fractions of the normal samples in the five splits; their sum must be 1.

    If the publisher defined a test part, `test` is ignored and the others are normalised to sum to
    1. `tuning_anomalies` is the fraction of the anomalies in `tuning`; the rest is in `test`.
    """

    train: float = 0.5
    validation: float = 0.1
    calibration: float = 0.15
    tuning: float = 0.1
    test: float = 0.15
    tuning_anomalies: float = 0.3


class DataSet(ABC):
    """Base class of data sets; a subclass reads one data set from its raw files.

    `scaling` applies to the numbers of tables: "standard" (zero mean, unit variance), "robust"
    (median and interquartile range), "minmax" ([0, 1] on the train split), "quantile" (normal
    quantiles of ranks), "log" (signed logarithm, then standard) or "none". "auto" is "log" for a
    column with heavy tails, else "standard". It is fitted to the train split only. Images ignore it
    and are divided by their full scale.
    """

    def __init__(
        self,
        scaling: ColumnScaling = "auto",
        fractions: Fractions = Fractions(),
    ) -> None:
        self.scaling = scaling
        self.fractions = fractions

    @abstractmethod
    def load(self, folder: Path) -> Raw:
        """Load all samples from raw files below `folder`; download missing files.

        If that fails, raises a UserError that names the file and a remedy.
        """

    def split(
        self, raw: Raw, seed: int, copies: np.ndarray | None = None
    ) -> dict[Split, np.ndarray]:
        """Return the sorted indices of the samples of each split, see `splits.split`.

        `copies` is the result of `find_copies`, if it is known.
        """
        from hourglass.data.splits import split

        return split(raw, self.fractions, seed, copies)

    def fit_encoding(self, raw: Raw, train: np.ndarray) -> TableEncoding:
        """Return the encoding of a table, fitted to the codes of train rows, (N, C)."""
        return TableEncoding.fit(raw.columns, train, self.scaling)

"""Tables of the page: rows, and the columns that have a value."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd

from hourglass.core.csv_formulas import unescaped
from hourglass.evaluation.report.glossary import metric_title

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A numeric column: key, number format, order of the first sort, and optional heading."""

    key: str
    form: str = "share"
    first: Literal["ascending", "descending"] = "descending"
    title: str = ""

    def __str__(self) -> str:
        """Return the heading of the column."""
        return self.title or metric_title(self.key)


LATENT_DIM = Column("latent_dim", "whole", "ascending", "latent dim.")
BOARD_COLUMNS = (
    Column("AUROC"),
    Column("AUROC_over_PCA", "signed", title="over PCA"),
    Column("average_precision"),
    Column("VUS_PR"),
    Column("AUPRO"),
    Column("pixel_AUROC"),
    Column("FPR_at_95_recall", first="ascending"),
    Column("recall"),
    Column("false_alarm_rate", first="ascending"),
    Column("F1"),
    Column("event_recall"),
    Column("alarms_per_day", "score", "ascending"),
    LATENT_DIM,
    Column("parameters", "whole", "ascending"),
    Column("seconds", "seconds", "ascending", "training (s)"),
)
STUDY_COLUMNS = (
    Column("kNN_accuracy"),
    Column("search_precision_at_10"),
    Column("linear_accuracy"),
    Column("interpolation_within_classes"),
    Column("interpolation_between_classes"),
    Column("neighbourhood_radius"),
    Column("frechet_distance", "score", "ascending"),
    Column("class_agreement"),
    Column("PSNR_noise_0.5", "score"),
    Column("AUROC_of_boosting_trained_on_synthetic_rows"),
    Column("AUROC_of_boosting_trained_on_real_rows"),
    Column("copied_rows", "whole", "ascending"),
    LATENT_DIM,
)
SPARSE_COLUMNS = (
    Column("L0", "score", "ascending"),
    Column("FVU", first="ascending"),
    Column("FVU_mean_of_samples", first="ascending"),
    Column("cosine_similarity"),
    Column("dead_units", first="ascending"),
    Column("dense_units", first="ascending"),
    Column("sparse_probing_accuracy_1"),
    Column("sparse_probing_accuracy_2"),
    Column("sparse_probing_accuracy_5"),
    Column("sparse_probing_F1_1"),
    Column("sparse_probing_F1_2"),
    Column("sparse_probing_F1_5"),
    Column("absorption_fraction", first="ascending"),
    Column("full_absorption", first="ascending"),
    LATENT_DIM,
)


@dataclass(frozen=True)
class Table:
    """Rows, with None for missing values, and the columns with a value."""

    rows: list[Row]
    columns: list[Column]

    @classmethod
    def of(cls, table: pd.DataFrame, columns: tuple[Column, ...]) -> "Table":
        """Return the rows of a data frame with those of `columns` that have a value."""
        # NaN is the value that differs from itself.
        rows = [
            {str(key): None if value != value else value for key, value in row.items()}
            for row in table.astype(object).to_dict("records")
        ]
        with_values = {key for row in rows for key, value in row.items() if value is not None}
        return cls(rows, [column for column in columns if column.key in with_values])


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as text, as labels such as 007 or None must not be parsed."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: unescaped(value or "") for key, value in row.items()}
            for row in csv.DictReader(file)
        ]

"""The leaderboard as the page shows it: which columns, and what is best."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hourglass.evaluation.report.glossary import BEFORE, term

if TYPE_CHECKING:
    import pandas as pd

Row: TypeAlias = dict[str, Any]
INTERVALS = ("AUROC", "average_precision", "FPR_at_95_recall")


@dataclass(frozen=True)
class Column:
    """Name a column of numbers, the filter that formats them, and how it sorts when pressed."""

    key: str
    form: str = "share"
    first: Literal["ascending", "descending"] = "descending"
    title: str = ""

    def __str__(self) -> str:
        """Return its heading."""
        return self.title or term(self.key).title


COLUMNS = (
    Column("AUROC"),
    Column("AUROC_over_PCA", "signed"),
    Column("average_precision"),
    Column("FPR_at_95_recall", first="ascending"),
    Column("recall"),
    Column("false_alarm_rate", first="ascending"),
    Column("F1"),
    Column("latent_dim", "whole", "ascending", "code size"),
)


CODES = (
    Column("kNN_accuracy"),
    Column("search_precision_at_10"),
    Column("linear_accuracy"),
    Column("interpolation_within_classes"),
    Column("interpolation_between_classes"),
    Column("neighbourhood_radius"),
    Column("frechet_distance", "score"),
    Column("class_agreement"),
    Column("PSNR_noise_0.5", "score"),
    Column("AUROC_of_boosting_trained_on_synthetic_rows"),
    Column("AUROC_of_boosting_trained_on_real_rows"),
    Column("copied_rows", "whole", "ascending"),
    Column("latent_dim", "whole", "ascending", "code size"),
)


@dataclass(frozen=True)
class Board:
    """Hold the rows of the leaderboard, the columns that any of them fills, and the best rows."""

    rows: list[Row]
    columns: list[Column]
    least: float  # AUROC at which the bars of intervals begin
    best: dict[str, dict[bool, Row]]  # by data set, of variants (False) and of baselines (True)


def board(table: "pd.DataFrame") -> Board:
    """Return the leaderboard's rows, in their order; None stands for what a row does not have."""
    rows = _rows(table)
    columns = _filled(COLUMNS, rows)
    lows = [row["AUROC_low"] for row in rows if row.get("AUROC_low") is not None]
    least = math.floor(10 * min(lows, default=0.5)) / 10
    best: dict[str, dict[bool, Row]] = {}
    for row in rows:
        leaders = best.setdefault(row["data"], {})
        if row.get("AUROC") is not None and row["settings"] != BEFORE:
            known = leaders.setdefault(row["baseline"], row)
            leaders[row["baseline"]] = max(known, row, key=lambda each: each["AUROC"])
    return Board(rows, columns, least, best)


@dataclass(frozen=True)
class Codes:
    """Hold what the codes of a data set's cells are good for."""

    rows: list[Row]
    columns: list[Column]


def studied(codes: "pd.DataFrame") -> dict[str, Codes]:
    """Return the figures of the studies, by data set; data sets without any are left out."""
    found = {}
    for data, table in codes.groupby("data", sort=False):
        rows = _rows(table)
        found[str(data)] = Codes(rows, _filled(CODES, rows))
    return found


def _rows(table: "pd.DataFrame") -> list[Row]:
    """Return the rows of a table, None for what is missing."""
    return [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def _filled(columns: tuple[Column, ...], rows: list[Row]) -> list[Column]:
    """Return the columns that any of the rows fills."""
    return [each for each in columns if any(row.get(each.key) is not None for row in rows)]

"""The leaderboard as the page shows it: which columns, and what is best."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hourglass.report.terms import term

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


@dataclass(frozen=True)
class Board:
    """Hold the rows of the leaderboard, the columns that any of them fills, and the best rows."""

    rows: list[Row]
    columns: list[Column]
    least: float  # AUROC at which the bars of intervals begin
    best: dict[str, dict[bool, Row]]  # by data set, of variants (False) and of baselines (True)


def board(table: "pd.DataFrame") -> Board:
    """Return the leaderboard's rows, in their order; None stands for what a row does not have."""
    rows: list[Row] = [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]
    columns = [each for each in COLUMNS if any(row.get(each.key) is not None for row in rows)]
    lows = [row["AUROC_low"] for row in rows if row.get("AUROC_low") is not None]
    least = math.floor(10 * min(lows, default=0.5)) / 10
    best: dict[str, dict[bool, Row]] = {}
    for row in rows:
        leaders = best.setdefault(row["data"], {})
        if row.get("AUROC") is not None and row["settings"] != "before tuning":
            known = leaders.setdefault(row["baseline"], row)
            leaders[row["baseline"]] = max(known, row, key=lambda each: each["AUROC"])
    return Board(rows, columns, least, best)

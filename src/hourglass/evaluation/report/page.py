"""The HTML page: leaderboard, cells and studies in one self-contained file."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hourglass.evaluation.report.cell import Section, section
from hourglass.evaluation.report.glossary import (
    BEFORE_TUNING,
    FORMATS,
    INTERVALS,
    MEANINGS,
    format_number,
    metric_title,
)

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


LATENT_DIM = Column("latent_dim", "whole", "ascending", "latent dimension")
BOARD_COLUMNS = (
    Column("AUROC"),
    Column("AUROC_over_PCA", "signed"),
    Column("average_precision"),
    Column("FPR_at_95_recall", first="ascending"),
    Column("recall"),
    Column("false_alarm_rate", first="ascending"),
    Column("F1"),
    LATENT_DIM,
)
STUDY_COLUMNS = (
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
    LATENT_DIM,
)


@dataclass(frozen=True)
class Table:
    """A table of the page: rows, with None for missing values, and the columns with a value."""

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


def study_tables(codes: pd.DataFrame) -> dict[str, Table]:
    """Return the study metrics by data set; data sets without a study are missing."""
    groups = codes.groupby("data", sort=False)
    return {str(data): Table.of(table, STUDY_COLUMNS) for data, table in groups}


@dataclass(frozen=True)
class Page:
    """The content of the page."""

    board: Table
    best: dict[str, dict[bool, Row]]  # best rows by data set, then False for variants
    sections: dict[str, list[Section]]  # by data set
    studied: dict[str, Table]  # by data set

    @classmethod
    def of(cls, table: pd.DataFrame, codes: pd.DataFrame, data: list[str]) -> "Page":
        """Return the page of a leaderboard and a study table, in the order of `data`.

        The leaderboard is sorted by descending AUROC. Reads the files of each cell's stages.
        """
        board = Table.of(table, BOARD_COLUMNS)
        current = [row for row in board.rows if row["settings"] != BEFORE_TUNING]
        best: dict[str, dict[bool, Row]] = {}
        for row in current:
            leaders = best.setdefault(row["data"], {})
            if row.get("AUROC") is not None:
                leaders.setdefault(row["baseline"], row)
        cells = [row for row in current if not row["baseline"]]
        sections = {name: [section(row) for row in cells if row["data"] == name] for name in data}
        return cls(board, best, sections, study_tables(codes))

    def without(self, private: Collection[str]) -> "Page":
        """Return the page without single samples of the data sets in `private`."""
        sections = {
            name: [cell.without_rows() for cell in cells] if name in private else cells
            for name, cells in self.sections.items()
        }
        return replace(self, sections=sections)

    def render(self) -> str:
        """Return the HTML text; it depends on nothing but the content."""
        lows = [row["AUROC_low"] for row in self.board.rows if row.get("AUROC_low") is not None]
        least = math.floor(10 * min(lows, default=0.5)) / 10  # left end of the interval bars
        template = _environment().get_template("page.html")
        return template.render(vars(self), least=least, meanings=MEANINGS, intervals=INTERVALS)


def _environment() -> Environment:
    """Return a Jinja environment for the templates of this folder that escapes all values."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {form: partial(format_number, form=form) for form in FORMATS}
    environment.filters |= {"format_number": format_number, "metric_title": metric_title}
    return environment

"""The HTML page: leaderboard, cells and studies in one self-contained file."""

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hourglass.evaluation.report.cell import Section, section
from hourglass.evaluation.report.glossary import BEFORE_TUNING, FORMATS, TERMS, term

if TYPE_CHECKING:
    import pandas as pd

Row: TypeAlias = dict[str, Any]
INTERVALS = ("AUROC", "average_precision", "FPR_at_95_recall")  # columns with confidence intervals


@dataclass(frozen=True)
class Column:
    """A numeric column: key, number format, order of the first sort, and optional heading."""

    key: str
    form: str = "share"
    first: Literal["ascending", "descending"] = "descending"
    title: str = ""

    def __str__(self) -> str:
        """Return the heading of the column."""
        return self.title or term(self.key).title


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
class Board:
    """The leaderboard: rows, the columns that have values, and the best rows."""

    rows: list[Row]
    columns: list[Column]
    least: float  # AUROC at the left end of the interval bars
    best: dict[str, dict[bool, Row]]  # by data set, then False for variants or True for baselines

    @classmethod
    def of(cls, table: "pd.DataFrame") -> "Board":
        """Return the leaderboard with the rows of a table, in the same order."""
        rows = _rows(table)
        lows = [row["AUROC_low"] for row in rows if row.get("AUROC_low") is not None]
        least = math.floor(10 * min(lows, default=0.5)) / 10
        best: dict[str, dict[bool, Row]] = {}
        for row in rows:
            leaders = best.setdefault(row["data"], {})
            if row.get("AUROC") is not None and row["settings"] != BEFORE_TUNING:
                leader = leaders.setdefault(row["baseline"], row)
                leaders[row["baseline"]] = max(leader, row, key=lambda entry: entry["AUROC"])
        return cls(rows, _with_values(BOARD_COLUMNS, rows), least, best)


@dataclass(frozen=True)
class StudyTable:
    """The study metrics of one data set."""

    rows: list[Row]
    columns: list[Column]


def study_tables(codes: "pd.DataFrame") -> dict[str, StudyTable]:
    """Return the study metrics by data set; data sets without a study are missing."""
    tables = {}
    for data, table in codes.groupby("data", sort=False):
        rows = _rows(table)
        tables[str(data)] = StudyTable(rows, _with_values(STUDY_COLUMNS, rows))
    return tables


@dataclass(frozen=True)
class Page:
    """The content of the page."""

    board: Board
    sections: dict[str, list[Section]]  # by data set
    studied: dict[str, StudyTable]

    @classmethod
    def of(cls, table: "pd.DataFrame", codes: "pd.DataFrame", data: list[str]) -> "Page":
        """Return the page of a leaderboard and a study table, in the order of `data`.

        Reads the files of each cell's stages.
        """
        board = Board.of(table)
        cells = [
            row for row in board.rows if not row["baseline"] and row["settings"] != BEFORE_TUNING
        ]
        sections = {name: [section(row) for row in cells if row["data"] == name] for name in data}
        return cls(board, sections, study_tables(codes))

    def without(self, private: Collection[str]) -> "Page":
        """Return the page without single samples of the data sets in `private`."""
        sections = {
            name: [cell.without_rows() for cell in cells] if name in private else cells
            for name, cells in self.sections.items()
        }
        return replace(self, sections=sections)

    def render(self) -> str:
        """Return the HTML text; it depends on nothing but the content."""
        template = _environment().get_template("page.html")
        return template.render(**vars(self), terms=TERMS, intervals=INTERVALS)


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
    environment.filters |= {function.__name__: function for function in (*FORMATS, term)}
    return environment


def _rows(table: "pd.DataFrame") -> list[Row]:
    """Return the rows of a table with None for missing values."""
    # NaN is the value that differs from itself.
    return [
        {str(key): None if value != value else value for key, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]


def _with_values(columns: tuple[Column, ...], rows: list[Row]) -> list[Column]:
    """Return the columns with a value in at least one row."""
    return [column for column in columns if any(row.get(column.key) is not None for row in rows)]

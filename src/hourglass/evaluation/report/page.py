"""The HTML page: overview, data sets, cells and studies in one self-contained file."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hourglass.core.paths import Cell
from hourglass.evaluation import palette
from hourglass.evaluation.report.cell import read_section
from hourglass.evaluation.report.codes import sparse_tables, study_tables
from hourglass.evaluation.report.data_set import DataSetSection
from hourglass.evaluation.report.glossary import (
    BEFORE_TUNING,
    FORMATS,
    MEANINGS,
    format_number,
    metric_form,
    metric_title,
)
from hourglass.evaluation.report.provenance import summary
from hourglass.evaluation.report.svg import marker_path, tick_text
from hourglass.evaluation.report.tables import BOARD_COLUMNS, Table


@dataclass(frozen=True)
class Page:
    """The content of the page: data sets and variants in the order of the grid."""

    sets: list[DataSetSection]
    models: list[str]

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        codes: pd.DataFrame,
        grid: tuple[list[str], list[str]],
        timings: Mapping[Cell, dict[str, Any]],
    ) -> "Page":
        """Return the page of a leaderboard and a study table for the data sets and variants.

        The leaderboard is sorted by descending AUROC. `timings` holds the record of the training
        of each cell in tracking/, {} if there is none. Reads the files of each cell's stages.
        """
        (data, models), studied, sparse = grid, study_tables(codes), sparse_tables(codes)
        shown, sets = _with_seconds(table, timings), []
        for name in data:
            board = Table.of(shown[shown["data"] == name], BOARD_COLUMNS)
            cells = [
                read_section(row, models.index(row["model"]), timings[Cell(name, row["model"])])
                for row in board.rows
                if not row["baseline"] and row["settings"] != BEFORE_TUNING
            ]
            sets.append(DataSetSection.of(board, cells, studied.get(name), sparse.get(name)))
        return cls(sets, models)

    def without(self, private: Collection[str]) -> "Page":
        """Return the page without single samples of the data sets in `private`."""
        return replace(
            self, sets=[one.without_rows() if one.name in private else one for one in self.sets]
        )

    def render(self, tables: str = "") -> str:
        """Return the HTML text; it depends on nothing but the content.

        `tables` is the digest of the tables to which the page belongs.
        """
        cells = [cell for one in self.sets for cell in one.cells]
        template = _environment().get_template("page.html")
        return template.render(
            vars(self),
            summary=summary([cell.origin for cell in cells]),
            has_timelines=any(cell.timeline for cell in cells),
            meanings=MEANINGS,
            palette=palette,
            tables=tables,
        )


def _with_seconds(table: pd.DataFrame, timings: Mapping[Cell, dict[str, Any]]) -> pd.DataFrame:
    """Return the leaderboard with the duration of the training of each cell, as far as known."""
    times = [
        {"data": cell.data, "model": cell.model, "seconds": timing.get("seconds")}
        for cell, timing in timings.items()
    ]
    merged = table.merge(pd.DataFrame(times), how="left", on=["data", "model"])
    current = ~merged["baseline"] & (merged["settings"] != BEFORE_TUNING)
    return merged.assign(seconds=merged["seconds"].where(current))


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
    environment.filters["metric_form"] = metric_form
    environment.filters |= {"tick_text": tick_text, "marker_path": marker_path}
    return environment

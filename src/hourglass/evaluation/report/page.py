"""The page: everything in one file, which opens from disk and asks no network for anything."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hourglass.evaluation.report import formatting
from hourglass.evaluation.report.cell import Section, section
from hourglass.evaluation.report.glossary import BEFORE, TERMS, term
from hourglass.evaluation.report.table_view import INTERVALS, Board, Codes, board, studied

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Page:
    """Hold what the page shows."""

    board: Board
    sections: dict[str, list[Section]]  # by data set
    studied: dict[str, Codes]

    @classmethod
    def of(cls, table: "pd.DataFrame", codes: "pd.DataFrame", data: list[str]) -> "Page":
        """Return the page of the leaderboard `table`, whose data sets have sections as in `data`.

        `codes` are the figures of the cells' studies. Reads the files of each cell's folder.
        """
        shown = board(table)
        cells = [row for row in shown.rows if not row["baseline"] and row["settings"] != BEFORE]
        sections = {name: [section(row) for row in cells if row["data"] == name] for name in data}
        return cls(shown, sections, studied(codes))

    def without(self, private: Collection[str]) -> "Page":
        """Return the page without single rows of the data sets that are `private`."""
        sections = {
            name: [each.without_rows() for each in cells] if name in private else cells
            for name, cells in self.sections.items()
        }
        return replace(self, sections=sections)

    def render(self) -> str:
        """Return the text, the same for the same files."""
        template = _environment().get_template("page.html")
        return template.render(**vars(self), terms=TERMS, intervals=INTERVALS)


def _environment() -> Environment:
    """Return what renders the templates beside this file; all text that they insert is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for form in (
        formatting.share,
        formatting.end,
        formatting.score,
        formatting.signed,
        formatting.whole,
    ):
        environment.filters[form.__name__] = form
    environment.filters["term"] = term
    return environment

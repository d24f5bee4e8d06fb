"""The page: everything in one file, which opens from disk and asks no network for anything."""

from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hourglass.report import numbers
from hourglass.report.board import INTERVALS, board, studied
from hourglass.report.cell import section
from hourglass.report.terms import BEFORE, TERMS, term

if TYPE_CHECKING:
    import pandas as pd


def render(table: "pd.DataFrame", codes: "pd.DataFrame", data: list[str]) -> str:
    """Return the page of the leaderboard `table`, whose data sets have sections as in `data`.

    `codes` are the figures of the cells' studies. Reads the files of each cell's folder. The same
    files give the same text.
    """
    shown = board(table)
    cells = [row for row in shown.rows if not row["baseline"] and row["settings"] != BEFORE]
    sections = {name: [section(row) for row in cells if row["data"] == name] for name in data}
    template = _environment().get_template("page.html")
    return template.render(
        board=shown, sections=sections, studied=studied(codes), terms=TERMS, intervals=INTERVALS
    )


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
    for form in (numbers.share, numbers.end, numbers.score, numbers.signed, numbers.whole):
        environment.filters[form.__name__] = form
    environment.filters["term"] = term
    return environment

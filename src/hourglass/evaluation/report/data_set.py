"""The part of the page about one data set: leaderboard with a forest plot, charts and cells."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hourglass.core.paths import Cell
from hourglass.evaluation.metrics.paired import auroc_differs
from hourglass.evaluation.report.cell import CellSection
from hourglass.evaluation.report.charts import auroc_with_interval, comparison_charts
from hourglass.evaluation.report.curves import Chart
from hourglass.evaluation.report.studies import TuningStudy, tuning_studies
from hourglass.evaluation.report.svg import Axis
from hourglass.evaluation.report.tables import Row, Table

# A row whose AUROC lies further below the lower quartile, in interquartile ranges, does not stretch
# the scale of the forest plot.
OUTLIER_RANGES = 2.0


@dataclass(frozen=True)
class Leaders:
    """The best variant and the best baseline, and the variants that are not significantly worse."""

    best: Row
    baseline: Row | None
    ties: list[str]
    is_better: bool  # whether all other variants are significantly worse


@dataclass(frozen=True)
class DataSetSection:
    """The content of the page about one data set."""

    name: str
    board: Table
    scale: Axis | None  # of the forest plot; None without an AUROC
    leaders: Leaders | None  # None without an AUROC
    cells: list[CellSection]  # in the order of the leaderboard
    charts: list[Chart]
    studies: list[TuningStudy]
    codes: Table | None = None  # metrics of the latent codes
    sparse_codes: Table | None = None

    @classmethod
    def of(
        cls,
        board: Table,
        cells: list[CellSection],
        codes: Table | None,
        sparse_codes: Table | None = None,
    ) -> "DataSetSection":
        """Return the content for the rows of one data set, the best AUROC first."""
        name = cells[0].cell.data
        return cls(
            name=name,
            board=board,
            scale=forest_scale(board.rows),
            leaders=_leaders(board.rows, cells),
            cells=cells,
            charts=comparison_charts(name, cells),
            studies=[study for cell in cells for study in tuning_studies(cell.cell, cell.origin)],
            codes=codes,
            sparse_codes=sparse_codes,
        )

    def without_rows(self) -> "DataSetSection":
        """Return the content without single samples."""
        return replace(self, cells=[cell.without_rows() for cell in self.cells])

    def row(self, model: str) -> Row:
        """Return the current row of a variant."""
        return next(cell.row for cell in self.cells if cell.cell == Cell(self.name, model))

    def percent(self, value: float) -> float:
        """Return the position of an AUROC on the scale of the forest plot, in [0, 100]."""
        assert self.scale
        return round(100 * float(np.clip(self.scale.place([value])[0], 0, 1)), 2)


def forest_scale(rows: Sequence[Row]) -> Axis | None:
    """Return the scale of the forest plot: all values and intervals, except of rows far below.

    An interval of another row is never cut off, because it would look shorter than it is.
    """
    rows = [row for row in rows if row.get("AUROC") is not None]
    if not rows:
        return None
    low, middle = np.percentile([row["AUROC"] for row in rows], [25, 50])
    least = low - OUTLIER_RANGES * max(middle - low, 0.01)
    shown = [row for row in rows if row["AUROC"] >= least]
    ends = [value for row in shown for value in auroc_with_interval(row)]
    step = max(round((max(ends) - min(ends)) / 5, 3), 0.001)
    high = min(1.0, max(ends) + step / 4)
    return Axis("AUROC", min(float(np.floor(min(ends) / step) * step), high - step), high)


def _leaders(rows: Sequence[Row], cells: Sequence[CellSection]) -> Leaders | None:
    """Return the leaders; `cells` are in the order of the leaderboard."""
    labelled = [cell for cell in cells if cell.labelled]
    if not labelled:
        return None
    best, *others = labelled
    comparable = [other for other in others if np.array_equal(other.anomaly, best.anomaly)]
    ties = [
        other.cell.model
        for other in comparable
        if not auroc_differs(best.scores, other.scores, best.anomaly)
    ]
    return Leaders(
        best=best.row,
        baseline=next((row for row in rows if row["baseline"]), None),
        ties=ties,
        is_better=bool(others) and len(comparable) == len(others) and not ties,
    )

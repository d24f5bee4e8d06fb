"""One cell's section of the HTML page, read from the files of its stages."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hourglass.core.paths import Cell
from hourglass.evaluation.metrics import alarm_kind
from hourglass.evaluation.metrics.auroc_interval import too_few_samples
from hourglass.evaluation.report.curves import Chart, cell_charts
from hourglass.evaluation.report.pictures import Picture, Rows, evaluation_pictures, study_pictures
from hourglass.evaluation.report.provenance import Origin
from hourglass.evaluation.report.tables import read_csv
from hourglass.evaluation.report.timeline import TimelinePlot, read_timeline
from hourglass.evaluation.report.units import read_units

SHOWN_MISTAKES = 15  # per kind; mistakes.csv has more


@dataclass(frozen=True)
class CellSection:
    """The content of one cell's section: shares in [0, 1], text not yet escaped for HTML."""

    cell: Cell
    series: int  # number of the variant in the grid, which decides its colour, dashes and marker
    row: dict[str, Any]  # the cell's row of the leaderboard
    metrics: dict[str, float]
    origin: Origin
    thresholds: Rows
    classes: Rows
    mistakes: dict[str, Rows]  # by kind, the worst first
    scores: np.ndarray  # of the test split, (N,)
    anomaly: np.ndarray  # (N,)
    wrong: dict[str, int]  # number of mistakes by kind
    charts: list[Chart]
    pictures: dict[str, Picture]  # by file name
    study: list[Picture]
    units: Rows = field(default_factory=list)  # of sparse codes of tables and vectors
    timeline: TimelinePlot | None = None  # of a series
    is_series: bool = False
    rows_are_private: bool = False  # if True, no single samples are shown

    @property
    def labelled(self) -> bool:
        """Return True if the test split has normal and anomalous samples."""
        return "AUROC" in self.metrics

    @property
    def alarm(self) -> str:
        """Return the word for alarms of samples that are not labelled anomalies."""
        return alarm_kind(self.anomaly)

    @property
    def too_few(self) -> str:
        """Return why metrics have no intervals, such as "too few anomalies (1)"; "" if they do."""
        return too_few_samples(self.samples["normal"], self.samples["anomalous"])

    @property
    def unit(self) -> str:
        """Return the word for samples: those of a series are rows, which depend on each other."""
        return _unit(self.is_series)

    @property
    def class_pixel_metrics(self) -> list[str]:
        """Return the pixel metrics in the table of classes; [] without masks of defects."""
        return [key for key in ("AUPRO", "pixel_AUROC", "defect_recall") if key in self.classes[0]]

    @property
    def css(self) -> str:
        """Return the CSS classes of the variant's lines and markers."""
        return f"series s{self.series}"

    @property
    def samples(self) -> dict[str, int]:
        """Return the number of samples in the test split, by "normal" and "anomalous"."""
        anomalous = int(self.anomaly.sum())
        return {"normal": len(self.anomaly) - anomalous, "anomalous": anomalous}

    def without_rows(self) -> "CellSection":
        """Return the section without single samples."""
        units = [{**row, "samples": ""} for row in self.units]
        return replace(
            self, mistakes={}, pictures={}, timeline=None, units=units, rows_are_private=True
        )


def read_section(row: dict[str, Any], series: int, timing: dict[str, Any]) -> CellSection:
    """Read the section of the cell in a leaderboard row.

    `timing` is the record of its training in tracking/, {} if there is none.
    """
    cell = Cell(row["data"], row["model"])
    folder = cell.output("evaluate")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    columns = ["split", "anomaly", "score", "alarm"]
    scores = pd.read_parquet(folder / "scores.parquet", columns=columns)
    test = scores[scores["split"] == "test"]
    table, timeline = read_csv(folder / "mistakes.csv"), read_timeline(cell)
    anomaly = test.anomaly.to_numpy()
    wrong = {
        alarm_kind(anomaly): int((test.alarm & ~anomaly).sum()),
        "miss": int((~test.alarm & anomaly).sum()),
    }
    mistakes = {
        kind: [entry for entry in table if entry["mistake"] == kind][:SHOWN_MISTAKES]
        for kind in wrong
    }
    return CellSection(
        cell=cell,
        series=series,
        row=row,
        metrics=metrics,
        origin=Origin.of(cell, timing),
        thresholds=_thresholds(folder / "thresholds.csv"),
        classes=read_csv(folder / "by_class.csv"),
        mistakes=mistakes,
        scores=test.score.to_numpy(),
        anomaly=anomaly,
        wrong=wrong,
        charts=cell_charts(cell, test, row["threshold"], metrics, _unit(timeline is not None)),
        pictures=evaluation_pictures(cell, metrics, mistakes),
        study=study_pictures(cell),
        units=read_units(cell),
        timeline=timeline,
        is_series=timeline is not None,
    )


def _unit(is_series: bool) -> str:
    return "rows" if is_series else "samples"


def _thresholds(path: Path) -> Rows:
    """Return the deployed threshold, and those of the calibrators that give another one."""
    deployed, *others = [_format_settings(row) for row in read_csv(path)]

    def identity(row: dict[str, str]) -> list[str | None]:
        return [row.get(key) for key in ("method", "settings", "threshold")]

    return [deployed, *(row for row in others if identity(row) != identity(deployed))]


def _format_settings(row: dict[str, str]) -> dict[str, str]:
    """Return a row of thresholds.csv, its JSON settings replaced by readable text."""
    settings = json.loads(row["settings"]) if row.get("settings") else {}
    texts = (f"{key} {value}" for key, value in settings.items() if value is not None)
    return {**row, "settings": ", ".join(texts)}

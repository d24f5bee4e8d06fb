"""One cell's section of the HTML page, read from the files of its stages."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from hourglass.core.paths import Cell
from hourglass.evaluation.report.curves import Curve, curves
from hourglass.evaluation.report.pictures import Picture, Rows, evaluation_pictures, study_pictures

SHOWN_MISTAKES = 15  # per kind; mistakes.csv has more
MISTAKE_KINDS = ("false alarm", "miss")


@dataclass(frozen=True)
class Section:
    """The content of one cell's section: shares in [0, 1], text not yet escaped for HTML."""

    cell: Cell
    row: dict[str, Any]  # the cell's row of the leaderboard
    metrics: dict[str, float]
    thresholds: Rows
    classes: Rows
    mistakes: dict[str, Rows]  # by kind, the worst first
    samples: dict[str, int]  # number in the test split, by "normal" and "anomalous"
    wrong: dict[str, int]  # number of mistakes by kind
    curves: list[Curve]
    pictures: dict[str, Picture]  # by file name
    study: list[Picture]
    rows_are_private: bool = False  # if True, no single samples are shown

    @property
    def labelled(self) -> bool:
        """Return True if the test split has normal and anomalous samples."""
        return "AUROC" in self.metrics

    def without_rows(self) -> "Section":
        """Return the section without single samples."""
        return replace(self, mistakes={}, pictures={}, rows_are_private=True)


def section(row: dict[str, Any]) -> Section:
    """Read the section of the cell in a leaderboard row."""
    cell = Cell(row["data"], row["model"])
    folder = cell.output("evaluate")
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    columns = ["split", "anomaly", "score", "alarm"]
    scores = pd.read_parquet(folder / "scores.parquet", columns=columns)
    test = scores[scores["split"] == "test"]
    table = _read_csv(folder / "mistakes.csv")
    mistakes = {
        kind: [entry for entry in table if entry["mistake"] == kind][:SHOWN_MISTAKES]
        for kind in MISTAKE_KINDS
    }
    return Section(
        cell=cell,
        row=row,
        metrics=metrics,
        thresholds=[_format_settings(entry) for entry in _read_csv(folder / "thresholds.csv")],
        classes=_read_csv(folder / "by_class.csv"),
        mistakes=mistakes,
        samples={"normal": int((~test.anomaly).sum()), "anomalous": int(test.anomaly.sum())},
        wrong={
            "false alarm": int((test.alarm & ~test.anomaly).sum()),
            "miss": int((~test.alarm & test.anomaly).sum()),
        },
        curves=curves(cell, test, row["threshold"], metrics),
        pictures=evaluation_pictures(cell, metrics, mistakes),
        study=study_pictures(cell),
    )


def _read_csv(path: Path) -> Rows:
    """Return the rows of a CSV file as text, as labels such as 007 or None must not be parsed."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _format_settings(row: dict[str, str]) -> dict[str, str]:
    """Return a row of thresholds.csv, its JSON settings replaced by readable text."""
    settings = json.loads(row["settings"]) if row.get("settings") else {}
    texts = (f"{key} {value}" for key, value in settings.items() if value is not None)
    return {**row, "settings": ", ".join(texts)}

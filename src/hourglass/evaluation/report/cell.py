"""What the page says of one cell, from the files in its folder."""

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hourglass.core.paths import Cell
from hourglass.evaluation.report.curves import Curve, Scores, curves
from hourglass.evaluation.report.figures import Picture, Rows, pictures
from hourglass.evaluation.report.study import study

MOST = 15  # mistakes of either kind that are listed; mistakes.csv has more
KINDS = ("false alarm", "miss")


@dataclass(frozen=True)
class Section:
    """Hold what one cell's section shows; shares are between 0 and 1, text is not escaped yet."""

    cell: Cell
    row: dict[str, Any]  # of the leaderboard
    metrics: dict[str, float]
    thresholds: Rows
    classes: Rows
    mistakes: dict[str, Rows]  # by kind, the worst first
    samples: dict[str, int]  # normal and anomalous ones of the test split
    wrong: dict[str, int]  # by kind: how many there are in all
    curves: list[Curve]
    pictures: dict[str, Picture]  # by the name of their file
    study: list[Picture]
    rows_are_private: bool = False  # single samples are not shown here

    @property
    def labelled(self) -> bool:
        """Say whether the test split has normal and anomalous samples."""
        return "AUROC" in self.metrics

    def without_rows(self) -> "Section":
        """Return the section without what shows single samples."""
        return replace(self, mistakes={}, pictures={}, rows_are_private=True)


def section(row: dict[str, Any]) -> Section:
    """Return the section of the cell in a row of the leaderboard."""
    cell = Cell(row["data"], row["model"])
    metrics = json.loads((cell / "evaluate/metrics.json").read_text(encoding="utf-8"))
    scores = _scores(cell, row["threshold"])
    every = _read(cell / "evaluate/mistakes.csv")
    mistakes = {kind: [each for each in every if each["mistake"] == kind][:MOST] for kind in KINDS}
    alarm, anomaly = scores.alarm, scores.anomaly
    return Section(
        cell=cell,
        row=row,
        metrics=metrics,
        thresholds=[_settled(each) for each in _read(cell / "evaluate/thresholds.csv")],
        classes=_read(cell / "evaluate/by_class.csv"),
        mistakes=mistakes,
        samples={"normal": int((~anomaly).sum()), "anomalous": int(anomaly.sum())},
        wrong={"false alarm": int((alarm & ~anomaly).sum()), "miss": int((~alarm & anomaly).sum())},
        curves=curves(cell, scores, metrics),
        pictures=pictures(cell, metrics, mistakes),
        study=study(cell),
    )


def _read(path: Path) -> Rows:
    """Return a table as text: a label may be 007 or None."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _settled(row: dict[str, str]) -> dict[str, str]:
    """Return a row of thresholds.csv with the settings as a person would write them."""
    settings = json.loads(row["settings"]) if row.get("settings") else {}
    given = (f"{key} {value}" for key, value in settings.items() if value is not None)
    return {**row, "settings": ", ".join(given)}


def _scores(cell: Cell, threshold: float) -> Scores:
    import pandas as pd

    columns = ["split", "anomaly", "score", "alarm"]
    table = pd.read_parquet(cell / "evaluate/scores.parquet", columns=columns)
    test = table[table["split"] == "test"]
    values, anomaly, alarm = (test[name].to_numpy() for name in ("score", "anomaly", "alarm"))
    return Scores(values, anomaly, alarm, threshold)

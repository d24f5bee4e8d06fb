"""Files for `dvc metrics` and `dvc plots`: one row per cell, one plot per data set."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from hourglass.core.atomic import write_json
from hourglass.core.paths import Cell

# Per curve file of stage `evaluate`, its columns for x and y.
CURVES = {"roc": ("false_positive_rate", "recall"), "precision_recall": ("recall", "precision")}
METRICS = ("AUROC", "average_precision", "false_alarm_rate", "F1")
GRID = np.linspace(0, 1, 201)  # x values at which curves are interpolated


def write_metrics(path: Path, table: pd.DataFrame) -> None:
    """Write the METRICS of all cells as JSON: {data: {model: {metric: value}}}."""
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    cells = table[~table["baseline"]].drop_duplicates(["data", "model"])
    for row in cells.sort_values(["data", "model"]).to_dict("records"):
        values = {name: float(row[name]) for name in METRICS if pd.notna(row.get(name))}
        metrics.setdefault(row["data"], {})[row["model"]] = values
    write_json(path, metrics)


def write_plots(folder: Path, data: Iterable[str], models: list[str]) -> None:
    """Write one CSV file per curve and data set, with one column per variant.

    The files are roc/<data>.csv, precision_recall/<data>.csv and validation_error/<data>.csv. A
    data set without labelled anomalies has validation_error only.
    """
    for curve, (x, y) in CURVES.items():
        (folder / curve).mkdir(parents=True)
        for name in data:
            columns = dict(_columns(name, models, curve, x, y))
            if columns:
                table = pd.DataFrame({x: GRID, **columns}).round(4)
                table.to_csv(folder / curve / f"{name}.csv", index=False, lineterminator="\n")
    (folder / "validation_error").mkdir()
    for name in data:
        table = pd.DataFrame({model: _errors(Cell(name, model)) for model in models})
        table.index.name = "epoch"
        table.to_csv(folder / f"validation_error/{name}.csv", lineterminator="\n")


def _errors(cell: Cell) -> pd.Series:
    """Return the validation error per epoch, without the epochs of pre-training."""
    history = pd.read_csv(cell / "train/history.csv")
    if "phase" in history:
        history = history[history.phase.isna()]
    return history.set_index("epoch").validation_error


def _columns(
    data: str, models: list[str], curve: str, x: str, y: str
) -> Iterator[tuple[str, np.ndarray]]:
    for model in models:
        points = pd.read_csv(Cell(data, model) / f"evaluate/{curve}.csv")
        if len(points):
            yield model, np.interp(GRID, points[x], points[y])

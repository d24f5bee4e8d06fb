"""The leaderboard: a row a cell and a row a baseline, as a table and in Markdown."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.checksums import CORRUPT_FILE_ERRORS, read_with_checksum
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell, need_baselines, prepared_folder
from hourglass.core.settings import Params
from hourglass.data.prepared import Prepared
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.detection.metadata import read_metadata
from hourglass.evaluation.report.glossary import BEFORE

if TYPE_CHECKING:
    import pandas as pd

INTRODUCTION = """# Leaderboard

Test split; anomalies are the positive class; a higher score means more abnormal; 95 % bootstrap
intervals in brackets. Average precision depends on the prevalence and compares within one data set
only. Baselines are in italics; `pca` is the reconstruction error of PCA with the code sizes of the
variants. `AUROC_over_PCA` is a variant's AUROC less that of PCA with the same code size, or of the
best PCA where its code is wider than PCA's can be: an autoencoder earns its training above zero. A
cell that has settings of its own is `tuned`; what it found before stands beside it.

"""
SHOWN = {
    "AUROC": "AUROC",
    "average_precision": "average precision",
    "FPR_at_95_recall": "FPR at 95 % recall",
}
PLAIN = [
    "AUROC_over_PCA",
    "prevalence",
    "precision_at_anomalies",
    "recall",
    "false_alarm_rate",
    "F1",
]


def leaderboard(config: Params) -> "pd.DataFrame":
    """Return the rows of the grid and its baselines, best AUROC first within a data set.

    Raises a UserError where a cell is damaged.
    """
    import pandas as pd

    calibrator = make_calibrator(config.calibration)
    table = pd.concat([_rows(data, config.models, calibrator) for data in config.data])
    if "AUROC" in table:
        table = table.sort_values(["data", "AUROC"], ascending=[True, False], kind="stable")
    return table


def _rows(data: str, models: list[str], calibrator: Calibrator) -> "pd.DataFrame":
    """Return the rows of one data set: its cells, PCA of their code sizes, the other baselines."""
    import pandas as pd

    cells = [row for model in models for row in _cell_rows(Cell(data, model))]
    pca = _pca_rows(data, sorted({row["latent_dim"] for row in cells}), calibrator)
    same = {row["latent_dim"]: row["AUROC"] for row in pca if "AUROC" in row}
    for row in cells if same else ():
        row["AUROC_over_PCA"] = row["AUROC"] - same.get(row["latent_dim"], max(same.values()))
    found = json.loads(need_baselines(data).read_text(encoding="utf-8"))
    others = [_row(data, name, True, None, **each) for name, each in found.items()]
    return pd.DataFrame(cells + pca + others)


def _cell_rows(cell: Cell) -> list[dict[str, Any]]:
    """Return the row of a cell, and beside that of a tuned one what it found before."""
    detector, network, threshold = _sealed(cell)
    row = _cell_row(cell, detector["score"]["class_path"].rpartition(".")[2], network, threshold)
    if not cell.config.exists():
        return [row | {"settings": "default"}]
    rows = [row | {"settings": "tuned"}]
    if cell.default_record.exists():
        before = json.loads(cell.default_record.read_text(encoding="utf-8"))
        now = (Prepared.open(cell.prepared).card["sha256"], detector["score"])
        if (before["data"], before["score"]) == now:
            args = (before["latent_dim"], before["threshold"], before["metrics"])
            rows.append(_row(cell.data, cell.model, False, *args) | {"settings": BEFORE})
    return rows


def _sealed(cell: Cell) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return detector, network and threshold; raises a UserError where one of them is damaged."""
    try:
        detector, threshold = read_metadata(cell.output("calibrate-threshold"))
        return detector, read_with_checksum(cell / "train/network.json"), asdict(threshold)
    except CORRUPT_FILE_ERRORS as error:
        raise UserError(
            f"{cell.folder.as_posix()} cannot be compared ({one_line(error)}); `hourglass verify "
            f"{cell.data} {cell.model}` says how to mend it."
        ) from None


def _cell_row(
    cell: Cell, score: str, network: dict[str, Any], threshold: dict[str, Any]
) -> dict[str, Any]:
    metrics, training = (
        json.loads((cell / name).read_text(encoding="utf-8"))
        for name in ("evaluate/metrics.json", "train/training.json")
    )
    size = network["init_args"]["latent_dim"]
    row = _row(cell.data, cell.model, False, size, threshold, metrics)
    return row | {"score": score, "parameters": training["parameters"]}


def _pca_rows(data: str, sizes: list[int], calibrator: Calibrator) -> list[dict[str, Any]]:
    from hourglass.evaluation.baselines import flat, measured, pca

    prepared = Prepared.open(prepared_folder(data))
    train = flat(prepared, prepared.split("train").x)
    # A code wider than PCA has components has no PCA to compare with.
    return [
        _row(data, "pca", True, size, **measured(prepared, pca(train, size), calibrator))
        for size in sizes
        if size <= min(train.shape)
    ]


def _row(
    data: str,
    model: str,
    baseline: bool,
    latent_dim: int | None,
    threshold: dict[str, Any],
    metrics: dict[str, float],
) -> dict[str, Any]:
    names = {"data": data, "model": model, "baseline": baseline, "latent_dim": latent_dim}
    chosen = {"threshold_method": threshold["method"], "threshold": threshold["value"]}
    return names | metrics | chosen


def markdown(table: "pd.DataFrame") -> str:
    """Return the columns that people compare, intervals in brackets, as a Markdown table."""
    import pandas as pd

    shown = pd.DataFrame({"data": table["data"]})
    italic = "*" + table["model"] + "*"
    shown["model"] = table["model"].where(~table["baseline"], italic)
    if (table["settings"] == "tuned").any():
        shown["settings"] = table["settings"].fillna("")
    shown["latent_dim"] = ["" if size != size else f"{size:.0f}" for size in table["latent_dim"]]
    for name, title in SHOWN.items():
        if name in table:
            ends = [table.get(f"{name}_{end}", table[name] * np.nan) for end in ("low", "high")]
            shown[title] = list(map(_with_interval, table[name], *ends))
    for name in (name for name in PLAIN if name in table):
        shown[name] = [f"{value:.4f}" if value == value else "" for value in table[name]]
    return str(shown.to_markdown(index=False, missingval="", disable_numparse=True))


def _with_interval(value: float, low: float, high: float) -> str:
    interval = f" [{low:.3f}, {high:.3f}]" if low == low else ""
    return f"{value:.4f}{interval}" if value == value else ""

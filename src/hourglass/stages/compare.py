"""Stage `compare`: the metrics of all cells -> the leaderboard, with the baselines beside them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.calibration import Calibrator
from hourglass.data.packed import Prepared
from hourglass.detection.threshold import Threshold
from hourglass.files import whole_file, write_text
from hourglass.settings import params
from hourglass.stages.baselines import flat, measured
from hourglass.stages.calibrate_threshold import make_calibrator
from hourglass.workspace import LEADERBOARD, Cell, need_baselines, prepared_folder

if TYPE_CHECKING:
    import pandas as pd

INTRODUCTION = """# Leaderboard

Test split; anomalies are the positive class; a higher score means more abnormal; 95 % bootstrap
intervals in brackets. Average precision depends on the prevalence and compares within one data set
only. Baselines are in italics; `pca` is the reconstruction error of PCA with the code sizes of the
variants. `AUROC_over_PCA` is a variant's AUROC less that of PCA with the same code size, or of the
best PCA where its code is wider than PCA's can be: an autoencoder earns its training above zero.

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


def compare() -> Path:
    """Put every cell of the grid into one table, with baselines on the same splits.

    Writes reports/leaderboard.csv and reports/leaderboard.md, best AUROC first within a data set.
    """
    import pandas as pd

    config = params()
    calibrator = make_calibrator(config.calibration)
    table = pd.concat([_rows(data, config.models, calibrator) for data in config.data])
    if "AUROC" in table:
        table = table.sort_values(["data", "AUROC"], ascending=[True, False], kind="stable")
    with whole_file(LEADERBOARD) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    write_text(LEADERBOARD.with_suffix(".md"), f"{INTRODUCTION}{markdown(table)}\n")
    return LEADERBOARD


def _rows(data: str, models: list[str], calibrator: Calibrator) -> "pd.DataFrame":
    """Return the rows of one data set: its cells, PCA of their code sizes, the other baselines."""
    import pandas as pd

    cells = [_cell_row(Cell(data, model)) for model in models]
    pca = _pca_rows(data, sorted({row["latent_dim"] for row in cells}), calibrator)
    same = {row["latent_dim"]: row["AUROC"] for row in pca if "AUROC" in row}
    for row in cells if same else ():
        row["AUROC_over_PCA"] = row["AUROC"] - same.get(row["latent_dim"], max(same.values()))
    found = json.loads(need_baselines(data).read_text(encoding="utf-8"))
    others = [_row(data, name, True, None, **each) for name, each in found.items()]
    return pd.DataFrame(cells + pca + others)


def _cell_row(cell: Cell) -> dict[str, Any]:
    metrics = json.loads(cell.need("metrics.json", "evaluate").read_text(encoding="utf-8"))
    network = json.loads(cell.need("network.json", "train").read_text(encoding="utf-8"))
    training = json.loads(cell.need("training.json", "train").read_text(encoding="utf-8"))
    detector = json.loads(
        cell.need("detector.json", "calibrate-threshold").read_text(encoding="utf-8")
    )
    threshold = asdict(Threshold.read(cell.need("threshold.json", "calibrate-threshold")))
    size = network["init_args"]["latent_dim"]
    row = _row(cell.data, cell.model, False, size, threshold, metrics)
    score = detector["score"]["class_path"].rpartition(".")[2]
    return row | {"score": score, "parameters": training["parameters"]}


def _pca_rows(data: str, sizes: list[int], calibrator: Calibrator) -> list[dict[str, Any]]:
    from hourglass.baselines import pca

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
    shown["latent_dim"] = table["latent_dim"].astype("Int64")
    for name, title in SHOWN.items():
        if name in table:
            ends = [table[f"{name}_{end}"] for end in ("low", "high")]
            shown[title] = list(map(_with_interval, table[name], *ends))
    for name in (name for name in PLAIN if name in table):
        shown[name] = [f"{value:.4f}" if value == value else "" for value in table[name]]
    return str(shown.to_markdown(index=False, missingval="", disable_numparse=True))


def _with_interval(value: float, low: float, high: float) -> str:
    return f"{value:.4f} [{low:.3f}, {high:.3f}]" if value == value else ""

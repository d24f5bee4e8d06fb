"""Stage `compare`: the metrics of all cells -> the leaderboard, with PCA beside them."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.calibration import Calibrator
from hourglass.data.packed import Prepared
from hourglass.files import whole_file, write_text
from hourglass.settings import params
from hourglass.stages.calibrate_threshold import calibration_of, make_calibrator
from hourglass.threshold import Threshold
from hourglass.workspace import LEADERBOARD, Cell, prepared_folder

if TYPE_CHECKING:
    from hourglass.baselines import PCAReconstruction

INTRODUCTION = """# Leaderboard

Test split; anomalies are the positive class; a higher score means more abnormal. Average precision
depends on the prevalence and compares within one data set only. `pca` is the reconstruction error
of PCA with the same code size, where it has as many components: an autoencoder earns its training
above it.

"""


def compare() -> Path:
    """Put every cell of the grid into one table, with PCA of the same code size.

    Writes reports/leaderboard.csv and reports/leaderboard.md, best AUROC first within a data set.
    """
    import pandas as pd

    config = params()
    rows: list[dict[str, Any]] = []
    for data in config.data:
        cells = [_cell_row(Cell(data, model)) for model in config.models]
        sizes = sorted({row["latent_dim"] for row in cells})
        rows += cells + _pca_rows(data, sizes, make_calibrator(config.calibration))
    table = pd.DataFrame(rows)
    if "AUROC" in table:
        table = table.sort_values(["data", "AUROC"], ascending=[True, False], kind="stable")
    with whole_file(LEADERBOARD) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    text = table.to_markdown(index=False, floatfmt=".4g", missingval="")
    write_text(LEADERBOARD.with_suffix(".md"), f"{INTRODUCTION}{text}\n")
    return LEADERBOARD


def _cell_row(cell: Cell) -> dict[str, Any]:
    metrics = json.loads(cell.need("metrics.json", "evaluate").read_text(encoding="utf-8"))
    network = json.loads(cell.need("network.json", "train").read_text(encoding="utf-8"))
    training = json.loads(cell.need("training.json", "train").read_text(encoding="utf-8"))
    threshold = Threshold.read(cell.need("threshold.json", "calibrate-threshold"))
    row = _row(cell.data, cell.model, network["init_args"]["latent_dim"], threshold, metrics)
    return row | {"parameters": training["parameters"]}


def _pca_rows(data: str, sizes: list[int], calibrator: Calibrator) -> list[dict[str, Any]]:
    from hourglass import metrics
    from hourglass.baselines import PCAReconstruction

    prepared = Prepared.open(prepared_folder(data))
    train = prepared.scaling(np.asarray(prepared.split("train").x))
    test = prepared.split("test")
    rows = []
    # A code wider than PCA has components has no PCA to compare with.
    for size in (size for size in sizes if size <= min(len(train), train[0].size)):
        pca = PCAReconstruction(train, size)
        score = partial(_scores, pca, prepared)
        threshold, scores = calibration_of(prepared, score)(calibrator), score(test.x)
        found = metrics.summary(scores, scores, test.anomaly, threshold)
        rows.append(_row(data, "pca", size, threshold, found))
    return rows


def _scores(pca: "PCAReconstruction", prepared: Prepared, x: np.ndarray) -> np.ndarray:
    return pca.scores(prepared.scaling(np.asarray(x)))


def _row(
    data: str, model: str, latent_dim: int, threshold: Threshold, metrics: dict[str, float]
) -> dict[str, Any]:
    names = {"data": data, "model": model, "latent_dim": latent_dim}
    return names | metrics | {"threshold_method": threshold.method, "threshold": threshold.value}

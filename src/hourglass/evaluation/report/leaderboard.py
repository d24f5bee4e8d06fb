"""The leaderboard: one row per cell and per baseline, as a table and in Markdown."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.checksums import CORRUPT_FILE_ERRORS, read_with_checksum
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import Cell, prepared_folder, require_baselines
from hourglass.core.settings import Params, shared_config
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.calibrators.from_settings import make_calibrator
from hourglass.detection.metadata import read_metadata
from hourglass.evaluation.report.glossary import BEFORE_TUNING, INTERVALS, metric_title

if TYPE_CHECKING:
    import pandas as pd

INTRODUCTION = """# Leaderboard

Metrics on the test split, with anomalies as the positive class; 95 % intervals are in brackets,
unless there are fewer than 10 anomalies or normal samples. Average precision depends on the
prevalence, so compare it within one data set only. Baselines are in italics; `pca` is the
reconstruction error of PCA with the latent dimensions of the variants, or with half of the
possible components if all variants have wider codes. `AUROC_over_PCA` is a variant's AUROC minus
that of PCA with the same latent dimension, or of the best PCA if the latent code is wider than PCA
allows; above zero, the autoencoder is better than PCA. A cell with settings from `configs/cell/` is
`tuned`, and its earlier result is in the row `before tuning`.

"""
WITHOUT_INTERVALS = [
    "AUROC_over_PCA",
    "prevalence",
    "precision_at_anomalies",
    "recall",
    "false_alarm_rate",
    "F1",
    "VUS_PR",
    "AUPRO",
    "pixel_AUROC",
    "event_recall",
    "alarms_per_day",
]


def leaderboard(config: Params) -> "pd.DataFrame":
    """Return the leaderboard of all cells and baselines, by data set and descending AUROC.

    Raises a UserError if a file of a cell is damaged.
    """
    import pandas as pd

    calibrator = make_calibrator(config.calibration)
    table = pd.concat([_rows(data, config.models, calibrator) for data in config.data])
    if "AUROC" in table:
        table = table.sort_values(["data", "AUROC"], ascending=[True, False], kind="stable")
    return table


def _rows(data: str, models: list[str], calibrator: Calibrator) -> "pd.DataFrame":
    """Return the rows of one data set: cells, PCA per latent_dim of the cells, other baselines."""
    import pandas as pd

    from hourglass.evaluation.baselines import evaluate_baseline, on_inputs, pca_of_inputs

    cells = [row for model in models for row in cell_rows(Cell(data, model))]
    prepared = Prepared.open(prepared_folder(data))
    most = min(prepared.input_count("train"), math.prod(prepared.input_shape))
    pca_rows = [
        _row(data, "pca", True, size, **evaluate_baseline(prepared, fit, calibrator))
        for size in components({row["latent_dim"] for row in cells}, most)
        for fit in [partial(on_inputs, partial(pca_of_inputs, latent_dim=size))]
    ]
    aurocs = {row["latent_dim"]: row["AUROC"] for row in pca_rows if "AUROC" in row}
    for row in cells if aurocs else ():
        reference = aurocs.get(row["latent_dim"], max(aurocs.values()))
        row["AUROC_over_PCA"] = row["AUROC"] - reference
    return pd.DataFrame(cells + pca_rows + baseline_rows(data))


def components(latent_dims: Iterable[int], most: int) -> list[int]:
    """Return the numbers of components of PCA: the latent dimensions that it can have.

    If all are above `most`, the smaller of samples and features, it is half of that.
    """
    return sorted(size for size in latent_dims if size <= most) or [max(1, most // 2)]


def baseline_rows(data: str) -> list[dict[str, Any]]:
    """Return the rows of a data set's baselines, without PCA."""
    baselines = json.loads(require_baselines(data).read_text(encoding="utf-8"))
    return [_row(data, name, True, None, **values) for name, values in baselines.items()]


def cell_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    """Yield the row of a cell and, if it was tuned, the row of its results before tuning.

    Raises a UserError if a file is damaged.
    """
    try:
        detector, threshold = read_metadata(cell.output("calibrate-threshold"))
        network = read_with_checksum(cell / "train/network.json")
    except CORRUPT_FILE_ERRORS as error:
        raise UserError(
            f"{cell.folder.as_posix()} cannot be compared ({one_line(error)}); run `hourglass "
            f"verify {cell.data} {cell.model}`."
        ) from None
    metrics = json.loads((cell / "evaluate/metrics.json").read_text(encoding="utf-8"))
    training = json.loads((cell / "train/training.json").read_text(encoding="utf-8"))
    latent_dim = network["init_args"]["latent_dim"]
    row = _row(cell.data, cell.model, False, latent_dim, asdict(threshold), metrics)
    row["score"] = detector["score"]["class_path"].rpartition(".")[2]
    row["parameters"] = training["parameters"]
    if not cell.config.exists():
        yield row | {"settings": "default"}
        return
    yield row | {"settings": "tuned"}
    if before := _before_tuning(cell, detector["score"]):
        args = (before["latent_dim"], before["threshold"], before["metrics"])
        yield _row(cell.data, cell.model, False, *args) | {"settings": BEFORE_TUNING}


def _before_tuning(cell: Cell, scorer: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a cell before tuning, or None if it is outdated or does not exist.

    It is outdated if the data, the scorer or the settings in configs/data, configs/model and
    params.yaml have changed.
    """
    if not cell.default_record.exists():
        return None
    before: dict[str, Any] = json.loads(cell.default_record.read_text(encoding="utf-8"))
    now = {
        "data": Prepared.open(cell.prepared).card["sha256"],
        "score": scorer,
        "config": shared_config(cell),
    }
    # Records of earlier versions have no `config`.
    return before if all(before.get(key, now[key]) == now[key] for key in now) else None


def _row(
    data: str,
    model: str,
    baseline: bool,
    latent_dim: int | None,
    threshold: dict[str, Any],
    metrics: dict[str, float],
) -> dict[str, Any]:
    names = {"data": data, "model": model, "baseline": baseline, "latent_dim": latent_dim}
    calibrated = {"threshold_method": threshold["method"], "threshold": threshold["value"]}
    return names | metrics | calibrated


def markdown(table: "pd.DataFrame") -> str:
    """Return the main columns as a Markdown table, with 95 % intervals in brackets."""
    import pandas as pd

    shown = pd.DataFrame({"data": table["data"]})
    italic = "*" + table["model"] + "*"
    shown["model"] = table["model"].where(~table["baseline"], italic)
    if (table["settings"] == "tuned").any():
        shown["settings"] = table["settings"].fillna("")
    shown["latent_dim"] = ["" if size != size else f"{size:.0f}" for size in table["latent_dim"]]
    for name in (name for name in INTERVALS if name in table):
        ends = [table.get(f"{name}_{end}", table[name] * np.nan) for end in ("low", "high")]
        shown[metric_title(name)] = list(map(_with_interval, table[name], *ends))
    for name in (name for name in WITHOUT_INTERVALS if name in table):
        shown[name] = [f"{value:.4f}" if value == value else "" for value in table[name]]
    return str(shown.to_markdown(index=False, missingval="", disable_numparse=True))


def _with_interval(value: float, low: float, high: float) -> str:
    interval = f" [{low:.3f}, {high:.3f}]" if low == low else ""
    return f"{value:.4f}{interval}" if value == value else ""

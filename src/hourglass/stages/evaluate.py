"""Stage `evaluate`: weights, threshold and the test split -> metrics, curves and figures."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hourglass.data.packed import SPLITS, Prepared, Samples
from hourglass.files import whole_files, write_json
from hourglass.threshold import Threshold
from hourglass.tracking.recorder import Recorder
from hourglass.workspace import Cell

if TYPE_CHECKING:
    from hourglass.figures import Group
    from hourglass.networks import Network

SHOWN = {"images": 10, "features": 4}  # samples a row of a figure
SAMPLES = 50  # made up by a variational network


def evaluate(data: str, model: str) -> Path:
    """Measure a calibrated detector on the test split.

    No stage before it reads that split. Writes to runs/<data>/<model>/: metrics.json,
    scores.parquet (sample id, split, label, score, alarm), roc.csv, precision_recall.csv, figures/
    and timing.json; and thresholds.csv, the alarms of every calibrator beside what it expected.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model

    """
    cell = Cell(data, model)
    cell.need_training()
    threshold = Threshold.read(cell.need("threshold.json", "calibrate-threshold"))
    prepared = Prepared.open(cell.prepared)
    with Recorder() as recorder:
        from hourglass.weights import load

        network = load(cell.folder)
        with whole_files(cell.folder) as folder:
            metrics = _measure(cell, folder, prepared, network, threshold)
            recorder.ask("row")  # where the store does not answer, nothing is kept
        found = {"threshold": threshold.value, **metrics}
        recorder.resume(cell, prepared.card, threshold.params(), found)
        names = ("figures", "metrics.json", "roc.csv", "precision_recall.csv", "timing.json",
                 "thresholds.csv")  # fmt: skip
        recorder.tell("files", paths=[str(cell / name) for name in names])
        recorder.ask("row")
    return cell / "metrics.json"


def _measure(
    cell: Cell, folder: Path, prepared: Prepared, network: "Network", threshold: Threshold
) -> dict[str, float]:
    """Write everything to `folder` and return the content of metrics.json."""
    # Drawing is imported here for the clock: an import is no work.
    from hourglass import figures, metrics, scoring  # noqa: F401

    test = prepared.split("test")
    start = time.perf_counter()
    scores = scoring.scores(network, test.x, prepared.scaling)
    seconds = time.perf_counter() - start
    errors = scoring.errors(network, test.x, prepared.scaling)
    found = metrics.summary(scores, errors, test.anomaly, threshold)
    _write_scores(folder, prepared, network, threshold, scores)
    _write_thresholds(cell, folder, threshold, scores, test.anomaly)
    _write_pictures(folder, prepared, network, threshold, scores, found)
    timing = {
        "train": json.loads((cell / "training.json").read_text(encoding="utf-8")),
        "score": {"seconds": seconds, "samples_per_second": len(scores) / seconds},
        "evaluate": {"seconds": time.perf_counter() - start},
    }
    write_json(folder / "timing.json", timing)
    write_json(folder / "metrics.json", found)
    return found


def _write_scores(
    folder: Path, prepared: Prepared, network: "Network", threshold: Threshold, test: np.ndarray
) -> None:
    import pandas as pd

    from hourglass import scoring

    parts = []
    for name in SPLITS[1:]:
        part = prepared.split(name)
        scores = test if name == "test" else scoring.scores(network, part.x, prepared.scaling)
        parts.append(
            pd.DataFrame(
                {
                    "id": part.id,
                    "split": name,
                    "label": part.label,
                    "anomaly": part.anomaly,
                    "score": scores,
                    "alarm": threshold(scores),
                }
            )
        )
    pd.concat(parts, ignore_index=True).to_parquet(folder / "scores.parquet", index=False)


def _write_thresholds(
    cell: Cell, folder: Path, chosen: Threshold, scores: np.ndarray, anomaly: np.ndarray
) -> None:
    """Write what every calibrator expected and what came of it, the deployed one first."""
    import pandas as pd

    from hourglass import metrics

    others = json.loads((cell / "thresholds.json").read_text(encoding="utf-8"))
    rows = [{"calibrator": "deployed", **metrics.of_calibrator(chosen, scores, anomaly)}]
    for name, each in others.items():
        row = {"refused": each.get("refused")}
        if "threshold" in each:
            row = metrics.of_calibrator(Threshold(**each["threshold"]), scores, anomaly)
        rows.append({"calibrator": name, **row})
    table = pd.DataFrame(rows)
    table.to_csv(folder / "thresholds.csv", index=False, lineterminator="\n")


def _write_pictures(
    folder: Path,
    prepared: Prepared,
    network: "Network",
    threshold: Threshold,
    scores: np.ndarray,
    found: dict[str, float],
) -> None:
    from hourglass import figures, metrics, scoring
    from hourglass.networks.variational import Variational

    test = prepared.split("test")
    features = prepared.card["feature_names"]
    groups = _groups(prepared, network, test, scores, threshold)
    curves = {name: getattr(metrics, name)(scores, test.anomaly) for name in
              ("roc", "precision_recall")}  # fmt: skip
    for name, curve in curves.items():
        curve.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    drawn = {
        "histogram": figures.histogram(scores, test.anomaly, threshold),
        **{name: figures.samples(rows, features) for name, rows in groups.items() if rows},
    }
    if isinstance(network, Variational) and not features:
        drawn["samples"] = figures.generated(scoring.samples(network, SAMPLES))
    if "AUROC" in found:
        drawn["roc"] = figures.roc(curves["roc"], found["AUROC"])
        drawn["precision_recall"] = figures.precision_recall(
            curves["precision_recall"], found["average_precision"], found["prevalence"]
        )
    (folder / "figures").mkdir()
    for name, figure in drawn.items():
        figures.save(figure, folder / "figures" / f"{name}.png")


def _groups(
    prepared: Prepared,
    network: "Network",
    test: Samples,
    scores: np.ndarray,
    threshold: Threshold,
) -> dict[str, list["Group"]]:
    """Return the rows of the two figures of samples: typical ones, and the worst mistakes."""
    alarm, order = threshold(scores), np.argsort(scores, kind="stable")
    count = SHOWN["features" if prepared.card["feature_names"] else "images"]
    typical = {
        "normal": np.flatnonzero(~test.anomaly)[:: max(1, (~test.anomaly).sum() // count)],
        "anomalous": np.flatnonzero(test.anomaly)[:: max(1, test.anomaly.sum() // count)],
    }
    worst = {
        "worst false alarms": order[::-1][(alarm & ~test.anomaly)[order[::-1]]],
        "worst misses": order[(~alarm & test.anomaly)[order]],
    }
    return {
        name: [
            _group(title, chosen[:count], prepared, network, test, scores)
            for title, chosen in rows.items()
            if len(chosen)
        ]
        for name, rows in (("reconstructions", typical), ("mistakes", worst))
    }


def _group(
    title: str,
    chosen: np.ndarray,
    prepared: Prepared,
    network: "Network",
    test: Samples,
    scores: np.ndarray,
) -> "Group":
    from hourglass import scoring
    from hourglass.figures import Group

    x = np.asarray(test.x[chosen])
    outputs = scoring.reconstructions(network, x, prepared.scaling)
    captions = [f"{test.label[i]}: {scores[i]:.3g}" for i in chosen]
    return Group(title, prepared.scaling(x), outputs, captions)

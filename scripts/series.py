"""Compare detectors on public time series; writes docs/benchmarks/series.md.

    python scripts/series.py                       # NAB and SKAB, all methods: an hour
    python scripts/series.py --sets nab --names nyc_taxi --methods denoising neighbors
    python scripts/series.py --sets nab --methods denoising --row-score step --combine mean

Needs HOURGLASS_DATA with the folder series. NAB: the first 15 % of each series train, without
labelled anomalies; all rows are scored, and follow each other whatever their times; VUS-PR with the
period of the series as buffer. SKAB: the first 400 rows of each file are known to be normal: 300
train, and an alarm is a score above 1.5 times the 99.9 % quantile of the scores of the other 100.
F1, false alarms and misses are over the rows of all files. No setting is chosen for one series.

Results are kept in build/series/results.csv; a later call replaces those of its series and methods,
and writes the page of all results.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import multiprocessing
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, data_folder, merge_results, write_page

if TYPE_CHECKING:
    from hourglass.data.series_encoding import SeriesEncoding

RESULTS, PAGE = ROOT / "build/series/results.csv", ROOT / "docs/benchmarks/series.md"
KEYS = ["set", "series", "method", "row_score", "combine"]
TRAIN_SHARE, TRAIN_ROWS, FITTED_ROWS = 0.15, 400, 300
QUANTILE, FACTOR = 0.999, 1.5
WINDOWS_PER_TRAIN = 6  # as of the data set Series
# Settings of the variants, and of their training, for all series.
VARIANTS: dict[str, dict[str, Any]] = {
    "denoising": {"latent_dim": 256, "hidden": [256], "noise_factor": 1.0},
    "ensemble": {"noise_factor": 1.0, "batch_share": 1.0},
    "undercomplete": {"latent_dim": 16, "hidden": [128]},
    "variational": {"latent_dim": 16, "hidden": [128]},
    "convolutional": {"latent_dim": 16},
    "temporal": {"latent_dim": 16},
    "recurrent": {"latent_dim": 16},
}
STEPS, BATCH_SIZE, LEARNING_RATE = 1000, 64, 3e-3
COMBINED = "combined"  # suffix of a method: the error with the distance to the nearest windows


def main() -> None:
    """Run the requested measurements, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["nab", "skab"])
    parser.add_argument("--names", nargs="+", default=[], help="parts of file names; default: all")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--combine", default="max", choices=["max", "mean", "median"])
    parser.add_argument("--row-score", default="window", choices=["window", "step"])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    from hourglass.evaluation.window_baselines import WINDOW_BASELINES

    combined = [f"{name} {COMBINED}" for name in ("denoising", "ensemble")]
    methods = options.methods or [*VARIANTS, *combined, *WINDOW_BASELINES]
    tasks = [
        (name, path, method, {"row_score": options.row_score, "combine": options.combine})
        for method in methods
        for name in options.sets
        for path in sorted((data_folder() / "series" / name).glob("*.csv"))
        if not options.names or any(part in path.stem for part in options.names)
    ]
    rows = []
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for row in pool.imap_unordered(_measure, tasks):
            print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()})
            rows.append(row)
    write_page(PAGE, _page(merge_results(RESULTS, pd.DataFrame(rows), KEYS)))


def _measure(task: tuple[str, Path, str, Any]) -> dict[str, Any]:
    """Return the figures of one method on one series."""
    name, path, method, modes = task
    warnings.filterwarnings("ignore")
    x, anomaly, encoding = _load(name, path)
    count = round(TRAIN_SHARE * len(x)) if name == "nab" else TRAIN_ROWS
    train = x[:count][~anomaly[:count]] if name == "nab" else x[:FITTED_ROWS]
    from hourglass.data.series import MAX_WINDOW

    window = min(MAX_WINDOW, count // WINDOWS_PER_TRAIN)
    encoding = replace(encoding.refit(train), window=window, **modes)
    start = time.process_time()
    score = _fit(method, train, encoding)
    scores = score(x)
    row: dict[str, Any] = {"set": name, "series": path.stem, "method": method, **modes}
    row["seconds"] = round(time.process_time() - start, 2)
    from hourglass.evaluation.metrics.vus import period, vus

    row |= vus(scores, anomaly, period(encoding.features(x)[:, 0]))
    alarm = scores > FACTOR * np.quantile(scores[FITTED_ROWS:TRAIN_ROWS], QUANTILE)
    counts = {"hits": alarm & anomaly, "false": alarm & ~anomaly, "missed": ~alarm & anomaly}
    return row | {key: int(mask.sum()) for key, mask in counts.items()} | {"rows": len(x)}


def _load(name: str, path: Path) -> "tuple[np.ndarray, np.ndarray, SeriesEncoding]":
    """Return the codes, labels and encoding of a series."""
    from hourglass.data.series import Series
    from hourglass.data.series_encoding import SeriesEncoding

    if name == "nab":
        series = Series(str(path), "timestamp", intervals=str(path.parent / "windows.json"))
    else:
        labels: dict[str, Any] = {"label": "anomaly", "normal": 0, "drop": ("changepoint",)}
        series = Series(str(path), "datetime", **labels)
    raw = series.load(path.parent)
    raw.x[:, 0] = np.nan  # the rows follow each other, as in the published results
    encoding = series.fit_encoding(raw, raw.x)
    assert isinstance(encoding, SeriesEncoding)
    return raw.x, raw.anomaly, encoding


def _fit(
    method: str, train: np.ndarray, encoding: "SeriesEncoding"
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from rows to scores of a method that is fitted to normal rows."""
    from hourglass import models
    from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
    from hourglass.detection.scorers import Combined, ModelScore, Neighbors
    from hourglass.detection.scoring import FittedScorer
    from hourglass.evaluation.window_baselines import WINDOW_BASELINES, score_rows, train_windows
    from hourglass.models import VARIANTS as CLASSES
    from hourglass.training.cell_settings import CellSettings, TrainingPlan
    from hourglass.training.in_memory import train_in_memory

    if method in WINDOW_BASELINES:
        score = WINDOW_BASELINES[method](train_windows(encoding, train), 0)
        return lambda x: score_rows(score, encoding, x)
    variant, _, combined = method.partition(" ")
    settings = VARIANTS[variant] | {"learning_rate": LEARNING_RATE}
    settings["sample_shape"] = list(encoding.input_shape)
    plan = TrainingPlan(BATCH_SIZE, min_steps=STEPS, max_steps=STEPS, patience=STEPS)
    kind = getattr(models, CLASSES[variant])
    cell = CellSettings(
        data=method,
        model=variant,
        class_path=f"{kind.__module__}.{kind.__qualname__}",
        init_args=settings,
        training=plan.training(encoding.input_count(train)),
        trainer={"accelerator": "cpu", "devices": 1},
        seed=0,
    )
    card = {"scaling": encoding.to_dict(), "sample_shape": list(train.shape[1:]), "data": method}
    # No rows are left for validation: the weights of the best train error are taken.
    splits: dict[Split, Samples] = {
        "train": Samples.normal(train),
        "validation": Samples.normal(train),
    }
    network, _ = train_in_memory(kind, cell, PreparedInMemory(Path(method), card, splits))
    scorer = Combined([ModelScore(), Neighbors(of="input")]) if combined else ModelScore()
    return FittedScorer.fit(network, encoding, scorer, train)


def _page(table: pd.DataFrame) -> str:
    lines = [f"# Detectors of time series\n\n{__doc__}"]
    modes = table[table.set == "nab"].groupby(["method", "row_score", "combine"]).VUS_PR.mean()
    table = table[(table["row_score"] == "window") & (table["combine"] == "max")]
    nab, skab = table[table.set == "nab"], table[table.set == "skab"]
    if len(nab):
        real = nab[~nab.series.str.startswith("art_")]
        means = pd.DataFrame(
            {
                "VUS-PR": nab.groupby("method").VUS_PR.mean(),
                "VUS-PR, real series": real.groupby("method").VUS_PR.mean(),
                "VUS-ROC": nab.groupby("method").VUS_ROC.mean(),
                "CPU seconds per series": nab.groupby("method").seconds.mean(),
            }
        )
        lines += ["## NAB\n", _markdown(means.sort_values("VUS-PR", ascending=False))]
        lines.append(_markdown(nab.pivot(index="series", columns="method", values="VUS_PR")))
    if len(skab):
        sums = skab.groupby("method")[["hits", "false", "missed", "rows"]].sum()
        normal = sums.rows - sums.hits - sums.missed
        means = pd.DataFrame(
            {
                "F1": 2 * sums.hits / (2 * sums.hits + sums.false + sums.missed),
                "false alarms": sums.false / normal,
                "missed": sums.missed / (sums.hits + sums.missed),
                "VUS-PR": skab.groupby("method").VUS_PR.mean(),
            }
        )
        lines += ["## SKAB, valve1\n", _markdown(means.sort_values("F1", ascending=False))]
    if len(others := modes.unstack(["row_score", "combine"]).dropna()) and others.shape[1] > 1:
        others.columns = [" of a ".join(reversed(names)) for names in others.columns]
        lines += ["## Scores of rows\n", "VUS-PR on NAB, by `combine` and `row_score`.\n"]
        lines.append(_markdown(others))
    return "\n".join(lines)


def _markdown(table: pd.DataFrame) -> str:
    return table.round(3).reset_index().to_markdown(index=False) + "\n"


if __name__ == "__main__":
    main()

"""Compare scores on tables without labels; writes docs/benchmarks/unlabelled.md.

    python scripts/unlabelled.py                              # half an hour on one core
    python scripts/unlabelled.py --sets glass --seeds 0

Needs HOURGLASS_DATA with the folder adbench. As in `hourglass try` without labels, all rows count
as normal, anomalies included, and all are ranked; a table gives at most 6,000 rows, drawn by the
seed. Networks are trained by `hourglass.Autoencoder` with its defaults. The labels of the first
half of the tables, by name, chose the default of `try`; the second half reports it.

Results are kept in build/unlabelled/results.csv; a later call replaces those of its tables and
seeds, and writes the page of all results.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import multiprocessing
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from adbench_detectors import ALPHA, fitting_splits
from common import ROOT, argument_parser, data_folder, merge_results, write_page
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

RESULTS = ROOT / "build/unlabelled/results.csv"
PAGE = ROOT / "docs/benchmarks/unlabelled.md"
KEYS = ["set", "seed", "detector"]
MAX_ROWS, NEIGHBORS = 6000, 5


def main() -> None:
    """Run the requested measurements, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[], help="parts of file names; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=range(3))
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    paths = sorted((data_folder() / "adbench").glob("*.npz"))
    paths = [p for p in paths if not options.sets or any(s in p.stem for s in options.sets)]
    if not paths:
        parser.error("no file of the folder adbench matches --sets")
    tasks = [(path, seed) for seed in options.seeds for path in paths]
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for done, rows in enumerate(pool.imap_unordered(measure, tasks), 1):
            table = merge_results(RESULTS, pd.DataFrame(rows), KEYS)
            print(f"{done}/{len(tasks)} {rows[0]['set']} {rows[0]['seed']}", flush=True)
    write_page(PAGE, page(table))


def measure(task: tuple[Path, int]) -> list[dict[str, Any]]:
    """Return a row for each detector on a table."""
    path, seed = task
    warnings.simplefilter("ignore")
    with np.load(path, allow_pickle=False) as file:
        rows = np.unique(np.column_stack([file["X"].astype(np.float64), file["y"]]), axis=0)
    rows = np.random.default_rng(seed).permutation(rows)[:MAX_ROWS]
    x, is_anomaly = rows[:, :-1], rows[:, -1] == 1
    return [
        {
            "set": path.stem.split("_", 1)[1],
            "seed": seed,
            "detector": name,
            "auroc": roc_auc_score(is_anomaly, scores),
            "ap": average_precision_score(is_anomaly, scores),
            "seconds": seconds,
        }
        for name, scores, seconds in detectors(x, seed)
    ]


def detectors(x: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield the name, the scores of all rows and the CPU seconds of each detector."""
    scaled = StandardScaler().fit_transform(x)
    start = time.process_time()
    yield "isolation forest", -IsolationForest(random_state=seed).fit(x).score_samples(x), _s(start)
    start = time.process_time()
    nearest = NearestNeighbors(n_neighbors=NEIGHBORS).fit(scaled)
    distances, _ = nearest.kneighbors()  # without the row itself
    yield f"distance to the {NEIGHBORS} nearest rows", distances.mean(1), _s(start)
    start = time.process_time()
    yield "Mahalanobis distance of the row", LedoitWolf().fit(scaled).mahalanobis(scaled), _s(start)
    for variant in ("ensemble", "denoising"):
        yield from _networks(variant, x, seed)


def _s(start: float) -> float:
    return time.process_time() - start


def _networks(variant: str, x: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray, float]]:
    """Yield the scores of a variant, trained once, by each scorer."""
    from hourglass import Autoencoder
    from hourglass.detection.scorers import (
        Combined,
        Mahalanobis,
        ModelScore,
        Neighbors,
        Scorer,
        StandardizedError,
    )
    from hourglass.detection.scoring import FittedScorer

    start = time.process_time()
    model = Autoencoder(variant, random_state=seed, alpha=ALPHA, scorer=ModelScore()).fit(x)
    training = _s(start)
    parts = fitting_splits(model, x, seed)
    few = len(parts[0]) // 2 - 1  # the scorers are compared on halves
    nearest = Neighbors(min(NEIGHBORS, few), of="input")
    scorers: dict[str, Scorer] = {
        "error": ModelScore(),
        "standardized error": StandardizedError(),
        "Mahalanobis distance of the code": Mahalanobis(),
        "standardized error and Mahalanobis": Combined([StandardizedError(), Mahalanobis()]),
        "standardized error and neighbors": Combined([StandardizedError(), nearest]),
    }
    scoring = model.detector_.scoring
    for name, scorer in scorers.items():
        start = time.process_time()
        fitted = FittedScorer.fit(scoring.network, scoring.scaling, scorer, *parts)
        scores = np.nan_to_num(fitted.score_with(x)[0], nan=np.inf, posinf=1e300)
        yield f"`{variant}`: {name}", scores, training + _s(start)


def page(table: pd.DataFrame) -> str:
    """Return the page: means over the tables, and over each half of them."""
    names = sorted(table["set"].unique())
    first = table["set"].isin(names[: -(-len(names) // 2)])
    groups = table.groupby("detector")
    columns = {
        "AUROC": 100 * groups["auroc"].mean(),
        "AP": 100 * groups["ap"].mean(),
        "AUROC, first half": 100 * table[first].groupby("detector")["auroc"].mean(),
        "AUROC, second half": 100 * table[~first].groupby("detector")["auroc"].mean(),
        "CPU (s)": groups["seconds"].mean(),
    }
    means = pd.DataFrame(columns).sort_values("AUROC", ascending=False)
    return (
        "# Tables without labels\n\n"
        f"Means over {len(names)} tables of ADBench and {table['seed'].nunique()} seeds, AUROC and "
        "average precision (AP) in %. As in `hourglass try` without labels, all rows count as "
        f"normal, anomalies included, and all are ranked; a table has at most {MAX_ROWS:,} rows, "
        "without copies. The first half of the tables, by name, chose the default of `try`; the "
        "second half reports it. CPU time is that of training and scoring.\n\n"
        "Made by `python scripts/unlabelled.py`.\n\n"
        f"{means.to_markdown(floatfmt='.1f')}\n"
    )


if __name__ == "__main__":
    main()

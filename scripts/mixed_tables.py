"""Compare detectors on tables with categories and missing cells, for docs/benchmarks.

    python scripts/mixed_tables.py                                   # about ten minutes
    python scripts/mixed_tables.py --sets solar_flare cmc --seeds 1 --methods hourglass one_hot_knn
    python scripts/mixed_tables.py --removed 0 0.1 0.3 0.5 --methods hourglass hourglass_imputed

Needs HOURGLASS_DATA with the folder mixed_tables. Half of the normal rows train; the other half and
all anomalies test, at most --max-rows of each. No method is tuned for a set. The baselines are
scikit-learn's on one-hot categories and standardised numbers, missing cells replaced by the mean or
the most frequent value, and the sum of -log marginal frequencies. `hourglass:variational` is the
estimator with this variant; `hourglass_imputed` is the default on such imputed tables. `--removed`
removes shares of the cells at random, of the rows to train and to score.

Results are kept in build/mixed_tables/results.csv. A later call replaces those of its sets, seeds
and methods, and writes the page of all that are there.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import multiprocessing
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, data_folder, merge_results, write_page
from mixed_detectors import METHODS, find_method
from sklearn.metrics import average_precision_score, roc_auc_score

RESULTS = ROOT / "build/mixed_tables/results.csv"
PAGE = ROOT / "docs/benchmarks/mixed_tables.md"
KEYS = ["removed", "set", "seed", "method"]
# Label column, the labels of anomalies (or the only normal label after "!"), other columns to drop.
SETS: dict[str, tuple[str, str, list[str]]] = {
    "thyroid_hypo": ("class", "!negative.", []),
    "nsl_kdd_20": ("attack", "!normal", ["difficulty"]),
    "bank": ("label", "yes", []),
    "solar_flare": ("label", "1", []),
    "apascal": ("label", "1", []),
    "kdd_probe": ("label", "1", []),
    "cmc": ("label", "1", []),
}
WITH_NUMBERS = ("thyroid_hypo", "nsl_kdd_20")  # the others hold categories only


def main() -> None:
    """Measure what is asked for, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--max-rows", type=int, default=5000)
    parser.add_argument("--removed", nargs="+", type=float, default=[0.0], help="shares of cells")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    tasks = [
        (name, seed, removed, options)
        for seed in range(options.seeds)
        for removed in options.removed
        for name in options.sets
    ]
    rows: list[dict[str, Any]] = []
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=4) as pool:
        for done, new in enumerate(pool.imap_unordered(_measure_one, tasks), 1):
            rows += new
            values = "  ".join(f"{row['method']} {row['AUROC']:.1f}" for row in new)
            print(f"{done}/{len(tasks)} {new[0]['set']}: {values}", flush=True)
    table = merge_results(RESULTS, pd.DataFrame(rows), KEYS)
    write_page(PAGE, page(table, options))


def _measure_one(task: tuple[str, int, float, argparse.Namespace]) -> list[dict[str, Any]]:
    name, seed, removed, options = task
    warnings.simplefilter("ignore")
    train, test, anomaly = split(*load(name), seed, options.max_rows)
    rng = np.random.default_rng(seed)
    if removed:
        train, test = (x.mask(rng.random(x.shape) < removed) for x in (train, test))
    rows = []
    for method in options.methods:
        start = time.process_time()
        scores = find_method(method)(train, test, seed)
        rows.append(
            {
                "set": name,
                "seed": seed,
                "removed": removed,
                "method": method,
                "AUROC": 100 * roc_auc_score(anomaly, scores),
                "AP": 100 * average_precision_score(anomaly, scores),
                "seconds": time.process_time() - start,
            }
        )
    return rows


def load(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the features of a set and the mask of anomalies."""
    label, anomalies, dropped = SETS[name]
    text: dict[str, Any] = {"dtype": str, "keep_default_na": False}
    if name in WITH_NUMBERS:
        text = {}
    frame: pd.DataFrame = pd.read_csv(data_folder() / "mixed_tables" / f"{name}.csv", **text)
    labels = frame[label].astype(str)
    anomaly = labels != anomalies[1:] if anomalies.startswith("!") else labels == anomalies
    features = frame.drop(columns=[label, *dropped])
    if name not in WITH_NUMBERS:
        features = features.astype("category")
    return features, anomaly.to_numpy()


def split(
    frame: pd.DataFrame, anomaly: np.ndarray, seed: int, max_rows: int
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return the rows to train, the rows to test and whether these are anomalies."""
    rng = np.random.default_rng(seed)
    normal, anomalies = (rng.permutation(np.flatnonzero(anomaly == value)) for value in (0, 1))
    half = len(normal) // 2
    test = np.concatenate([normal[half:][:max_rows], anomalies[:max_rows]])
    train = frame.iloc[normal[:half][:max_rows]].reset_index(drop=True)
    return train, frame.iloc[test].reset_index(drop=True), anomaly[test]


def page(table: pd.DataFrame, options: argparse.Namespace) -> str:
    """Return the page: AUROC and AP by set and method, and the loss by removed cells."""
    complete = table[table["removed"] == 0]
    means = complete.groupby(["set", "method"])[["AUROC", "AP"]].mean().unstack()
    order = [name for name in METHODS if name in means["AUROC"]]
    lines = [
        "# Tables with categories and missing cells",
        "",
        f"AUROC / average precision in %, means of {complete['seed'].nunique()} seeds. Half of the "
        "normal rows train, the rest and all anomalies test; at most "
        f"{options.max_rows:,} of each.",
        "",
        f"Made with `python scripts/mixed_tables.py --max-rows {options.max_rows}`.",
        "",
        f"| table | {' | '.join(order)} |",
        f"| {' | '.join(['---'] * (1 + len(order)))} |",
    ]
    for name in [*SETS, "mean"]:
        rows = means if name == "mean" else means.loc[[name]]
        cells = [f"{rows['AUROC', m].mean():.1f} / {rows['AP', m].mean():.1f}" for m in order]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    seconds = complete.groupby("method")["seconds"].mean()
    lines.append(f"| CPU seconds | {' | '.join(f'{seconds[m]:.1f}' for m in order)} |")
    return "\n".join([*lines, *_removed(table, options)]) + "\n"


def _removed(table: pd.DataFrame, options: argparse.Namespace) -> list[str]:
    """Return the section of removed cells, on sets and seeds common to all shares and methods."""
    shares = sorted(table["removed"].unique())
    methods = list(dict.fromkeys(table[table["removed"] > 0]["method"]))
    if not methods:
        return []
    pairs = table[table["method"].isin(methods)].pivot_table(
        "AUROC", ["set", "seed"], ["method", "removed"]
    )
    pairs = pairs.dropna()
    means = pairs.groupby("set").mean()
    columns = [(method, share) for method in methods for share in shares]
    lines = [
        "",
        "## Removed cells",
        "",
        f"AUROC if a share of all cells is removed at random, of {len(pairs)} pairs of a "
        "table and a seed. `hourglass_imputed` is the same detector on tables "
        "whose missing cells were replaced by the mean or the most frequent value.",
        "",
        "Made with `python scripts/mixed_tables.py --removed "
        f"{' '.join(f'{share:g}' for share in shares)} --methods {' '.join(methods)} "
        f"--max-rows {options.max_rows}`.",
        "",
        f"| table | {' | '.join(f'{method}, {share:.0%}' for method, share in columns)} |",
        f"| {' | '.join(['---'] * (1 + len(columns)))} |",
    ]
    for name in [*means.index, "mean"]:
        row = means.mean() if name == "mean" else means.loc[name]
        lines.append(f"| {name} | {' | '.join(f'{row[column]:.1f}' for column in columns)} |")
    losses = [means[method, 0.0].mean() - means[method, share].mean() for method, share in columns]
    lines.append(f"| loss | {' | '.join(f'{loss:.1f}' for loss in losses)} |")
    return lines


if __name__ == "__main__":
    main()

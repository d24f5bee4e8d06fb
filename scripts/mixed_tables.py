"""Compare detectors on tables with categories and missing cells, for docs/benchmarks.

    python scripts/mixed_tables.py                                   # about ten minutes
    python scripts/mixed_tables.py --sets solar_flare cmc --seeds 1 --methods hourglass one_hot_knn
    python scripts/mixed_tables.py --removed 0.1 0.3 0.5             # cells removed at random

Needs HOURGLASS_DATA with the folder mixed_tables. Half of the normal rows train; the other half and
all anomalies test, at most --max-rows of each. No method is tuned for a set. The baselines are
scikit-learn's on one-hot categories and standardised numbers, missing cells replaced by the mean or
the most frequent value, and the sum of -log marginal frequencies. `hourglass:variational` is the
estimator with this variant; `hourglass_imputed` is the default on such imputed tables.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import multiprocessing
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, write_page
from pandas.api.types import is_numeric_dtype
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PAGE = ROOT / "docs/benchmarks/mixed_tables.md"
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
# Normal rows to fit, rows to score and the seed, to the scores.
Method = Callable[[pd.DataFrame, pd.DataFrame, int], np.ndarray]


def hourglass(train: pd.DataFrame, test: pd.DataFrame, seed: int, **settings: Any) -> np.ndarray:
    from hourglass import Autoencoder

    scores: np.ndarray = Autoencoder(random_state=seed, **settings).fit(train).anomaly_score(test)
    return scores


def hourglass_imputed(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    numbers = [name for name in train if is_numeric_dtype(train[name])]
    values = {
        name: train[name].mean() if name in numbers else train[name].mode().get(0, "")
        for name in train
    }
    return hourglass(train.fillna(values), test.fillna(values), seed)


def one_hot(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    numbers = [name for name in train if is_numeric_dtype(train[name])]
    encoder = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            (
                "categories",
                make_pipeline(
                    SimpleImputer(strategy="most_frequent"),
                    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                ),
                [name for name in train if name not in numbers],
            ),
        ]
    )
    return encoder.fit_transform(train), encoder.transform(test)


def one_hot_pca(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    model = PCA(0.9).fit(known)
    errors: np.ndarray = np.square(new - model.inverse_transform(model.transform(new))).mean(1)
    return errors


def one_hot_knn(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    distances: np.ndarray = NearestNeighbors(n_neighbors=5).fit(known).kneighbors(new)[0].mean(1)
    return distances


def one_hot_isolation_forest(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    known, new = one_hot(train, test)
    scores: np.ndarray = -IsolationForest(random_state=seed).fit(known).score_samples(new)
    return scores


def marginal_frequencies(train: pd.DataFrame, test: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the sum of -log frequencies of the values, numbers in ten bins of equal frequency."""
    scores = np.zeros(len(test))
    for name in train:
        known, new = train[name], test[name]
        if is_numeric_dtype(known):
            bounds = np.unique(known.quantile(np.linspace(0, 1, 11)[1:-1]).dropna())
            known, new = (
                pd.Series(np.digitize(x, bounds)).where(~x.isna().to_numpy()) for x in (known, new)
            )
        known, new = (x.astype(object).where(x.notna(), "missing") for x in (known, new))
        counts = known.value_counts()
        frequencies = (new.map(counts).fillna(0).to_numpy(float) + 1) / (
            len(known) + len(counts) + 1
        )
        scores -= np.log(frequencies)
    return scores


BASELINES: dict[str, Method] = {
    f.__name__: f
    for f in (one_hot_pca, one_hot_knn, one_hot_isolation_forest, marginal_frequencies)
}
METHODS: dict[str, Method] = {"hourglass": hourglass, **BASELINES}


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
    text = page(pd.DataFrame(rows), options)
    complete = options.sets == list(SETS) and options.methods == list(METHODS)
    if complete and options.removed == [0.0]:
        write_page(PAGE, text)
    else:
        print(text)


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
        scores = _method(method)(train, test, seed)
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
    frame: pd.DataFrame = pd.read_csv(_data() / f"{name}.csv", **text)
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
    """Return the page: a table of AUROC and AP by set and method, with the means."""
    lines = [
        "# Tables with categories and missing cells",
        "",
        f"AUROC / average precision in %, means of {options.seeds} seeds. Half of the normal rows "
        f"train, the rest and all anomalies test; at most {options.max_rows:,} of each.",
        "",
        f"Made with `python scripts/mixed_tables.py --seeds {options.seeds} --max-rows "
        f"{options.max_rows}`.",
    ]
    for removed, part in ((r, table[table["removed"] == r]) for r in options.removed):
        if removed:
            lines += ["", f"{removed:.0%} of the cells removed at random:"]
        means = part.groupby(["set", "method"])[["AUROC", "AP"]].mean().unstack()
        order = [method for method in options.methods if method in means["AUROC"]]
        lines += ["", f"| table | {' | '.join(order)} |"]
        lines += [f"| {' | '.join(['---'] * (1 + len(order)))} |"]
        for name in [*options.sets, "mean"]:
            rows = means if name == "mean" else means.loc[[name]]
            cells = [f"{rows['AUROC', m].mean():.1f} / {rows['AP', m].mean():.1f}" for m in order]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        seconds = part.groupby("method")["seconds"].mean()
        lines.append(f"| CPU seconds | {' | '.join(f'{seconds[m]:.1f}' for m in order)} |")
    return "\n".join(lines) + "\n"


def _method(name: str) -> Method:
    prefix, _, variant = name.partition(":")
    if prefix == "hourglass" and variant:
        return partial(hourglass, variant=variant)
    return (METHODS | {"hourglass_imputed": hourglass_imputed})[name]


def _data() -> Path:
    return Path(os.environ.get("HOURGLASS_DATA") or ROOT / "data/raw") / "mixed_tables"


if __name__ == "__main__":
    main()

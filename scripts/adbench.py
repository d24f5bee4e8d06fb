"""Compare detectors on ADBench's tables; writes docs/benchmarks/adbench.md.

    python scripts/adbench.py                              # without PyOD: quarter of an hour
    .venv-benchmark/bin/python scripts/adbench.py          # after `make .venv-benchmark/ready`
    python scripts/adbench.py --sets thyroid glass --seeds 0 --methods hourglass knn

Needs HOURGLASS_DATA with the folder adbench. Copies of rows are removed first. Half of the normal
rows train; the other half and all anomalies test. No method is tuned for a set. At most --max-rows
normal rows train, and as many test, because PyOD takes minutes for more.

Results are kept in build/adbench/results.csv. A later call replaces those of its sets, seeds and
methods, and writes the page of all that are there. A name such as `hourglass:sparse` is the
estimator with this variant. `--contamination 0.05` replaces 5 % of the training rows by anomalies,
which do not test; the page is then in build/adbench. `hourglass_trim` trains with `trim: 0.05`.
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
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

FOLDER = ROOT / "build/adbench"
PAGE = ROOT / "docs/benchmarks/adbench.md"
KEYS = ["set", "seed", "method"]
# Normal rows to fit, rows to score and the seed, to the scores.
Method = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


def hourglass(train: np.ndarray, test: np.ndarray, seed: int, **settings: Any) -> np.ndarray:
    from hourglass import Autoencoder

    scores: np.ndarray = Autoencoder(random_state=seed, **settings).fit(train).anomaly_score(test)
    return scores


def pca(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    model, x = PCA(0.9).fit(scaler.transform(train)), scaler.transform(test)
    errors: np.ndarray = np.square(x - model.inverse_transform(model.transform(x))).mean(1)
    return errors


def knn(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    neighbors = NearestNeighbors(n_neighbors=5).fit(scaler.transform(train))
    distances: np.ndarray = neighbors.kneighbors(scaler.transform(test))[0].mean(1)
    return distances


def isolation_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scores: np.ndarray = -IsolationForest(random_state=seed).fit(train).score_samples(test)
    return scores


def pyod(train: np.ndarray, test: np.ndarray, seed: int, *, name: str) -> np.ndarray:
    from pyod.models.auto_encoder import AutoEncoder
    from pyod.models.ecod import ECOD
    from pyod.models.vae import VAE

    kinds = {
        "autoencoder": partial(AutoEncoder, random_state=seed, verbose=0),
        "vae": partial(VAE, random_state=seed, verbose=0),
        "ecod": ECOD,
    }
    scores: np.ndarray = kinds[name]().fit(train).decision_function(test)
    return scores


METHODS: dict[str, Method] = {
    "hourglass": hourglass,
    "pca": pca,
    "isolation_forest": isolation_forest,
    "knn": knn,
}
OTHERS: dict[str, Method] = {"hourglass_trim": partial(hourglass, init_args={"trim": 0.05})}
PYOD: dict[str, Method] = {
    f"pyod_{name}": partial(pyod, name=name) for name in ("autoencoder", "vae", "ecod")
}


def main() -> None:
    """Measure what is asked for, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[], help="parts of file names; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--methods", nargs="+", help="default: all that are installed")
    parser.add_argument("--max-rows", type=int, default=5000)
    parser.add_argument("--contamination", type=float, default=0.0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.methods = options.methods or [*METHODS, *(PYOD if _has_pyod() else ())]
    unknown = [name for name in options.methods if _method(name) is None]
    if unknown:
        parser.error(
            f"there is no method {unknown[0]}; use {', '.join([*METHODS, *OTHERS, *PYOD])}"
        )
    paths = sorted(_data().glob("*.npz"), key=lambda path: int(path.stem.split("_")[0]))
    paths = [p for p in paths if not options.sets or any(s in p.stem for s in options.sets)]
    if not paths:
        parser.error(f"no file of {_data()} matches --sets")
    name = f"contaminated-{options.contamination:g}" if options.contamination else "results"
    file = FOLDER / f"{name}.csv"
    measured = measure(paths, options)
    former = [pd.read_csv(file)] if file.exists() else []
    table: pd.DataFrame = pd.concat([*former, measured])
    table = table.drop_duplicates(KEYS, keep="last").sort_values(KEYS)
    file.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(file, index=False)
    write_page(FOLDER / f"{name}.md" if options.contamination else PAGE, page(table, options))


def measure(paths: list[Path], options: argparse.Namespace) -> pd.DataFrame:
    """Return one row for each set, seed and method, measured in several processes."""
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=4) as pool:
        tasks = [(path, seed, options) for seed in options.seeds for path in paths]
        rows: list[dict[str, Any]] = []
        for done, new in enumerate(pool.imap_unordered(_measure_one, tasks), 1):
            rows += new
            values = "  ".join(f"{r['method']} {100 * r['auroc']:.1f}" for r in new)
            print(f"{done}/{len(tasks)} {new[0]['set']} {new[0]['seed']}: {values}", flush=True)
    return pd.DataFrame(rows)


def _measure_one(task: tuple[Path, int, argparse.Namespace]) -> list[dict[str, Any]]:
    path, seed, options = task
    warnings.simplefilter("ignore")
    train, test, anomaly = split(path, seed, options.max_rows, options.contamination)
    rows = []
    for name in options.methods:
        method, start = _method(name), time.process_time()
        assert method is not None
        scores = np.nan_to_num(method(train, test, seed), nan=np.inf, posinf=1e300)
        rows.append(
            {
                "set": path.stem.split("_", 1)[1],
                "seed": seed,
                "method": name,
                "auroc": roc_auc_score(anomaly, scores),
                "ap": average_precision_score(anomaly, scores),
                "seconds": time.process_time() - start,
                "train_rows": len(train),
                "features": train.shape[1],
                "anomalies": anomaly.mean(),
            }
        )
    return rows


def split(
    path: Path, seed: int, max_rows: int, contamination: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows to train, the rows to test and whether these are anomalies."""
    with np.load(path, allow_pickle=False) as file:
        rows = np.column_stack([file["X"].astype(np.float64), file["y"]])
    rows = np.unique(rows, axis=0)
    x, is_anomaly = rows[:, :-1], rows[:, -1] == 1
    rng = np.random.default_rng(seed)
    normal, anomalies = (rng.permutation(np.flatnonzero(is_anomaly == v)) for v in (False, True))
    half = len(normal) // 2
    train, held_out = normal[:half][:max_rows], normal[half:][:max_rows]
    # No more than half of the anomalies, so that enough are left to test.
    added = min(round(contamination * len(train)), len(anomalies) // 2)
    train = np.concatenate([train[added:], anomalies[:added]])
    test = np.concatenate([held_out, anomalies[added:]])
    return x[train], x[test], is_anomaly[test]


def page(table: pd.DataFrame, options: argparse.Namespace) -> str:
    """Return the page: means, mean ranks, and a table of all sets."""
    auroc, ap = (
        # Without the sets that not all methods were measured on.
        table.pivot_table(values, "set", "method").dropna()
        for values in ("auroc", "ap")
    )
    order = auroc.mean().sort_values(ascending=False).index
    seconds = table.groupby("method")["seconds"].mean()
    lines = [
        "# ADBench's tables",
        "",
        f"{len(auroc)} tables, means of up to {table['seed'].nunique()} seeds. Copies of rows are "
        "removed. Half of the normal rows train, the rest and all anomalies test; at most "
        f"{options.max_rows:,} normal rows each. AUROC and average precision (AP) in %. The rank "
        "is that of the mean on a table. Seconds are CPU time of one fit with its scores.",
        "",
        f"Made with `python scripts/adbench.py --max-rows {options.max_rows}`.",
        "",
        "| method | AUROC | AP | rank by AUROC | rank by AP | seconds | fits |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    ranks = [values.rank(axis=1, ascending=False).mean() for values in (auroc, ap)]
    lines += [
        f"| {name} | {100 * auroc[name].mean():.1f} | {100 * ap[name].mean():.1f} | "
        f"{ranks[0][name]:.2f} | {ranks[1][name]:.2f} | {seconds[name]:.2f} | "
        f"{(table['method'] == name).sum()} |"
        for name in order
    ]
    lines += ["", "AUROC / AP per table:", "", f"| table | rows | features | {' | '.join(order)} |"]
    lines += [f"| {' | '.join(['---'] * (3 + len(order)))} |"]
    sizes = table.groupby("set")[["train_rows", "features"]].first()
    for name in auroc.index:
        cells = [f"{100 * auroc[m][name]:.1f} / {100 * ap[m][name]:.1f}" for m in order]
        rows, features = sizes.loc[name]
        lines.append(f"| {name} | {rows} | {features} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _method(name: str) -> Method | None:
    prefix, _, variant = name.partition(":")
    if prefix == "hourglass" and variant:
        return partial(hourglass, variant=variant)
    return (METHODS | OTHERS | PYOD).get(name)


def _has_pyod() -> bool:
    from importlib.util import find_spec

    return find_spec("pyod") is not None


def _data() -> Path:
    return Path(os.environ.get("HOURGLASS_DATA") or ROOT / "data/raw") / "adbench"


if __name__ == "__main__":
    main()

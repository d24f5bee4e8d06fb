"""Compare detectors on ADBench's tables; writes docs/benchmarks/adbench.md.

    python scripts/adbench.py                              # without PyOD: quarter of an hour
    .venv-benchmark/bin/python scripts/adbench.py          # after `make .venv-benchmark/ready`
    python scripts/adbench.py --sets thyroid glass --seeds 0 --methods hourglass knn
    python scripts/adbench.py --contamination 0 0.05 0.1   # anomalies among the training rows
    python scripts/adbench.py --methods hourglass_members  # of the ensemble, one by one

Needs HOURGLASS_DATA with the folder adbench. Copies of rows are removed first. Half of the normal
rows train; the other half and all anomalies test. No method is tuned for a set. At most --max-rows
normal rows train, and as many test, because PyOD takes minutes for more.

Results are kept in build/adbench/results.csv. A later call replaces those of its sets, seeds and
methods, and writes the page of all results. A name such as `hourglass:sparse` is the
estimator with this variant. `--contamination 0.05` replaces 5 % of the training rows by anomalies,
which do not test. `hourglass_trim` trains with `trim: 0.05`.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import multiprocessing
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from adbench_detectors import METHODS, OTHERS, PYOD, find_method
from common import ROOT, argument_parser, data_folder, merge_results, write_page
from sklearn.metrics import average_precision_score, roc_auc_score

RESULTS = ROOT / "build/adbench/results.csv"
PAGE = ROOT / "docs/benchmarks/adbench.md"
MEMBERS = "hourglass_members"
KEYS = ["contamination", "set", "seed", "method"]


def main() -> None:
    """Run the requested measurements, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[], help="parts of file names; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--methods", nargs="+", help="default: all that are installed")
    parser.add_argument("--max-rows", type=int, default=5000)
    parser.add_argument("--contamination", nargs="+", type=float, default=[0.0])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    options.methods = options.methods or [*METHODS, *(PYOD if _has_pyod() else ())]
    unknown = [name for name in options.methods if find_method(name) is None]
    if unknown:
        parser.error(
            f"there is no method {unknown[0]}; use {', '.join([*METHODS, *OTHERS, *PYOD])}"
        )
    folder = data_folder() / "adbench"
    paths = sorted(folder.glob("*.npz"), key=lambda path: int(path.stem.split("_")[0]))
    paths = [p for p in paths if not options.sets or any(s in p.stem for s in options.sets)]
    if not paths:
        parser.error(f"no file of {folder} matches --sets")
    table = merge_results(RESULTS, measure(paths, options), KEYS)
    write_page(PAGE, page(table, options))


def measure(paths: list[Path], options: argparse.Namespace) -> pd.DataFrame:
    """Return one row for each set, seed and method, measured in several processes."""
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=4) as pool:
        tasks = [
            (path, seed, contamination, options)
            for contamination in options.contamination
            for seed in options.seeds
            for path in paths
        ]
        rows: list[dict[str, Any]] = []
        for done, new in enumerate(pool.imap_unordered(_measure_one, tasks), 1):
            rows += new
            values = "  ".join(f"{r['method']} {100 * r['auroc']:.1f}" for r in new)
            print(f"{done}/{len(tasks)} {new[0]['set']} {new[0]['seed']}: {values}", flush=True)
    return pd.DataFrame(rows)


def _measure_one(task: tuple[Path, int, float, argparse.Namespace]) -> list[dict[str, Any]]:
    path, seed, contamination, options = task
    warnings.simplefilter("ignore")
    train, test, anomaly = split(path, seed, options.max_rows, contamination)
    rows = []
    for name in options.methods:
        method, start = find_method(name), time.process_time()
        assert method is not None
        scores = np.nan_to_num(method(train, test, seed), nan=np.inf, posinf=1e300)
        parts = {name: scores}
        if scores.ndim == 2:
            parts = {f"{name}_{i}": part for i, part in enumerate(scores, 1)}
        rows += [
            {
                "contamination": contamination,
                "set": path.stem.split("_", 1)[1],
                "seed": seed,
                "method": part,
                "auroc": roc_auc_score(anomaly, values),
                "ap": average_precision_score(anomaly, values),
                "seconds": time.process_time() - start,
                "train_rows": len(train),
                "features": train.shape[1],
            }
            for part, values in parts.items()
        ]
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
    """Return the page: means, mean ranks, a table of all sets, members, and contaminated rows."""
    is_member = table["method"].str.startswith(MEMBERS)
    members, table = table[is_member], table[~is_member]
    clean = table[table["contamination"] == 0]
    auroc, ap = (
        # Without the sets that not all methods were measured on.
        clean.pivot_table(values, "set", "method").dropna()
        for values in ("auroc", "ap")
    )
    order = auroc.mean().sort_values(ascending=False).index
    seconds = clean.groupby("method")["seconds"].mean()
    lines = [
        "# ADBench's tables",
        "",
        f"{len(auroc)} tables, means of up to {clean['seed'].nunique()} seeds. Copies of rows are "
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
        f"{(clean['method'] == name).sum()} |"
        for name in order
    ]
    shown = [name for name in order if name in METHODS or name in PYOD]
    lines += ["", "AUROC / AP per table:", "", f"| table | rows | features | {' | '.join(shown)} |"]
    lines += [f"| {' | '.join(['---'] * (3 + len(shown)))} |"]
    sizes = clean.groupby("set")[["train_rows", "features"]].first()
    for name in auroc.index:
        cells = [f"{100 * auroc[m][name]:.1f} / {100 * ap[m][name]:.1f}" for m in shown]
        rows, features = sizes.loc[name]
        lines.append(f"| {name} | {rows} | {features} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_members(clean, members), *_contaminated(table)]) + "\n"


def _members(clean: pd.DataFrame, members: pd.DataFrame) -> list[str]:
    """Return the section of the ensemble's networks, each with the ensemble's score."""
    if members.empty:
        return []
    ensemble = clean[clean["method"] == "hourglass"]
    table = pd.concat([ensemble, members[members["contamination"] == 0]])
    pairs = table.pivot_table(["auroc", "ap"], ["set", "seed"], "method").dropna()
    means = 100 * pairs.mean()
    return [
        "",
        "## The ensemble and its members",
        "",
        f"Means of {len(pairs)} pairs of a table and a seed. A member is one of the four networks "
        "of `hourglass`, with the same score.",
        "",
        "| detector | AUROC | AP |",
        "| --- | --- | --- |",
        *(
            f"| {name} | {means['auroc', name]:.1f} | {means['ap', name]:.1f} |"
            for name in means["auroc"].index
        ),
    ]


def _contaminated(table: pd.DataFrame) -> list[str]:
    """Return the section of trainings with anomalies, on tables and seeds common to all of them."""
    shares = sorted(table["contamination"].unique())
    methods = table[table["contamination"] > 0]["method"].unique()
    if not len(methods):
        return []
    pairs = table[table["method"].isin(methods)].pivot_table(
        ["auroc", "ap"], ["set", "seed"], ["method", "contamination"]
    )
    means = 100 * pairs.dropna().mean()
    lines = [
        "",
        "## Anomalies among the training rows",
        "",
        "Mean AUROC / AP if unlabelled anomalies replace a share of the training rows, at most "
        f"half of a table's anomalies; {len(pairs.dropna())} pairs of a table and a seed.",
        "",
        f"| method | {' | '.join(f'{share:.0%}' for share in shares)} |",
        f"| {' | '.join(['---'] * (1 + len(shares)))} |",
    ]
    for name in sorted(methods, key=lambda name: -means["auroc", name].mean()):
        cells = [f"{means['auroc', name, c]:.1f} / {means['ap', name, c]:.1f}" for c in shares]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _has_pyod() -> bool:
    from importlib.util import find_spec

    return find_spec("pyod") is not None


if __name__ == "__main__":
    main()

"""Count the false alarms of `Autoencoder` on tables; writes docs/benchmarks/false_alarms.md.

    python scripts/cross_conformal.py                          # up to 600 normal rows: an hour
    python scripts/cross_conformal.py --rows 40 --splits 10    # few rows: thresholds from folds

Needs HOURGLASS_DATA with the folders adbench and mixed_tables. Per set and split, the estimator is
fitted to random normal rows: --rows, but at most half of the set's, or 120 if half are fewer. A
fifth of them is the calibration split. If it is too small for an alpha, the threshold is one from
folds, and its rate is compared with that of the highest score of the calibration split. The share
of false alarms is counted on other normal rows, at most 2,000.

The guarantee does not depend on the quality of the network, so `linear` is trained for a few
epochs. Results are kept in build/false_alarms/results.csv, as in scripts/adbench.py.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import warnings
from collections.abc import Iterator
from typing import Any

import mixed_tables
import numpy as np
import pandas as pd
from common import ROOT, argument_parser, data_folder, merge_results, write_page

RESULTS = ROOT / "build/false_alarms/results.csv"
PAGE = ROOT / "docs/benchmarks/false_alarms.md"
KEYS = ["rows", "set", "alpha", "split"]
ALPHAS = (0.01, 0.05)
MIN_ROWS, MAX_TEST_ROWS, EPOCHS = 120, 2000, 2
Rows = np.ndarray | pd.DataFrame


def main() -> None:
    """Measure what is asked for, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=[], help="parts of names; default: all")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--rows", type=int, default=600)
    options = parser.parse_args()
    normal = {
        name: rows
        for name, rows in _normal_rows()
        if not options.sets or any(part in name for part in options.sets)
    }
    if not normal:
        parser.error("no table matches --sets")
    table = pd.DataFrame()
    for split in range(options.splits):
        rows = [row for name, x in normal.items() for row in _measure(name, x, split, options)]
        table = merge_results(RESULTS, pd.DataFrame(rows), KEYS)
        print(f"split {split + 1} of {options.splits}", flush=True)
    write_page(PAGE, page(table))


def _normal_rows() -> Iterator[tuple[str, Rows]]:
    """Yield the name and the normal rows of each table, without copies of numbers."""
    folder = data_folder() / "adbench"
    for path in sorted(folder.glob("*.npz"), key=lambda path: int(path.stem.split("_")[0])):
        with np.load(path, allow_pickle=False) as file:
            x = file["X"][file["y"] == 0].astype(np.float64)
        yield path.stem.split("_", 1)[1], np.unique(x, axis=0)
    for name in mixed_tables.SETS:
        frame, anomaly = mixed_tables.load(name)
        yield name, frame[~anomaly].reset_index(drop=True)


def _measure(
    name: str, normal: Rows, split: int, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Yield the share of false alarms for each alpha that so many rows can hold."""
    from hourglass import Autoencoder
    from hourglass.detection.calibrators import Conformal

    count = min(options.rows, max(len(normal) // 2, MIN_ROWS))
    order = np.random.default_rng(split).permutation(len(normal))
    train, test = (
        normal.iloc[i].reset_index(drop=True) if isinstance(normal, pd.DataFrame) else normal[i]
        for i in (order[:count], order[count:][:MAX_TEST_ROWS])
    )
    has_folds = True
    for alpha in ALPHAS:
        calibrator = Conformal(alpha)
        if count < calibrator.min_samples:
            continue
        if has_folds:  # a larger alpha may do with the calibration split
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = Autoencoder("linear", alpha=alpha, random_state=split, max_epochs=EPOCHS)
                scores = model.fit(train).anomaly_score(test)
            detector = model.detector_
            has_folds = detector.threshold.method == "cross_conformal"
        threshold = calibrator(detector.calibration_scores)
        own = detector.calibration_scores[: round(model.calibration_fraction * count)]
        yield {
            "rows": options.rows,
            "set": name,
            "alpha": alpha,
            "split": split,
            "fitted": count,
            "threshold": "folds" if has_folds else "calibration split",
            "rate": threshold(scores).mean(),
            "highest": (scores > own.max()).mean() if has_folds else np.nan,
        }


def page(table: pd.DataFrame) -> str:
    """Return the page: for each alpha and kind of threshold a summary, then all tables."""
    groups = table.groupby(["rows", "set", "alpha"])
    rates = groups.agg(
        fitted=("fitted", "first"),
        threshold=("threshold", "first"),
        rate=("rate", "mean"),
        error=("rate", "sem"),
        highest=("highest", "mean"),
        splits=("rate", "size"),
    ).reset_index()
    rates["within"] = rates["rate"] <= rates["alpha"] + 2 * rates["error"]
    lines = [
        "# False alarms on tables",
        "",
        "The rate of false alarms of `Autoencoder` on new normal rows, by number of rows given to "
        "`fit`: at most half of a table's normal rows, or 120 if half are fewer. A fifth of them "
        "is the calibration split. Where it is too small for an alpha, folds replace it. The "
        "last column but one has the rate of the alternative without folds, the highest score "
        "of the calibration split.",
        "",
        "A table is within alpha if its mean rate is at most alpha plus two standard errors across "
        "splits. Of rates that equal alpha, 2.3 % are above this bound by chance.",
        "",
        "Made with `python scripts/cross_conformal.py`"
        + "".join(
            f", `--rows {rows}`" for rows in sorted(rates["rows"].unique())[::-1] if rows != 600
        )
        + ". The variant is `linear`, the score the default of tables.",
        "",
        "| rows | alpha | threshold from | tables | splits | mean rate | standard error "
        "| highest score instead | within alpha |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (rows, alpha, source), part in rates.groupby(["rows", "alpha", "threshold"]):
        error = np.sqrt(np.square(part["error"]).sum()) / len(part)
        lines.append(
            f"| {rows} | {alpha} | {source} | {len(part)} | {part['splits'].max()} "
            f"| {part['rate'].mean():.4f} | {error:.4f} | {_number(part['highest'].mean())} "
            f"| {part['within'].sum()} of {len(part)} |"
        )
    lines += [
        "",
        "| rows | table | fitted to | alpha | threshold from | rate | standard error | within |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.rows} | {row.set} | {row.fitted} | {row.alpha} | {row.threshold} "
        f"| {row.rate:.4f} | {row.error:.4f} | {'yes' if row.within else 'no'} |"
        for row in rates.itertuples()
    ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4f}"


if __name__ == "__main__":
    main()

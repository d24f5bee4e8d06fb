"""Compare detectors on public time series; writes docs/benchmarks/series.md.

    python scripts/series.py                       # NAB and SKAB, all methods: about ten minutes
    python scripts/series.py --sets nab --names nyc_taxi --methods denoising neighbors

Needs HOURGLASS_DATA with the folder series. NAB: the first 15 % of each series train, without
labelled anomalies; all rows are scored; VUS-PR with the period of the series as buffer. SKAB: the
first 400 rows of each file train; an alarm is a score above 1.5 times the 99.9 % quantile of those
of the training rows; F1, false alarms and misses over the rows of all files. No setting is chosen
for a single series.

Results are kept in build/series/results.csv; a later call replaces those of its series and methods,
and writes the page of all results.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import multiprocessing
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, data_folder, merge_results, write_page

RESULTS, PAGE = ROOT / "build/series/results.csv", ROOT / "docs/benchmarks/series.md"
KEYS = ["set", "series", "method"]
TRAIN_SHARE, TRAIN_ROWS = 0.15, 400
QUANTILE, FACTOR = 0.999, 1.5
WINDOW = {"nab": 128, "skab": 64}
VARIANTS = ("denoising", "ensemble", "undercomplete", "recurrent", "temporal", "convolutional")


def main() -> None:
    """Run the requested measurements, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sets", nargs="+", default=["nab", "skab"])
    parser.add_argument("--names", nargs="+", default=[], help="parts of file names; default: all")
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    from hourglass.evaluation.window_baselines import WINDOW_BASELINES

    methods = options.methods or [*VARIANTS, *WINDOW_BASELINES]
    tasks = [
        (name, path, method)
        for name in options.sets
        for path in sorted((data_folder() / "series" / name).glob("*.csv"))
        if not options.names or any(part in path.stem for part in options.names)
        for method in methods
    ]
    rows = []
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        for row in pool.imap_unordered(_measure, tasks):
            print({key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()})
            rows.append(row)
    table = merge_results(RESULTS, pd.DataFrame(rows), KEYS)
    print(_nab(table).to_string() if "nab" in set(table.set) else "")
    print(_skab(table).to_string() if "skab" in set(table.set) else "")


def _measure(task: tuple[str, Path, str]) -> dict[str, Any]:
    """Return the figures of one method on one series."""
    name, path, method = task
    warnings.filterwarnings("ignore")
    x, anomaly, encoding = _load(name, path)
    count = round(TRAIN_SHARE * len(x)) if name == "nab" else TRAIN_ROWS
    train = x[:count][~anomaly[:count]] if name == "nab" else x[:count]
    encoding = encoding.fit_again(train)
    start = time.process_time()
    score = _fit(method, train, encoding)
    scores = score(x)
    row = {"set": name, "series": path.stem, "method": method}
    row["seconds"] = time.process_time() - start
    if name == "nab":
        from hourglass.evaluation.metrics.vus import period, vus

        return row | vus(scores, anomaly, period(encoding.features(x)[:, 0]))
    alarm = scores > FACTOR * np.quantile(score(train), QUANTILE)
    counts = {"hits": alarm & anomaly, "false": alarm & ~anomaly, "missed": ~alarm & anomaly}
    return row | {key: int(mask.sum()) for key, mask in counts.items()} | {"rows": len(x)}

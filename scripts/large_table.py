"""Time the stages of a large table: 1,000,000 rows, 14 columns of numbers and 6 of categories.

    python scripts/large_table.py
    python scripts/large_table.py --rows 100000 --repeats 3

The table is generated: numbers from four hidden factors, categories by thresholds. Every stage
runs in this process, so its imports count once.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from common import argument_parser, temporary_workspace

SETTINGS = {
    "class_path": "hourglass.data.table.Table",
    "init_args": {"path": "large.csv"},
    "model": {"latent_dim": 8, "hidden": [64]},
    "training": {"batch_size": 1024, "max_epochs": 3},
}


def main() -> None:
    """Print the seconds of each stage, the fastest of all repeats."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--model", default="denoising")
    options = parser.parse_args()
    with temporary_workspace():
        write_table(Path("large.csv"), options.rows)
        Path("configs/data/large.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
        times = [measure(options) for _ in range(options.repeats)]
    for stage in times[0]:
        print(f"{stage}: {min(run[stage] for run in times):.1f} s")


def measure(options: argparse.Namespace) -> dict[str, float]:
    from hourglass.cli.score import score
    from hourglass.stages.calibrate_threshold import calibrate_threshold
    from hourglass.stages.prepare import prepare
    from hourglass.stages.train import train

    stages: dict[str, Callable[[], Any]] = {
        "prepare": lambda: prepare("large"),
        "train": lambda: train("large", options.model),
        "calibrate-threshold": lambda: calibrate_threshold("large", options.model),
        "score": lambda: score("large", options.model, Path("large.csv"), Path("scores.parquet")),
    }
    seconds = {}
    for name, stage in stages.items():
        start = time.perf_counter()
        stage()
        seconds[name] = time.perf_counter() - start
    return seconds


def write_table(path: Path, rows: int) -> None:
    """Write the table, with one cell of a hundred empty."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(rows, 4))
    numbers = factors @ rng.normal(size=(4, 14)) + rng.normal(size=(rows, 14))
    frame = pd.DataFrame(numbers.round(4), columns=[f"x{i}" for i in range(14)])
    for i in range(6):
        levels = np.array([f"level {k}" for k in range(3 + 4 * i)])
        value = factors[:, i % 4] + rng.normal(size=rows)
        ranks = np.searchsorted(
            np.quantile(value[:10_000], np.linspace(0, 1, len(levels))[1:]), value
        )
        frame[f"c{i}"] = levels[np.minimum(ranks, len(levels) - 1)]
    frame.mask(rng.random(frame.shape) < 0.01).to_csv(path, index=False)


if __name__ == "__main__":
    os.environ.setdefault("HOURGLASS_RECORD", "off")
    main()

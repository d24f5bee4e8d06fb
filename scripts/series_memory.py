"""Measure the memory of `prepare` and `score` for generated series of several sizes.

    python scripts/series_memory.py --rows 1000000 10000000 --columns 8

For each size it prints the peak of the anonymous memory (RssAnon) of each command; pages of mapped
files, which the system may drop, are not counted. The detector is trained for a few steps only. A
series takes free disk space of about 100 bytes per cell.
"""

import os
import time
from pathlib import Path
from typing import Any

import yaml
from common import argument_parser, temporary_workspace, update_yaml
from prepare_memory import peak_memory, write_table

STAGES = (
    ("prepare", "from hourglass.stages.prepare import prepare; prepare('large')"),
    ("train", "from hourglass.stages.train import train; train('large', 'undercomplete')"),
    (
        "calibrate-threshold",
        "from hourglass.stages.calibrate_threshold import calibrate_threshold\n"
        "calibrate_threshold('large', 'undercomplete')",
    ),
    (
        "score",
        "from pathlib import Path; from hourglass.cli.score import score\n"
        "score('large', 'undercomplete', Path('large.parquet'), Path('scores.parquet'))",
    ),
)


def main() -> None:
    """Print the peak memory of each command for each number of rows."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--window", type=int, default=100)
    options = parser.parse_args()
    settings: dict[str, Any] = {
        "class_path": "hourglass.data.series.Series",
        "init_args": {"path": "large.parquet", "window": options.window},
        "model": {"latent_dim": 16, "hidden": [64]},
        "training": {"batch_size": 1024, "max_epochs": 1},
    }
    for rows in sorted(options.rows):
        with temporary_workspace(Path.cwd()):
            Path("configs/data/large.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
            limits = {"limit_train_batches": 50, "limit_val_batches": 50}
            update_yaml("configs/trainer/cpu.yaml", limits)
            write_table(Path("large.parquet"), rows, options.columns, roles=False, copies=0)
            for name, code in STAGES:
                start = time.perf_counter()
                anonymous, _ = peak_memory(code)
                seconds = time.perf_counter() - start
                print(
                    f"{rows:,} rows, {name}: {seconds:.0f} s, {anonymous / 1e6:.0f} MB", flush=True
                )


if __name__ == "__main__":
    os.environ["HOURGLASS_RECORD"] = "off"
    main()

"""Measure the time of each baseline against that of one training, on two made data sets.

    python scripts/baselines.py

`images` are 300 pictures of 64 x 64 RGB, and `table` 100,000 rows of 30 features, each with 5 % of
labelled anomalies. The training is the stage `train` of `undercomplete` with the settings that
suit such data; a baseline is its fit, calibration and evaluation with bootstrap intervals.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from common import argument_parser, seconds, temporary_workspace

VARIANT = "undercomplete"
TRAINING = {
    "images": {"batch_size": 32, "max_epochs": 150, "patience": 20},
    "table": {"batch_size": 512, "max_epochs": 50, "patience": 5},
}


def main() -> None:
    """Print the seconds of the training and of each baseline."""
    argument_parser(__doc__).parse_args()
    with temporary_workspace():
        _write_data()
        for data in TRAINING:
            _measure(data)


def _write_data() -> None:
    """Write both data sets and their settings to the working folder."""
    from hourglass.core.atomic import write_json

    rng, own = np.random.default_rng(0), Path("data/own")
    own.mkdir(parents=True)
    x = rng.integers(0, 200, (300, 64, 64, 3), dtype=np.uint8)
    x[285:] += 50
    np.savez(own / "images.npz", x=x, y=np.repeat(["good", "bad"], [285, 15]))
    rows = rng.normal(size=(100_000, 30)) @ rng.normal(size=(30, 30))
    rows[95_000:] += 5
    table = pd.DataFrame(rows, columns=[f"f{i}" for i in range(30)])
    table["kind"] = np.repeat(["good", "bad"], [95_000, 5_000])
    table.to_parquet(own / "table.parquet")
    sources = {
        "images": ("images.Images", {"path": "data/own/images.npz"}),
        "table": ("table.Table", {"path": "data/own/table.parquet", "label": "kind"}),
    }
    for data, (kind, arguments) in sources.items():
        settings = {
            "class_path": f"hourglass.data.{kind}",
            "init_args": {**arguments, "normal": "good"},
            "model": {"latent_dim": 8},
            "training": TRAINING[data],
        }
        write_json(Path("configs/data", f"{data}.yaml"), settings)  # JSON is valid YAML


def _measure(data: str) -> None:
    from hourglass.core.paths import prepared_folder
    from hourglass.core.settings import params
    from hourglass.data.prepared_data import Prepared
    from hourglass.detection.calibrators.from_settings import make_calibrator
    from hourglass.evaluation.baselines import BASELINES, evaluate_baseline, on_inputs
    from hourglass.stages.prepare import prepare
    from hourglass.stages.train import train

    print(f"\n{data}\nprepare {seconds(prepare, data):.2f} s")
    training = seconds(train, data, VARIANT)
    print(f"train {training:.2f} s, with the import of Lightning")
    prepared, config = Prepared.open(prepared_folder(data)), params()
    calibrator = make_calibrator(config.calibration)
    total = 0.0
    for name, fit in BASELINES.items():
        fitted = partial(on_inputs, partial(fit, **{"seed": config.seed}))
        duration = seconds(evaluate_baseline, prepared, fitted, calibrator)
        total += duration
        print(f"{name} {duration:.2f} s")
    print(f"all baselines {total:.2f} s, {total / training:.2f} of the training", flush=True)


if __name__ == "__main__":
    main()

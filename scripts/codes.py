"""Measure MNIST's codes of 8, 16 and 32 units as features and for search: writes docs/codes.md.

    python scripts/codes.py                    # needs HOURGLASS_DATA; half an hour on two cores

A deeper denoising network is trained at each size and studied. Works in build/codes, a workspace of
its own, and goes on where it was stopped.
"""

import json
import time
from pathlib import Path

import pandas as pd
import yaml
from workspace import ROOT, enter

from hourglass.core.paths import Cell, prepared_folder, references_folder
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references
from hourglass.stages.study import study
from hourglass.stages.train import train

SIZES = (8, 16, 32)
SETTINGS = {
    "hidden": [512, 256],
    "activation": "gelu",
    "loss": "bce",
    "noise_factor": 0.3,
    "learning_rate": 1e-3,
}
EPOCHS = 20
INTRODUCTION = f"""# Codes as features and for search

Made by `python scripts/codes.py`: MNIST, seed 0. `denoising` with layers of 512 and 256 units,
{EPOCHS} epochs, beside PCA of that size and the pixels themselves; exact Euclidean neighbours
among 48,000 training samples; queries are the 10,000 test digits. Times are of one run: the median
of queries asked one by one, and the mean of 500 asked together, by the faster of two exact ways.
"""


def main() -> None:
    """Run what is missing and write the page."""
    _workspace()
    if not prepared_folder("mnist").exists():
        prepare("mnist")
    if not references_folder("mnist").exists():
        references("mnist")
    tables, seconds = [], {}
    for size in SIZES:
        cell = Cell("mnist", f"code_{size}")
        if not (cell / "tracking/run_id").exists():
            train(cell.data, cell.model)
        start = time.perf_counter()
        study(cell.data, cell.model)
        seconds[size] = time.perf_counter() - start
        tables.append(_rows(cell))
    text = INTRODUCTION + "\n" + pd.concat(tables).to_markdown(index=False, floatfmt=".4g")
    longest = max(seconds.values())
    text += f"\n\nA study of one of these cells took {longest:.0f} seconds at most.\n"
    (ROOT / "docs/codes.md").write_text(text, encoding="utf-8")
    print(text)


def _workspace() -> None:
    enter(ROOT / "build/codes")
    data = yaml.safe_load((ROOT / "configs/data/mnist.yaml").read_text(encoding="utf-8"))
    data["training"] |= {"max_epochs": EPOCHS, "patience": EPOCHS}
    Path("configs/data/mnist.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    for size in SIZES:
        variant = {
            "class_path": "hourglass.models.denoising.Denoising",
            "init_args": {**SETTINGS, "latent_dim": size},
        }
        Path(f"configs/model/code_{size}.yaml").write_text(yaml.safe_dump(variant))


def _rows(cell: Cell) -> pd.DataFrame:
    """Return what the study found, with the times of a query and how much faster than pixels."""
    table = pd.read_csv(cell / "study/tables/features.csv")
    timing = json.loads((cell / "study/timing.json").read_text(encoding="utf-8"))
    for how in ("single", "batched"):
        times = [timing[f"query_milliseconds_{name}_{how}"] for name in table.features]
        table[f"milliseconds, {how}"] = times
        table[f"times faster, {how}"] = times[-1] / table[f"milliseconds, {how}"]
    return table


if __name__ == "__main__":
    main()

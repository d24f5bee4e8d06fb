"""Measure MNIST codes as features and for search; writes docs/benchmarks/codes.md.

    python scripts/codes.py                    # needs HOURGLASS_DATA; half an hour on two cores

Trains a deeper denoising network per size and studies it. Works in build/codes and resumes there.
"""

import json

import pandas as pd
from common import (
    ROOT,
    argument_parser,
    enter,
    limit_epochs,
    prepare_missing,
    seconds,
    write_page,
    write_variant,
)

from hourglass.core.paths import Cell, references_folder
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
{EPOCHS} epochs, compared with PCA of the same size and with the pixels; exact Euclidean neighbours
among 48,000 training samples; the queries are the 10,000 test digits. Times are of one run: the
median of single queries, and the mean per query of a batch of 500, by the faster of two exact
methods.
"""


def main() -> None:
    """Run the missing stages and write the page."""
    argument_parser(__doc__).parse_args()
    enter(ROOT / "build/codes")
    limit_epochs("mnist", EPOCHS)
    prepare_missing("mnist")
    if not references_folder("mnist").exists():
        references("mnist")
    tables, durations = [], []
    for size in SIZES:
        cell = Cell("mnist", f"code_{size}")
        init_args = {**SETTINGS, "latent_dim": size}
        write_variant(cell.model, "hourglass.models.denoising.Denoising", init_args)
        if not cell.output("train").exists():
            train(cell.data, cell.model)
        durations.append(seconds(study, cell.data, cell.model))
        tables.append(_rows(cell))
    text = INTRODUCTION + "\n" + pd.concat(tables).to_markdown(index=False, floatfmt=".4g")
    text += f"\n\nA study of one of these cells took {max(durations):.0f} seconds at most.\n"
    write_page(ROOT / "docs/benchmarks/codes.md", text)


def _rows(cell: Cell) -> pd.DataFrame:
    """Return the results of a study, with query times and the speed-up over pixels."""
    table = pd.read_csv(cell / "study/tables/features.csv")
    timing = json.loads((cell.tracking / "study.json").read_text(encoding="utf-8"))
    for how in ("single", "batched"):
        times = [timing[f"query_milliseconds_{name}_{how}"] for name in table.features]
        table[f"milliseconds, {how}"] = times
        table[f"times faster, {how}"] = times[-1] / table[f"milliseconds, {how}"]
    return table


if __name__ == "__main__":
    main()

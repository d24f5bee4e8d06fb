"""AUROC of `convolutional` by code size and score; the last table of docs/benchmarks/code_size.md.

`python scripts/code_size.py` needs HOURGLASS_DATA and resumes in build/code_size.
"""

import common
import pandas as pd
from sklearn.metrics import roc_auc_score

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import ModelScore, RelativeError
from hourglass.detection.scoring import FittedScorer
from hourglass.networks.weights import load
from hourglass.stages.train import train

DATA = {"digits": (4, 8, 16, 32)}  # and three data sets of 28 x 28 pixels
DATA |= dict.fromkeys(("mnist", "fashion_mnist", "emnist"), (8, 16, 32, 64))
PAGE = common.ROOT / "docs/benchmarks/code_size.md"
VARIANT = "hourglass.models.convolutional.Convolutional"
SUBSET = {"train": 0.1, "validation": 0.05, "calibration": 0.8, "tuning": 0.05, "test": 0.0}
SMALL = {"init_args": {"fractions": SUBSET}, "training": {"batch_size": 64, "max_epochs": 20}}
SCORES = {"model": ModelScore(), "relative error": RelativeError()}


def main() -> None:
    """Train the missing cells, on subsets of the three larger sets, and replace the table."""
    common.argument_parser(__doc__).parse_args()
    common.enter(common.ROOT / "build/code_size")
    for name in DATA:
        common.update_yaml(f"configs/data/{name}.yaml", {} if name == "digits" else SMALL)
        common.prepare_missing(name)
    rows = [_row(name, size) for name in DATA for size in DATA[name]]
    table = pd.DataFrame(rows).to_markdown(index=False, floatfmt=".4f")
    text = PAGE.read_text(encoding="utf-8").partition("| data")[0]
    common.write_page(PAGE, f"{text}{table}\n")


def _row(data: str, size: int) -> dict[str, object]:
    """Train a cell if it is missing; return its AUROC on the tuning and the test split."""
    cell, prepared = Cell(data, f"convolutional_{size}"), Prepared.open(prepared_folder(data))
    common.write_variant(cell.model, VARIANT, {"latent_dim": size})
    if not cell.output("train").exists():
        train(cell.data, cell.model)
    network, row = load(cell.output("train")), {"data": data, "latent_dim": size}
    for name, scorer in SCORES.items():
        score = FittedScorer.fit(network, prepared.scaling, scorer, prepared.split("train").x)
        for split in ("tuning", "test"):
            part = prepared.split(split)
            row[f"{name}, {split}"] = roc_auc_score(part.anomaly, score(part.x))
    return row


if __name__ == "__main__":
    main()

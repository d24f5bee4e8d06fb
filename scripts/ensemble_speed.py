"""Compare the training of ten members with that of one; writes docs/benchmarks/ensemble_speed.md.

    python scripts/ensemble_speed.py

Trains `ensemble` on the genuine transactions of the credit-card table with the settings of
configs/data/credit_card.yaml, for a fixed number of epochs. Seconds are the wall time of the whole
training, with validation, on one core; each is the best of --rounds rounds, in which the sizes
alternate. The ratio is that to one member of the same width on whole batches.

Needs HOURGLASS_DATA with creditcard/creditcard.csv.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from common import ROOT, argument_parser, data_folder, seconds, write_page

from hourglass.api.samples import prepare_in_memory
from hourglass.data.credit_card import CreditCard
from hourglass.data.prepared_data import PreparedInMemory
from hourglass.models.ensemble import Ensemble
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.in_memory import train_in_memory

PAGE = ROOT / "docs/benchmarks/ensemble_speed.md"
SETTINGS = ROOT / "configs/data/credit_card.yaml"
# Width, members and share of each batch that a member trains on.
CASES = [
    (20, 1, 1.0),
    (20, 10, 1.0),
    (20, 10, 0.5),
    (128, 1, 1.0),
    (128, 10, 1.0),
    (128, 10, 0.2),
]
RESULT = """
A step of narrow members is mostly overhead, which ten members share. A step of wide members is
arithmetic: on one core it costs as much as ten steps of one member, unless each trains on a
part of the batch. With a share of 1, each member sees every row.
"""


def main() -> None:
    """Measure all cases and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    config = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    prepared = genuine(config["init_args"]["fractions"])
    best = dict.fromkeys(CASES, float("inf"))
    for _ in range(options.rounds):
        for case in CASES:
            settings = case_settings(case, config, options.epochs, prepared)
            best[case] = min(best[case], seconds(train_in_memory, Ensemble, settings, prepared))
            print(case, f"{best[case]:.2f} s", flush=True)
    rows = [
        {
            "width": width,
            "members": members,
            "share of a batch": share,
            "ms per epoch": round(1000 * best[width, members, share] / options.epochs),
            "ratio": f"{best[width, members, share] / best[width, 1, 1.0]:.2f}",
        }
        for width, members, share in CASES
    ]
    table = pd.DataFrame(rows).to_markdown(index=False)
    count = len(prepared.x("train"))
    note = f"{count:,} rows to train on, of the local copy of the table, in batches of 512.\n\n"
    write_page(PAGE, f"# Training ten members at once\n\n{__doc__}\n{note}{table}\n{RESULT}")


def genuine(fractions: dict[str, float]) -> PreparedInMemory:
    """Return the first genuine transactions as train and validation split."""
    raw = CreditCard().load(data_folder())
    x = raw.x[~np.asarray(raw.anomaly)]
    train, held_out = (round(fractions[name] * len(x)) for name in ("train", "validation"))
    parts: Any = {"train": x[:train], "validation": x[train : train + held_out]}
    return prepare_in_memory(parts, "standard", raw.columns)


def case_settings(
    case: tuple[int, int, float], config: dict[str, Any], epochs: int, prepared: PreparedInMemory
) -> CellSettings:
    """Return the settings of the training of a case."""
    width, members, share = case
    return CellSettings(
        data="credit_card",
        model="ensemble",
        class_path="hourglass.models.ensemble.Ensemble",
        init_args={
            "sample_shape": list(prepared.input_shape),
            "members": members,
            "width": width,
            "batch_share": share,
            "learning_rate": config["model"]["learning_rate"],
        },
        training=Training(config["training"]["batch_size"], epochs, epochs),
        trainer={"accelerator": "cpu", "devices": 1},
        seed=0,
    )


if __name__ == "__main__":
    main()

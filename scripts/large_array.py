"""Train on an array that is larger than the memory: zeros in a sparse file.

    python scripts/large_array.py --gigabytes 20 --steps 200

Prints one line of JSON: the placement of the samples, seconds, and the peak of the resident memory
above that after the imports. Other scripts create such data sets with `write_sparse`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, resident_bytes, seconds, temporary_workspace

from hourglass.core.atomic import atomic_folder
from hourglass.core.paths import Cell, prepared_folder
from hourglass.core.settings import Residency
from hourglass.data.prepared_data import SPLITS, write_data_card
from hourglass.data.scaling import Scaling
from hourglass.training.cell_settings import resolve_cell

DATA, MODEL = "mnist", "undercomplete"  # names of the settings
SAMPLE_SHAPE = (1, 28, 28)
SAMPLES_OUTSIDE_TRAIN = 1000  # per split


def main() -> None:
    """Train for some steps in a temporary folder."""
    parser = argument_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--residency", default="auto")
    arguments = parser.parse_args()
    rows = int(arguments.gigabytes * 1e9) // int(np.prod(SAMPLE_SHAPE))
    with temporary_workspace():
        write_sparse(prepared_folder(DATA), rows, SAMPLE_SHAPE, SAMPLES_OUTSIDE_TRAIN)
        print(json.dumps(_train(rows, arguments.steps, arguments.residency)))


def write_sparse(
    folder: Path, rows: int, sample_shape: tuple[int, ...], samples_outside_train: int
) -> None:
    """Write a prepared data set of black images that takes no space on the disk.

    `train` has `rows` samples, each other split `samples_outside_train`.
    """
    counts = dict.fromkeys(SPLITS, samples_outside_train) | {"train": rows}
    card = {
        "data": folder.name,
        "source": {"name": "sparse", "licence": "none", "complete": True, "files": {}},
        "sample_shape": sample_shape,
        "dtype": "uint8",
        "feature_names": [],
        "scaling": Scaling.of_images(255).to_dict(),
        "splits": {
            name: {"normal": count, "anomalies": 0, "classes": {}} for name, count in counts.items()
        },
        "sha256": f"sparse-{rows}",
    }
    with atomic_folder(folder) as temporary:
        for name, n in counts.items():
            (temporary / name).mkdir()
            _reserve(temporary / name / "x.npy", np.uint8, (n, *sample_shape))
            for field, dtype in (("label", "<U1"), ("anomaly", bool), ("id", "<U1")):
                _reserve(temporary / name / f"{field}.npy", dtype, (n,))
        write_data_card(temporary, card)


def _reserve(path: Path, dtype: np.typing.DTypeLike, shape: tuple[int, ...]) -> None:
    """Create an array of zeros without writing them."""
    np.lib.format.open_memmap(path, "w+", dtype, shape)


def _train(rows: int, steps: int, residency: Residency) -> dict[str, float | str]:
    """Train for some steps; return the measurements."""
    from hourglass.data.datamodule import DataModule  # imports Lightning
    from hourglass.training.trainer import fit_resumable, make_module, make_trainer

    settings = resolve_cell(Cell(DATA, MODEL), SAMPLE_SHAPE, rows)
    settings.trainer["limit_train_batches"] = settings.trainer["max_steps"] = steps
    module = make_module(settings)
    data: Any = DataModule(DATA, settings.training.batch_size, settings.seed, residency)
    trainer, history = make_trainer(settings, Path("checkpoints"), None)
    before = resident_bytes("VmRSS")
    duration = seconds(fit_resumable, trainer, history, module, data)
    return {
        "kept": data.rows("train").residency,
        "data_gigabytes": Path(prepared_folder(DATA), "train/x.npy").stat().st_size / 1e9,
        "peak_gigabytes": (resident_bytes("VmHWM") - before) / 1e9,
        "seconds": duration,
    }


if __name__ == "__main__":
    main()

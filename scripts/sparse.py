"""Train on an array that is larger than the memory, made without writing it: a sparse file.

    python scripts/sparse.py --gigabytes 20 --steps 200

Prints one JSON line: where the samples were kept, seconds, and the peak of the resident memory
above what it was after the imports. Other scripts make such data sets by `write`.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from memory import resident
from workspace import enter

from hourglass.core.atomic import atomic_folder
from hourglass.core.paths import Cell, prepared_folder
from hourglass.core.settings import Residency
from hourglass.data.prepared import SPLITS, write_data_card
from hourglass.data.scaling import Scaling
from hourglass.training.cell_settings import resolve_cell

DATA, MODEL = "mnist", "undercomplete"  # whose settings are taken
SAMPLE_SHAPE = (1, 28, 28)
HELD_OUT = 1000  # samples of each split but train


def main() -> None:
    """Train for some steps in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--residency", default="auto")
    arguments = parser.parse_args()
    rows = int(arguments.gigabytes * 1e9) // int(np.prod(SAMPLE_SHAPE))
    with tempfile.TemporaryDirectory() as folder:
        enter(Path(folder))
        write(prepared_folder(DATA), rows, SAMPLE_SHAPE, HELD_OUT)
        print(json.dumps(_train(arguments.steps, arguments.residency)))
        os.chdir("/")


def write(folder: Path, rows: int, sample_shape: tuple[int, ...], held_out: int) -> None:
    """Write a prepared data set of black images whose `rows` of train take no room on the disk.

    Each other split has `held_out` samples.
    """
    counts = dict.fromkeys(SPLITS, held_out) | {"train": rows}
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
    """Make an array of zeros that are nowhere written."""
    np.lib.format.open_memmap(path, "w+", dtype, shape)


def _train(steps: int, residency: Residency) -> dict[str, float | str]:
    """Train for some steps; return what it took."""
    from hourglass.data.datamodule import DataModule  # Lightning, which `write` can do without
    from hourglass.training.trainer import fit_resumable, make_module, make_trainer

    settings = resolve_cell(Cell(DATA, MODEL), SAMPLE_SHAPE)
    settings.trainer["limit_train_batches"] = settings.trainer["max_steps"] = steps
    module = make_module(settings)
    data = DataModule(DATA, settings.training.batch_size, settings.seed, residency)
    trainer, history = make_trainer(settings, Path("checkpoints"), None)
    before, start = resident("VmRSS"), time.perf_counter()
    fit_resumable(trainer, history, module, data)
    seconds = time.perf_counter() - start
    return {
        "kept": data.rows("train").residency,
        "data_gigabytes": Path(prepared_folder(DATA), "train/x.npy").stat().st_size / 1e9,
        "peak_gigabytes": (resident("VmHWM") - before) / 1e9,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()

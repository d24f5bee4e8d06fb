"""Compare preparing and training of image folders with bare loops; writes image_speed.md.

    python scripts/image_speed.py --files 100000 --images 256 --rounds 5

Preparing: `hourglass prepare` of a folder of small colour PNG files against a loop that only
decodes them into one array, with as many threads. Prepare also finds classes, hashes the files,
finds copies and near-copies, splits the images and writes them.

Training: `convolutional` on colour images of 256 x 256 pixels in batches of 16, from packed arrays
and from PNG files that threads decode for each batch, against a PyTorch loop over a tensor in
memory, with the same network and optimiser. The network computes with one thread.

The contestants alternate; rates are those of the best round.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from bare_loops import train_bare
from common import ROOT, argument_parser, fastest_seconds, temporary_workspace, write_page
from PIL import Image

from hourglass.core.paths import prepared_folder
from hourglass.data.prepare import prepare_data_set
from hourglass.data.prepared_data import Prepared
from hourglass.data.readers.in_threads import in_threads
from hourglass.models import Convolutional
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.in_memory import train_in_memory
from hourglass.training.trainer import build_module

PAGE = ROOT / "docs/benchmarks/image_speed.md"
SMALL, LARGE = (64, 128), 256  # pixels, the sides of images
BATCH_SIZE, EPOCHS = 16, 2

Contestants = dict[str, Callable[[], object]]


def main() -> None:
    """Measure all contestants and write their rates."""
    parser = argument_parser(__doc__)
    parser.add_argument("--files", type=int, default=5000, help="small files to prepare")
    parser.add_argument("--images", type=int, default=96, help="large images to train on")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with temporary_workspace(Path.cwd()):
        rows: list[dict[str, Any]] = []
        for side in SMALL:
            contestants = _preparing(arguments.files, side)
            case = f"prepare, {side} x {side}"
            rows += _compare(case, contestants, arguments.rounds, arguments.files)
        training, count = _training(arguments.images)
        rows += _compare("training, 256 x 256", training, arguments.rounds, count)
    table = pd.DataFrame(rows).to_markdown(index=False, floatfmt=",.2f")
    sizes = (
        f"{arguments.files:,} small files; {arguments.images:,} large images, of which half train."
    )
    # Contestants that use both cores suffer most from other processes.
    load = f"Load of the machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores."
    sizes = f"{sizes} {load}"
    write_page(PAGE, f"# Preparing and training of images\n\n{__doc__}\n{sizes}\n\n{table}\n")


def _compare(case: str, contestants: Contestants, rounds: int, count: int) -> list[dict[str, Any]]:
    """Return a row per contestant, with its rate and the ratio to that of "bare"."""
    best = fastest_seconds(rounds, contestants)
    return [
        {
            "case": case,
            "contestant": key,
            "images per second": count / value,
            "ratio": best["bare"] / value,
        }
        for key, value in best.items()
    ]


def _write_images(folder: Path, count: int, side: int) -> list[Path]:
    """Write textures with noise, which compress about as photographs do, into two classes."""
    rng = np.random.default_rng(0)
    files = [folder / ("good" if i % 10 else "bad") / f"{i}.png" for i in range(count)]
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
    for file in files:
        waves = np.sin(np.linspace(0, rng.uniform(4, 20), side))[:, None, None]
        pixels = 128 + 60 * waves * rng.uniform(0.5, 1, (side, 1)) * rng.uniform(0.5, 1, 3)
        pixels = pixels + rng.integers(-4, 5, (side, side, 1))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, compress_level=6)
    return files


def _describe(name: str, path: str, **settings: object) -> None:
    """Write the settings file of a data set."""
    init_args = {"path": path, "normal": "good", **settings}
    section = {"class_path": "hourglass.data.images.Images", "init_args": init_args}
    Path(f"configs/data/{name}.yaml").write_text(yaml.safe_dump(section), encoding="utf-8")


def _preparing(count: int, side: int) -> Contestants:
    name = f"small{side}"
    files = _write_images(Path(name), count, side)
    _describe(name, name)

    def decode(place: int) -> None:
        with Image.open(files[place]) as image:
            images[place] = np.asarray(image.convert("RGB"))

    images = np.empty((count, side, side, 3), np.uint8)

    def bare() -> None:
        for _ in in_threads(decode, range(count)):
            pass

    return {"bare": bare, "hourglass prepare": lambda: prepare_data_set(name)}


def _training(count: int) -> tuple[Contestants, int]:
    """Return the contestants and the number of images that each trains on."""
    _write_images(Path("large"), count, LARGE)
    for storage in ("packed", "files"):
        _describe(storage, "large", storage=storage)
        prepare_data_set(storage)
    prepared = {name: Prepared.open(prepared_folder(name)) for name in ("packed", "files")}
    x, validation = (
        torch.from_numpy(prepared["packed"].scaling(np.array(prepared["packed"].x(split))))
        for split in ("train", "validation")
    )

    def bare() -> None:
        module = build_module(Convolutional, _settings("packed", "device"), "bare")
        train_bare(module, x, validation, BATCH_SIZE, EPOCHS)

    def ours(storage: str, residency: str) -> Callable[[], object]:
        settings = _settings(storage, residency)
        return lambda: train_in_memory(Convolutional, settings, prepared[storage])

    return {
        "bare": bare,
        "packed": ours("packed", "auto"),
        "files": ours("files", "stream"),
    }, EPOCHS * len(x)


def _settings(data: str, residency: str) -> CellSettings:
    return CellSettings(
        data=data,
        model="convolutional",
        class_path="hourglass.models.convolutional.Convolutional",
        init_args={"sample_shape": [3, LARGE, LARGE], "latent_dim": 32, "schedule": "constant"},
        training=Training(BATCH_SIZE, EPOCHS, EPOCHS),
        trainer={"accelerator": "cpu", "devices": 1, "residency": residency},
        seed=0,
    )


if __name__ == "__main__":
    main()

"""Measure the memory and the time of every stage for large images in tiles.

    python scripts/large_images.py --sizes 1500x1000 6000x4000 --scored 1 4

Generates colour photographs of a texture, in the first size, of which a detector is prepared,
trained for a few steps and calibrated. Then images of each size are scored, with heat maps. For
each command it prints the peak of the anonymous memory (RssAnon), the imports included; pages of
mapped files, which the system may drop, are not counted.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import argument_parser, temporary_workspace, update_yaml
from PIL import Image
from prepare_memory import peak_memory

STAGES = (
    ("prepare", "from hourglass.stages.prepare import prepare; prepare('large')"),
    ("train", "from hourglass.stages.train import train; train('large', 'convolutional')"),
    (
        "calibrate-threshold",
        "from hourglass.stages.calibrate_threshold import calibrate_threshold\n"
        "calibrate_threshold('large', 'convolutional')",
    ),
    (
        "evaluate",
        "from hourglass.stages.evaluate import evaluate; evaluate('large', 'convolutional')",
    ),
)
SCORE = (
    "from pathlib import Path; from hourglass.cli.score import score\n"
    "score('large', 'convolutional', Path({folder!r}))"
)
TEXTURE_PIXELS = 16  # of the image per pixel of the texture


def main() -> None:
    """Print the peak memory and the time of each command."""
    parser = argument_parser(__doc__)
    parser.add_argument("--sizes", nargs="+", default=["1500x1000", "6000x4000"])
    parser.add_argument("--scored", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--images", type=int, default=60, help="of the data set")
    parser.add_argument("--tile", type=int, default=256)
    options = parser.parse_args()
    settings: dict[str, Any] = {
        "class_path": "hourglass.data.images.Images",
        "init_args": {"path": "images", "size": options.tile, "fit": "tile"},
        "model": {"latent_dim": 32, "channels": [16, 32, 64, 64]},
        "training": {"batch_size": 16, "max_epochs": 1},
    }
    first, *_ = sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
    with temporary_workspace(Path.cwd()):
        Path("configs/data/large.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        limits = {"limit_train_batches": 20, "limit_val_batches": 20}
        update_yaml("configs/trainer/cpu.yaml", limits)
        rates = {
            "calibration": {"init_args": {"alpha": 0.2}},
            "pixel_threshold": {"image_rate": 0.2},
        }
        update_yaml("params.yaml", rates)
        write_images(Path("images"), options.images, *first)
        for name, code in STAGES:
            measure(f"{options.images} images of {first[0]} x {first[1]}, {name}", code)
        for width, height in sizes:
            for count in options.scored:
                path = f"new-{width}-{count}"
                write_images(Path(path), count, width, height)
                code = SCORE.format(folder=path)
                measure(f"{count} of {width} x {height}, score", code)


def measure(name: str, code: str) -> None:
    """Run Python code and print its time and its peak memory."""
    start = time.perf_counter()
    anonymous, _ = peak_memory(code)
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.0f} s, {anonymous / 1e6:.0f} MB", flush=True)


def write_images(folder: Path, count: int, width: int, height: int) -> None:
    """Write images of a random texture as JPEG."""
    folder.mkdir()
    for i in range(count):
        rng = np.random.default_rng(i)
        shape = (-(-height // TEXTURE_PIXELS), -(-width // TEXTURE_PIXELS), 3)
        texture = rng.integers(60, 190, shape, dtype=np.uint8)
        image = Image.fromarray(texture).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / f"{i}.jpg", quality=92)


if __name__ == "__main__":
    os.environ["HOURGLASS_RECORD"] = "off"
    main()
